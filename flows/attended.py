"""How a flow that is run by hand can be stopped: Prefect's temporary server ends after it, and with it."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType

from features.errors import StoreError


def start_server() -> None:
    """Starts Prefect's temporary server, unless flows report to another one, where Ctrl-C does not reach it.

    A terminal sends Ctrl-C to every process in front. Without its server Prefect tries for a minute to report that a
    run ended, and then ends in an error of its own. SIGTERM would end this process alone and leave the server behind;
    it ends it as `sys.exit` does. To be called in the main thread.

    Raises:
        StoreError: the server did not start.
    """
    signal.signal(signal.SIGTERM, _leave)
    failed: list[RuntimeError] = []
    starter = threading.Thread(target=_start, args=(failed,), daemon=True)
    starter.start()
    starter.join()
    if failed:
        raise StoreError(
            f"Prefect's temporary server did not start: {str(failed[0]).rstrip('.')}.",
            "A busy machine may need longer than 120 seconds.",
            "Try again, with a larger PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS or a server of your own "
            "(PREFECT_API_URL).",
        ) from failed[0]


def _start(failed: list[RuntimeError]) -> None:
    from prefect.client.orchestration import get_client

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # of this thread; the process it starts inherits it
    try:
        get_client(sync_client=True)
    except RuntimeError as error:
        failed.append(error)


def _leave(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)
