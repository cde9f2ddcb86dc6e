"""The live release, followed: when the pointer moves, the new release is opened beside the old and takes over."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from features.errors import CounterpointError, ReleaseError
from models.release import ReleaseStore
from services.metrics import metrics

if TYPE_CHECKING:
    from services.runtime import Runtime

logger = logging.getLogger(__name__)

CHECK_SECONDS = 2.0
"""How often, at most, the pointer is read."""


class LiveRuntime:
    """Gives the runtime of the live release; a release that cannot be opened never replaces one that works."""

    def __init__(self, store: ReleaseStore, open_live: Callable[[], Runtime], check_seconds: float = CHECK_SECONDS):
        """Opens the live release; failing that, the service is not ready until the pointer moves on."""
        self._store, self._open, self._check_seconds = store, open_live, check_seconds
        self._lock = threading.Lock()
        self._runtime: Runtime | None = None
        self._settled: str | None = None
        self._refusal: CounterpointError = ReleaseError("No release was opened yet.")
        self._next_check = 0.0
        self._follow()

    @property
    def ready(self) -> bool:
        """Whether there is a runtime to answer with."""
        self._follow_in_background()
        return self._runtime is not None

    def current(self) -> Runtime:
        """The runtime to answer this request with. Raises CounterpointError if no release could be opened."""
        self._follow_in_background()
        if self._runtime is None:
            raise self._refusal
        return self._runtime

    def _follow_in_background(self) -> None:
        """Looks at the pointer if it is time; requests never wait for a release to open."""
        if time.monotonic() < self._next_check:
            return
        self._next_check = time.monotonic() + self._check_seconds
        threading.Thread(target=self._follow, name="follow-release", daemon=True).start()

    def _follow(self) -> None:
        """Opens the live release unless that was done, or refused, before."""
        with self._lock:
            self._next_check = time.monotonic() + self._check_seconds
            live_id = None
            try:
                live_id = self._store.live_id()
                if live_id is not None and live_id == self._settled:
                    return
                with _uncollected():
                    self._runtime = self._open()
                self._settled = live_id
                metrics().releases.labels("taken").inc()
                metrics().release_as_of.set(self._runtime.release.as_of.timestamp())
                logger.info("serving release %s", self._runtime.release.release_id)
            except CounterpointError as error:
                if str(error) != str(self._refusal):
                    metrics().releases.labels("refused").inc()
                    logger.error("the live release cannot be served: %s", error)
                self._refusal = error
                # A refused release does not get better by itself; a store that is away may come back.
                self._settled = live_id if isinstance(error, ReleaseError) else None


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keeps Python's garbage collection from what is being opened, and from then on from what is there to stay.

    A release and its libraries are 400,000 objects. Walking them takes 0.3 s, in which nothing is answered; while they
    come in, it is done again and again. What a former release left is collected once.
    """
    gc.disable()
    try:
        yield
        gc.unfreeze()
        gc.collect()
        gc.freeze()
    finally:
        gc.enable()
