"""What the service logs: one line per request and per event, with no personal data and no text of anybody's.

BentoML (1.4.39) logs a traceback for every body that a schema refuses, and pydantic's message quotes the body. Such a
record is not written: the line of the request has its status. Errors raised on purpose are written as their message,
others with a traceback, both once in a while only: as long as a store is away, every request meets the same failure.
"""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict

from pydantic import ValidationError

from features.errors import CounterpointError

REPEAT_SECONDS = 30.0
MAX_KNOWN = 100


class Discretion(logging.Filter):
    """Holds back what quotes a caller, and tracebacks that were just seen."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: OrderedDict[str, float] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written: not if the caller is told anyway, nor what was just said in the same words."""
        if record.exc_info and (error := record.exc_info[1]) is not None:
            if _is_the_callers(error):
                return False
            seen = self._again(f"{record.name}:{record.msg}:{type(error).__name__}")
            on_purpose = isinstance(error, CounterpointError)
            if seen and on_purpose:
                return False
            if on_purpose:  # its message says it all
                record.msg, record.args = f"{record.getMessage()}: {error}", ()
            if seen or on_purpose:
                record.exc_info = record.exc_text = None
        if record.name.startswith("bentoml") and record.msg == "Exception on %s [%s]":
            record.msg, record.args = "a request met an exception", ()  # its path may hold an id
        return True

    def _again(self, what: str) -> bool:
        """Whether this was let through less than `REPEAT_SECONDS` ago."""
        now = time.monotonic()
        if now - self._seen.get(what, -math.inf) < REPEAT_SECONDS:
            return True
        self._seen[what] = now
        if len(self._seen) > MAX_KNOWN:
            self._seen.popitem(last=False)
        return False


def _is_the_callers(error: BaseException) -> bool:
    """Whether an exception says that a request was wrong: pydantic's, or BentoML's with a status below 500."""
    return isinstance(error, ValidationError) or getattr(error, "error_code", 500) < 500


def set_up_logging() -> None:
    """Lets this package's lines through, and puts `Discretion` before everything that is written."""
    logging.getLogger("services").setLevel(logging.INFO)
    discretion = Discretion()
    for name in ("", "bentoml", "uvicorn.error"):
        for handler in logging.getLogger(name).handlers:
            if not any(isinstance(known, Discretion) for known in handler.filters):
                handler.addFilter(discretion)
