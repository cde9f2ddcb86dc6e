"""Under load: no room means 503 at once, no time means 504, and leaving is announced before it happens."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

JSON = {"content-type": "application/json"}


class Slow:
    """An app that answers when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.n_begun = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.n_begun += 1
        if scope["path"].startswith("/v1"):
            await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


def test_what_finds_no_room_is_turned_away_at_once_and_health_is_still_answered(guarded: Callable[..., Any]) -> None:
    async def load() -> tuple[list[Any], Any, list[Any]]:
        app = Slow()
        call = guarded(app, concurrency=3)
        held = [asyncio.create_task(call.ask()) for _ in range(3)]
        await asyncio.sleep(0)
        refused = [await call.ask() for _ in range(5)]
        health = await call.ask(b"", {}, "GET", "/livez")
        assert app.n_begun == 4
        app.go.set()
        return refused, health, [await it for it in held] + [await call.ask()]

    refused, health, served = asyncio.run(load())
    assert {(it.status, it.headers["retry-after"], it.body["type"][-10:]) for it in refused} == {
        (503, "1", "overloaded")
    }
    assert health.status == 200
    assert [it.status for it in served] == [200] * 4


@pytest.mark.parametrize(("deadline", "asked"), [(0.02, None), (60, "20"), (0.02, "60000")])
def test_what_takes_too_long_is_given_up_and_its_place_is_free_again(
    guarded: Callable[..., Any], deadline: float, asked: str | None
) -> None:
    async def load() -> list[Any]:
        app = Slow()
        call = guarded(app, concurrency=1, deadline=deadline)
        late = await call.ask(headers={**JSON, "x-deadline-ms": asked} if asked else JSON)
        app.go.set()
        return [late, await call.ask()]

    late, after = asyncio.run(load())
    assert (late.status, late.body["detail"]) == (504, "There was no answer within 0.02 seconds.")
    assert after.status == 200


@pytest.mark.parametrize("given", ["0", "-1", "1e3", "soon", "9" * 30])
def test_a_deadline_that_is_no_number_is_the_callers_problem(guarded: Callable[..., Any], given: str) -> None:
    assert guarded(Slow())(headers={**JSON, "x-deadline-ms": given}).status == 400


def test_on_sigterm_it_is_not_ready_at_once_and_closes_later(guarded: Callable[..., Any]) -> None:
    closed: list[int] = []

    async def leave() -> list[Any]:
        app = Slow()
        app.go.set()
        call = guarded(app, drain=0.05)
        call.guard._drain.install()
        ready = await call.ask(b"", {}, "GET", "/readyz")
        for _ in range(2):  # the supervisor's and the process group's
            os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0)
        leaving = [
            await call.ask(b"", {}, "GET", "/readyz"),
            await call.ask(b"", {}, "GET", "/livez"),
            await call.ask(),
        ]
        assert closed == []
        await asyncio.sleep(0.1)
        return [ready, *leaving]

    before = signal.signal(signal.SIGTERM, lambda number, frame: closed.append(number))
    try:
        ready, not_ready, alive, served = asyncio.run(leave())
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [it.status for it in (ready, not_ready, alive, served)] == [200, 503, 200, 200]
    assert served.headers["connection"] == "close"
    assert closed == [signal.SIGTERM]
