"""What is done about a failed call."""

from __future__ import annotations

import time
from email.utils import formatdate

import httpx
import pytest

from models.llm.pace import Effect
from models.llm.retry import LONGEST_WAIT, RetryDecision, decide


def response(status: int, headers: dict[str, str] | None = None, code: str = "") -> httpx.Response:
    return httpx.Response(status, headers=headers, json={"error": {"code": code}})


def test_retry_after_may_be_seconds_or_a_date_or_nonsense() -> None:
    assert decide(response(429, {"Retry-After": "7"})).wait == 7.0
    later = decide(response(503, {"Retry-After": formatdate(time.time() + 30, usegmt=True)})).wait
    assert later is not None
    assert 25 < later <= 30
    assert decide(response(429, {"Retry-After": "soon"})).wait is None


def test_an_empty_account_is_not_a_busy_server() -> None:
    assert decide(response(429)).retry
    assert not decide(response(429, code="insufficient_quota")).retry


def test_only_a_server_that_is_away_is_at_fault() -> None:
    assert decide(response(429)).effect is Effect.BUSY
    assert decide(response(503, {"Retry-After": "1"})).effect is Effect.BUSY
    assert decide(response(503)).effect is Effect.AWAY
    assert decide(response(404)).effect is Effect.NONE


@pytest.mark.parametrize(("attempt", "longest"), [(1, 2.0), (3, 8.0), (99, LONGEST_WAIT)])
def test_the_usual_pause_doubles_up_to_a_limit_and_is_jittered(attempt: int, longest: float) -> None:
    pauses = {RetryDecision(True, "").pause(attempt, backoff=2.0) for _ in range(20)}
    assert len(pauses) > 1
    assert all(longest / 2 <= pause <= longest for pause in pauses)


def test_a_server_that_asks_for_an_hour_is_not_waited_for_that_long() -> None:
    assert decide(response(429, {"Retry-After": "3600"})).pause(1, 1.0) == LONGEST_WAIT
