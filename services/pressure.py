"""Under load: what cannot be answered soon is turned away at once, and nothing is worked on for ever.

A queue would answer everybody late; a caller who is told to come back can go elsewhere or try again.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from services.limits import Scope
from services.problems import Kind, Problem, Refusal

logger = logging.getLogger(__name__)

DEADLINE_HEADER = b"x-deadline-ms"


class Places:
    """The places for requests in work."""

    def __init__(self, n_places: int) -> None:
        self.n_places, self.n_taken = n_places, 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Holds a place for the duration of a `with`. Raises Refusal if all are taken."""
        if self.n_taken >= self.n_places:
            raise Refusal(
                Problem(
                    Kind.OVERLOADED,
                    f"{self.n_taken} requests are in work.",
                    f"At most {self.n_places} are (COUNTERPOINT_CONCURRENCY).",
                    "Try again after the seconds of Retry-After, with some chance added.",
                    retry_after=1,
                )
            )
        self.n_taken += 1
        try:
            yield
        finally:
            self.n_taken -= 1


def seconds_for(scope: Scope, most: float) -> float:
    """Seconds that a request may take: `most`, or less if its header X-Deadline-Ms says so. Raises Refusal."""
    given = dict(scope["headers"]).get(DEADLINE_HEADER)
    if given is None:
        return most
    if not (given.isdigit() and int(given[:9]) > 0 and len(given) < 9):
        raise Refusal(
            Problem(
                Kind.INVALID_REQUEST,
                "The header X-Deadline-Ms is not a number of milliseconds.",
                "A whole number above 0 of at most eight digits.",
            )
        )
    return min(most, int(given) / 1000)


def too_late(seconds: float) -> Refusal:
    """The answer to a request that took longer."""
    detail = f"There was no answer within {seconds:g} seconds."
    return Refusal(Problem(Kind.TOO_LATE, detail, remedy="Ask for less at a time, or try again later.", retry_after=1))


class Drain:
    """Leaving without dropping anybody: on SIGTERM, first /readyz says 503, and only later the listener closes.

    uvicorn closes its listener at once when the signal comes. A balancer that looks at /readyz every few seconds would
    still send requests there, so its handler is called some seconds later; what is in work then is finished.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.begun = False

    def install(self) -> None:
        """Puts itself before the server's own handler of SIGTERM. To be called in the event loop of the main thread."""
        loop, close = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)
        if not callable(close):
            return

        def leave(number: int, frame: FrameType | None) -> None:
            if not self.begun:
                self.begun = True
                loop.call_soon_threadsafe(loop.call_later, self._seconds, close, number, None)
                logger.warning("draining: not ready any more, the listener closes in %g s", self._seconds)

        try:
            signal.signal(signal.SIGTERM, leave)
        except ValueError:
            logger.info("no drain: the service runs outside the main thread")

    def check(self) -> None:
        """Raises Refusal once the drain has begun."""
        if self.begun:
            raise Refusal(Problem(Kind.NOT_READY, "The service is about to stop.", remedy="Ask another replica."))


def closing(headers: list[Any]) -> list[Any]:
    """Headers of an answer after which the connection closes, so that its caller finds another replica."""
    return [*headers, (b"connection", b"close")]
