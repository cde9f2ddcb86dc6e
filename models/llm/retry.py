"""What is done about a failed call: a value, decided in one place."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from models.llm.pace import Effect

LONGEST_WAIT = 120.0
"""Seconds; a server that asks for more is not waited for longer."""


@dataclass(frozen=True)
class RetryDecision:
    """Whether a failed call is worth another try."""

    retry: bool
    reason: str
    wait: float | None = None
    """Seconds the server asks to wait (None: the usual backoff)."""
    effect: Effect = Effect.NONE
    """What it says about the server. Only AWAY is a fault that counts; a BUSY server works and wants fewer calls."""

    def pause(self, attempt: int, backoff: float) -> float:
        """Seconds until the next try; jittered, so that parallel calls do not come back all at once."""
        if self.wait is not None:
            return min(self.wait, LONGEST_WAIT)
        return min(backoff * 2.0 ** (attempt - 1), LONGEST_WAIT) * random.uniform(0.5, 1.0)


def decide(outcome: httpx.Response | httpx.RequestError) -> RetryDecision:
    """Whether a failed call is worth another try: yes when the server is busy, broken or away for now.

    A response with a success status comes here only if its body was no chat completion: cut off, or a page.
    """
    if isinstance(outcome, httpx.TimeoutException):
        return RetryDecision(True, f"no answer in time ({type(outcome).__name__})", effect=Effect.AWAY)
    if isinstance(outcome, httpx.UnsupportedProtocol):
        return RetryDecision(False, str(outcome))
    if isinstance(outcome, httpx.RequestError):
        cause = str(outcome) or type(outcome).__name__
        return RetryDecision(True, f"the connection failed ({cause})", effect=Effect.AWAY)
    if outcome.is_success:
        return RetryDecision(True, f"no chat completion but {outcome.text[:200]!r}", effect=Effect.AWAY)
    reason, asked = f"HTTP {outcome.status_code} {outcome.text[:200]!r}", retry_after(outcome)
    if outcome.status_code == 429 and error_code(outcome) != "insufficient_quota":
        return RetryDecision(True, reason, asked, Effect.BUSY)
    if outcome.status_code == 408 or outcome.status_code >= 500:
        return RetryDecision(True, reason, asked, Effect.AWAY if asked is None else Effect.BUSY)
    return RetryDecision(False, reason)


def retry_after(response: httpx.Response) -> float | None:
    """The seconds a server asks to wait, given as a number or as a date."""
    value = response.headers.get("Retry-After", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def error_code(response: httpx.Response) -> str:
    """The `error.code` of a response, as OpenAI-compatible servers give it."""
    try:
        return str(response.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return ""
