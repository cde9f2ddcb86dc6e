"""The service follows the pointer: a good release takes over without a restart, a bad one never does."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from features.errors import ReleaseError, StoreError
from services.live import LiveRuntime
from services.runtime import Runtime


@dataclass
class FakeStore:
    live_id_: str | None = "r1"

    def live_id(self) -> str | None:
        return self.live_id_


def make_live(store: Any, open_runtime: Callable[[str], Runtime], bad: frozenset[str] = frozenset()) -> LiveRuntime:
    def open_live() -> Runtime:
        if store.live_id_ is None or store.live_id_ in bad:
            raise ReleaseError(f"cannot serve {store.live_id_}")
        return open_runtime(store.live_id_)

    return LiveRuntime(store, open_live, check_seconds=0.0)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_promotion_takes_over(open_runtime: Callable[[str], Runtime]) -> None:
    store = FakeStore()
    live = make_live(store, open_runtime)
    assert live.current().release.release_id == "r1"
    store.live_id_ = "r2"
    wait_until(lambda: live.current().release.release_id == "r2")


def test_a_release_that_cannot_be_opened_leaves_the_old_one_in_place(
    open_runtime: Callable[[str], Runtime],
) -> None:
    store = FakeStore()
    live = make_live(store, open_runtime, frozenset({"r2"}))
    store.live_id_ = "r2"
    wait_until(lambda: live.ready and live._settled == "r2")
    assert live.current().release.release_id == "r1"


def test_without_a_release_the_service_is_not_ready_until_there_is_one(
    open_runtime: Callable[[str], Runtime],
) -> None:
    store = FakeStore(None)
    live = make_live(store, open_runtime)
    assert not live.ready
    with pytest.raises(ReleaseError, match="cannot serve None"):
        live.current()
    store.live_id_ = "r1"
    wait_until(lambda: live.ready)


def test_a_store_that_is_away_at_start_is_tried_again(open_runtime: Callable[[str], Runtime]) -> None:
    failures = [StoreError("away"), StoreError("still away")]

    def open_live() -> Runtime:
        if failures:
            raise failures.pop()
        return open_runtime("r1")

    live = LiveRuntime(FakeStore(), open_live, check_seconds=0.0)  # type: ignore[arg-type]
    wait_until(lambda: live.ready)
    assert not failures


def test_what_is_opened_is_kept_from_garbage_collection_and_what_comes_after_is_not(
    open_runtime: Callable[[str], Runtime],
) -> None:
    collecting = list[bool]()

    def open_live() -> Runtime:
        collecting.append(gc.isenabled())
        return open_runtime("r1")

    gc.unfreeze()  # what other tests have left
    live = LiveRuntime(FakeStore(), open_live, check_seconds=60.0)  # type: ignore[arg-type]
    try:
        assert live.ready
        assert (collecting, gc.isenabled()) == ([False], True)
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_a_release_that_cannot_be_opened_leaves_garbage_collection_on() -> None:
    def open_live() -> Runtime:
        raise ReleaseError("no")

    LiveRuntime(FakeStore(), open_live, check_seconds=60.0)  # type: ignore[arg-type]
    assert gc.isenabled()
