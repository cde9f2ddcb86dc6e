"""The `counterpoint` command: its parts put together, and how it ends.

Every command is a thin shell around a flow, the service or a store; heavy imports happen inside. Exit codes: 0 done,
1 something failed, 2 the input or a setting cannot be used, 130 stopped by Ctrl-C, 143 by SIGTERM. Errors raised on
purpose are printed as their message, without a traceback.
"""

from __future__ import annotations

import atexit
import errno
import os
import signal
import sys

import typer

from counterpoint import keys, live, stages, texts
from features.errors import CounterpointError

app = typer.Typer(
    name="counterpoint",
    help="Recommendations that argue both sides.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for part in (stages.app, texts.app, live.app, keys.app):
    app.add_typer(part)

STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)
UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}
WHERE = "Correct its permissions or free space, or let COUNTERPOINT_HOME name another folder."


def main() -> None:
    """Entry point of the `counterpoint` command."""
    atexit.register(_end_quietly)
    try:
        app()
    except CounterpointError as error:
        _say_failed(str(error))
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        _say_failed(f"{error.filename or 'A file'} cannot be written or read: {error.strerror}.\n{WHERE}")
        sys.exit(1)
    except SystemExit as ended:  # Typer has made it of KeyboardInterrupt
        if ended.code in STOPPED:
            typer.secho("Stopped. What was received is kept; the same command goes on from here.", err=True)
        raise


def _say_failed(message: str) -> None:
    """In red on a terminal, unless NO_COLOR is set, which Typer does not look at."""
    typer.echo(message if os.environ.get("NO_COLOR") else typer.style(message, fg=typer.colors.RED), err=True)


def _end_quietly() -> None:
    """Drops what libraries write while the interpreter ends.

    DuckDB lists "leaked" functions and Prefect's temporary server what it no longer flushed; neither means anything
    to the reader. Registered first, so this runs last, when all of our own output is out.
    """
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
