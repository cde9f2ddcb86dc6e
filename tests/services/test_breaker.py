"""A store that is away or does not answer costs a few requests a short wait; the others go on without it at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from features.errors import StoreError
from services import breaker
from services.breaker import FAILURES, Breaker, SparedFeatures
from services.runtime import Runtime
from services.schemas import RecommendRequest

SECONDS = 0.05


@dataclass
class Store:
    """Answers, fails, or hangs until it is let go."""

    mood: str = "well"
    n_asked: int = 0
    let_go: threading.Event = field(default_factory=threading.Event)

    def read(self) -> int:
        self.n_asked += 1
        if self.mood == "down":
            raise ConnectionRefusedError
        if self.mood == "hanging":
            self.let_go.wait(10)
        return 7


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(breaker, "TRY_SECONDS", 0.05)
    made = Store()
    yield made
    made.let_go.set()


def ask(guard: Breaker, store: Store) -> float:
    """Seconds until it was said that there is nothing."""
    started = time.perf_counter()
    with pytest.raises((StoreError, ConnectionRefusedError)):
        guard.call(store.read)
    return time.perf_counter() - started


def test_a_store_that_is_well_is_read(store: Store) -> None:
    guard = Breaker(SECONDS)
    assert [guard.call(store.read) for _ in range(3)] == [7, 7, 7]
    assert not guard.away


@pytest.mark.parametrize("mood", ["down", "hanging"])
def test_after_two_failures_nobody_waits_and_the_store_is_left_alone(store: Store, mood: str) -> None:
    guard, store.mood = Breaker(SECONDS), mood
    waits = [ask(guard, store) for _ in range(100)]
    assert max(waits[:FAILURES]) < 10 * SECONDS
    assert sorted(waits[FAILURES:])[96] < SECONDS / 2
    assert guard.away
    assert store.n_asked <= FAILURES + 1 + sum(waits) / 0.05


def test_a_try_that_hangs_in_the_driver_keeps_no_later_one_from_succeeding(store: Store) -> None:
    guard, store.mood = Breaker(SECONDS), "hanging"
    while not guard.away:
        ask(guard, store)
    time.sleep(0.06)
    ask(guard, store)  # starts a try, which hangs for as long as the test
    store.mood = "well"
    deadline = time.monotonic() + 5
    while guard.away:
        assert time.monotonic() < deadline
        ask(guard, store)
        time.sleep(0.01)
    assert not store.let_go.is_set()


@pytest.mark.parametrize("mood", ["down", "hanging"])
def test_a_store_that_came_back_is_read_again_without_a_request_waiting_for_it(store: Store, mood: str) -> None:
    guard, store.mood = Breaker(SECONDS), mood
    while not guard.away:
        ask(guard, store)
    store.mood = "well"
    store.let_go.set()
    deadline = time.monotonic() + 5
    while guard.away:
        assert time.monotonic() < deadline
        assert ask(guard, store) < SECONDS
        time.sleep(0.005)
    assert guard.call(store.read) == 7


def test_one_failure_alone_leaves_it_asked(store: Store) -> None:
    guard = Breaker(SECONDS)
    for _ in range(3):
        store.mood = "down"
        ask(guard, store)
        store.mood = "well"
        assert guard.call(store.read) == 7


def test_answers_without_the_store_are_complete_and_say_so(
    make_runtime_on: Callable[[Any], Runtime], features: Any
) -> None:
    runtime = make_runtime_on(SparedFeatures(features, SECONDS))
    features.broken = True
    answers = [runtime.recommend(RecommendRequest(consumer_id="c1", k=3)) for _ in range(5)]
    assert {len(answer.items) for answer in answers} == {3}
    assert all(answer.degraded and "online store" in str(answer.cause) for answer in answers)
