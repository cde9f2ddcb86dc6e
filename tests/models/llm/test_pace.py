"""Calls go out at the pace the server can keep."""

from __future__ import annotations

import threading
import time

import pytest

from models.llm.pace import Effect, Pace


def soon(seconds: float = 0.2) -> float:
    return time.monotonic() + seconds


def let_out(pace: Pace) -> int:
    """How many calls go out side by side right now."""
    n = 0
    while not pace.enter(time.monotonic()):
        n += 1
    for _ in range(n):
        pace.leave(Effect.NONE)
    return n


def end_call(pace: Pace, effect: Effect, wait: float = 0.0) -> None:
    assert pace.enter(soon(5)) == ""
    pace.leave(effect, wait)


def test_one_call_goes_out_until_the_server_answers_then_more_up_to_the_limit() -> None:
    pace, seen = Pace(most=4), []
    for _ in range(6):
        seen.append(let_out(pace))
        end_call(pace, Effect.ANSWERED)
    assert seen == [1, 2, 3, 4, 4, 4]


def test_a_busy_server_gets_no_call_for_the_time_it_asks_then_half_as_many() -> None:
    pace = Pace(most=8)
    for _ in range(8):
        end_call(pace, Effect.ANSWERED)
    end_call(pace, Effect.BUSY, wait=0.1)
    assert let_out(pace) == 0
    time.sleep(0.1)
    assert let_out(pace) == 4
    end_call(pace, Effect.ANSWERED)
    assert let_out(pace) == 4  # more come back slowly: one for about as many answers as calls
    for _ in range(4):
        end_call(pace, Effect.ANSWERED)
    assert let_out(pace) == 5


def test_calls_that_were_out_when_the_server_said_busy_slow_it_down_once() -> None:
    pace = Pace(most=8)
    for _ in range(8):
        end_call(pace, Effect.ANSWERED)
    for _ in range(8):
        pace.enter(soon())
    for _ in range(8):
        pace.leave(Effect.BUSY, 0.05)
    time.sleep(0.06)
    assert let_out(pace) == 4


def test_failures_in_a_row_open_the_circuit_and_one_call_tries_it() -> None:
    pace = Pace(most=4, away_after=3, pause=0.1)
    for effect in [Effect.ANSWERED] * 4 + [Effect.AWAY, Effect.ANSWERED] + [Effect.AWAY] * 3:
        end_call(pace, effect)
    assert pace.waiting
    assert let_out(pace) == 0
    time.sleep(0.1)
    assert let_out(pace) == 1
    end_call(pace, Effect.ANSWERED)
    assert not pace.waiting
    assert let_out(pace) == 2


def test_a_server_that_stays_away_gets_no_call_any_more() -> None:
    pace = Pace(most=4, away_after=2, pause=0.01, openings=2)
    for effect in [Effect.ANSWERED, *[Effect.AWAY] * 4]:
        end_call(pace, effect)
    assert pace.enter(soon()) == "the server stayed away over 2 pauses"


def test_a_server_that_never_answered_is_not_waited_for() -> None:
    pace = Pace(most=4, away_after=2, pause=60)
    for _ in range(5):
        end_call(pace, Effect.AWAY)
    assert not pace.waiting
    assert let_out(pace) == 1


def test_the_next_run_goes_on_at_the_pace_of_the_last() -> None:
    pace = Pace(most=8, away_after=1, pause=60)
    for effect in [Effect.ANSWERED] * 8 + [Effect.BUSY]:
        end_call(pace, effect)
    pace.stop()
    assert let_out(pace.again()) == 4


def test_a_call_whose_time_is_over_does_not_wait() -> None:
    pace = Pace(most=1)
    pace.enter(soon())
    assert pace.enter(soon(0.05)) == "its time was over"


@pytest.mark.parametrize("wait", [lambda pace: pace.enter(soon(60)), lambda pace: pace.sleep(60)])
def test_a_stop_ends_all_waiting_at_once(wait: object) -> None:
    pace = Pace(most=1)
    pace.enter(soon())
    waiting = threading.Thread(target=wait, args=(pace,))  # type: ignore[arg-type]
    waiting.start()
    pace.stop()
    waiting.join(2)
    assert not waiting.is_alive()
    assert pace.enter(soon()) == "the run was stopped"
