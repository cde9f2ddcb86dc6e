"""When a call may go out: one until the server answered, fewer after it said 429, none while it is away.

This is the part that calls made side by side share. A server that answered before and then fails several times in a
row is left alone for a pause (the circuit is open), then one call tries it (half open). A server that never answered
is not waited for: the address is more likely wrong than the server tired.
"""

from __future__ import annotations

import threading
import time
from enum import StrEnum


class Effect(StrEnum):
    """What a call's outcome says about the server."""

    ANSWERED = "answered"
    BUSY = "busy"
    AWAY = "away"
    NONE = "none"
    """Nothing new: the fault was the call's."""


class Pace:
    """Lets calls out at the server's pace.

    Args:
        most: calls in flight at most; their number starts at one and grows with answers.
        away_after: failures in a row, of all calls together, that open the circuit.
        pause: seconds it stays open the first time; doubles while the server stays away.
        openings: pauses without an answer after which no call goes out any more.
    """

    def __init__(self, most: int, away_after: int = 4, pause: float = 15.0, openings: int = 4) -> None:
        self.most, self.away_after, self.pause, self.openings = most, away_after, pause, openings
        self._changed = threading.Condition()
        self._limit, self._in_flight, self._was_busy = 1.0, 0, False
        self._failures = self._opened = 0
        self._closed_until, self._answered, self._stopped = 0.0, False, False

    def again(self) -> Pace:
        """A fresh one for the next run, which remembers how many calls the server could take."""
        fresh = Pace(self.most, self.away_after, self.pause, self.openings)
        fresh._limit, fresh._was_busy, fresh._answered = self._limit, self._was_busy, self._answered
        return fresh

    @property
    def waiting(self) -> bool:
        """Whether the circuit opened and the server has not answered since."""
        return self._opened > 0

    def enter(self, deadline: float) -> str:
        """Waits until a call may go out; says why if none will before the deadline (of `time.monotonic`)."""
        with self._changed:
            while True:
                now = time.monotonic()
                if self._stopped:
                    return "the run was stopped"
                if self._opened > self.openings:
                    return f"the server stayed away over {self.openings} pauses"
                if now >= self._closed_until and self._in_flight < int(self._limit):
                    self._in_flight += 1
                    return ""
                if max(now, self._closed_until) >= deadline:
                    return "its time was over"
                until = self._closed_until if now < self._closed_until else deadline
                self._changed.wait(min(until - now, threading.TIMEOUT_MAX))

    def leave(self, effect: Effect, wait: float = 0.0) -> None:
        """Ends a call; `wait` is how long a busy server is to be left alone."""
        with self._changed:
            self._in_flight -= 1
            if effect is Effect.ANSWERED:
                self._answered, self._failures, self._opened = True, 0, 0
                self._limit = min(self.most, self._limit + (1 / self._limit if self._was_busy else 1))
            elif time.monotonic() >= self._closed_until:  # later news of calls sent before is no news
                if effect is Effect.BUSY:
                    self._slow_down(wait)
                elif effect is Effect.AWAY:
                    self._count_failure()
            self._changed.notify_all()

    def sleep(self, seconds: float) -> None:
        """Waits between two tries of one call; a stop ends it."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped, seconds)

    def stop(self) -> None:
        """No call goes out any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _slow_down(self, wait: float) -> None:
        """Half as many calls, and from now on one more only after as many answers (as TCP avoids congestion)."""
        self._limit = max(1.0, self._limit / 2)
        self._was_busy = True
        self._closed_until = time.monotonic() + wait
        self._failures = self._opened = 0

    def _count_failure(self) -> None:
        self._failures += 1
        if self._answered and (self.waiting or self._failures >= self.away_after):
            self._closed_until = time.monotonic() + self.pause * 2.0**self._opened
            self._opened += 1
            self._limit = 1.0
