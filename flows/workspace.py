"""What every flow works with: the host's settings, the lake, the stages' records and a way to show progress."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.errors import StoreError
from features.lake import Lake
from features.settings import HostSettings
from flows.stage import StageLog
from models.base import Progress

if TYPE_CHECKING:
    import rich.progress

logger = logging.getLogger(__name__)

LEAST_FREE_MB = 100
"""The demo's home takes about so much; the stages' stores are written whole or not at all."""


@dataclass(frozen=True)
class Workspace:
    """One home, opened."""

    settings: HostSettings
    lake: Lake
    stages: StageLog
    progress: Progress

    @classmethod
    def open(cls) -> Workspace:
        """Opens the home that the environment names."""
        settings = HostSettings.from_environment()
        settings.home.mkdir(parents=True, exist_ok=True)
        return cls.of(settings)

    @classmethod
    def of(cls, settings: HostSettings) -> Workspace:
        """The home of the settings, which need not be there yet."""
        return cls(settings, Lake(settings.lake), StageLog(settings.home / "stages"), show_progress())

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Waits for other processes that are in here too: one at a time replaces the lake and the online rows."""
        with (self.settings.home / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                logger.warning("Another run works in %s; this one waits until it is done.", self.settings.home)
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


def prepare_environment(settings: HostSettings, make_folders: bool = True) -> None:
    """Sets what Prefect, BentoML, Feast and Great Expectations read from the environment, where it is unset.

    Called by the command line before any of them is imported: state under the home, no telemetry, and time
    enough for Prefect's temporary server to start on a busy machine. Without `make_folders` nothing is written under
    the home, and no flow can run: Prefect makes its folder when it is imported, so it is given one that exists.
    """
    defaults = {
        "PREFECT_HOME": str(settings.prefect) if make_folders else tempfile.gettempdir(),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_LOGGING_LEVEL": "CRITICAL",  # it logs tracebacks of errors that the command line words itself
        "PREFECT_LOGGING_ROOT_LEVEL": "WARNING",
        "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL",
        "DO_NOT_TRACK": "1",
        "BENTOML_HOME": str(settings.bentoml),
        "BENTOML_DO_NOT_TRACK": "True",
        "FEAST_USAGE": "False",
        "GX_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    for noisy in ("great_expectations", "py.warnings", "matplotlib.font_manager"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    logger.setLevel(logging.INFO)  # progress where no terminal shows it, below the level that Prefect lets through
    if make_folders:
        settings.bentoml.mkdir(parents=True, exist_ok=True)


def require_room(settings: HostSettings) -> None:
    """Raises StoreError on a full disk, where Prefect's temporary server would only be said not to start."""
    settings.home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.home).free // 1_000_000
    if free < LEAST_FREE_MB:
        raise StoreError(
            f"{settings.home} has {free} MB free.",
            f"A run needs at least {LEAST_FREE_MB} MB.",
            "Free some, or let COUNTERPOINT_HOME name a folder on another disk.",
        )


def prepare_worker() -> dict[str, str]:
    """`prepare_environment` as a step that a worker's process does before it loads a flow."""
    prepare_environment(HostSettings.from_environment())
    return {}


def show_progress() -> Progress:
    """Progress bars on a terminal, a log line per tenth elsewhere."""
    return _TerminalProgress() if sys.stderr.isatty() else _LoggedProgress()


class _TerminalProgress:
    """One Rich bar per kind of work, closed when it is complete."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[rich.progress.Progress, rich.progress.TaskID]] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        if what not in self._open:
            self._open[what] = self._start(what, total)
        bar, task = self._open[what]
        bar.update(task, completed=done, total=total)
        if done >= total:
            bar.stop()
            del self._open[what]

    def _start(self, what: str, total: int) -> tuple[rich.progress.Progress, rich.progress.TaskID]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        name = TextColumn("  {task.description:<34}")
        bar = Progress(name, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True))
        bar.start()
        return bar, bar.add_task(what, total=total)


class _LoggedProgress:
    """A log line whenever another tenth is done."""

    def __init__(self) -> None:
        self._tenths: dict[str, int] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if self._tenths.get(what) != tenth:
            self._tenths[what] = tenth
            logger.info("%s: %d of %d", what, done, total)
