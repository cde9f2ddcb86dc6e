"""The online store behind a circuit breaker: a store that is away costs two short waits, not one for every request.

A read runs in a thread of its own and may take `seconds`; then the request goes on without it and the answer says what
it lacks. After two failed reads in a row the store is left alone: requests do not wait for it at all. Every half second
one of them starts a read in the background, for which nobody waits; when one succeeds, the store is asked again.

Drivers do not do this. redis-py (7.4) tries three times with pauses before it says that nothing listens, and SQLite
waits seconds for a lock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from functools import partial
from typing import TypeVar

from features.batch import PairBlock, ProductBlock
from features.errors import StoreError
from services.metrics import metrics
from services.sources import ConsumerNow
from services.visitors import FeatureSource

Value = TypeVar("Value")

FAILURE = (StoreError, OSError)
"""What says that the store is away. Anything else is about one request, and must not take the store from the others."""
FAILURES = 2
"""Failed reads in a row after which the store is left alone."""
TRY_SECONDS = 0.5
"""How long it is, before it is tried again."""
MAX_TRIES = 12
"""Tries at a time: each may hang in the driver long after the store is back, and the next one must not wait for it."""
SECONDS_PER_ROW = 0.0005
"""What a read may take longer for every row it asks for: Feast spends up to 0.2 ms on one."""


class Breaker:
    """Calls a store, or says at once that it is away. Safe to use from several threads."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: what one call may take."""
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(FAILURES + MAX_TRIES, thread_name_prefix="online-store")
        self._lock = threading.Lock()
        self._n_failed, self._next_try, self._n_trying = 0, 0.0, 0

    @property
    def away(self) -> bool:
        """Whether the store is left alone."""
        return self._n_failed >= FAILURES

    def call(self, read: Callable[[], Value], n_rows: int = 1) -> Value:
        """What `read` gives. Raises StoreError if the store is away or too slow, and whatever `read` raises."""
        if self.away:
            self._try_in_background(read)
            metrics().store_reads.labels("spared").inc()
            raise StoreError("The online store is away and is not asked for now.")
        seconds = self._seconds + n_rows * SECONDS_PER_ROW
        begun = self._threads.submit(read)
        try:
            value = begun.result(seconds)
        except NotInTime as error:
            begun.cancel()
            self._note("late")
            raise StoreError(f"The online store did not answer within {seconds:g} s.") from error
        except FAILURE:
            self._note("failed")
            raise
        self._note("ok")
        return value

    def _try_in_background(self, read: Callable[[], object]) -> None:
        with self._lock:
            if self._n_trying == MAX_TRIES or time.monotonic() < self._next_try:
                return
            self._n_trying, self._next_try = self._n_trying + 1, time.monotonic() + TRY_SECONDS
        self._threads.submit(read).add_done_callback(self._tried)

    def _tried(self, done: Future[object]) -> None:
        with self._lock:
            self._n_trying -= 1
        self._note("failed" if isinstance(done.exception(), FAILURE) else "ok")

    def _note(self, outcome: str) -> None:
        with self._lock:
            self._n_failed = 0 if outcome == "ok" else self._n_failed + 1
            if self._n_failed == FAILURES:
                self._next_try = time.monotonic() + TRY_SECONDS
        metrics().store_reads.labels(outcome).inc()
        metrics().store_left_alone.set(self.away)


class SparedFeatures:
    """A source of features whose reads of a request go through a breaker; those of a release being opened do not."""

    def __init__(self, features: FeatureSource, seconds: float) -> None:
        """`seconds`: what one read of one row may take."""
        self._features, self._breaker = features, Breaker(seconds)

    def consumer(self, consumer_id: str) -> ConsumerNow:
        """The latest row of a consumer. Raises StoreError, soon."""
        return self._breaker.call(partial(self._features.consumer, consumer_id))

    def products(self, product_ids: Sequence[str]) -> ProductBlock:
        """The latest rows of products. Raises StoreError."""
        return self._features.products(product_ids)

    def pairs(self, consumer_id: str, product_ids: Sequence[str]) -> PairBlock:
        """The codes of the texts written for a consumer and each of the products. Raises StoreError, soon."""
        return self._breaker.call(partial(self._features.pairs, consumer_id, product_ids), len(product_ids))
