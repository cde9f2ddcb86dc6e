"""Who may call: keys are hashes, roles open paths, rates are per key; without keys only this machine is answered."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from features.errors import InputError
from services.access import ROUTES, Access, is_loopback, route_of
from services.keys import FOLLOW_SECONDS, KeyFile, Role
from services.problems import Refusal

JSON = {"content-type": "application/json"}


async def fine(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    """The file that `guarded` reads."""
    return KeyFile(tmp_path / "keys.json")


@pytest.fixture
def call(guarded: Callable[..., Any]) -> Any:
    return guarded(fine)


def bearing(key: str) -> dict[str, str]:
    return {**JSON, "authorization": f"Bearer {key}"}


def test_a_key_is_taken_in_either_header(call: Any, keys: KeyFile) -> None:
    key = keys.new("shop", (Role.SERVE,))
    assert call(headers=bearing(key)).status == 200
    assert call(headers={**JSON, "x-api-key": key}).status == 200


@pytest.mark.parametrize("given", ["", "cp_", "cp_000000000000_" + "x" * 43, "ü"])
def test_without_a_known_key_nobody_is_answered(call: Any, keys: KeyFile, given: str) -> None:
    key = keys.new("shop", (Role.SERVE,))
    for headers in (bearing(given), {**JSON, "x-api-key": given}, JSON, bearing(key[:-1] + "~"), bearing(key + "a")):
        answer = call(headers=headers)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_the_file_holds_no_key_and_is_its_owners(keys: KeyFile) -> None:
    key = keys.new("shop", (Role.SERVE, Role.FEEDBACK))
    text = keys.path.read_text()
    assert key not in text
    assert key.split("_", 2)[2] not in text
    assert stat.S_IMODE(os.stat(keys.path).st_mode) == 0o600


@pytest.mark.parametrize("route", [route for route in ROUTES if isinstance(route.needs, Role)], ids=str)
def test_a_role_opens_its_paths_and_no_others(call: Any, keys: KeyFile, route: Any) -> None:
    made = {role: keys.new(f"for-{role}", (role,)) for role in Role}
    for role, key in made.items():
        answer = call(headers=bearing(key), method=route.method, path=route.path.replace("{}", "a1"))
        assert answer.status == (200 if role in (route.needs, Role.ADMIN) else 403), (role, answer)


def test_a_path_that_was_forgotten_in_the_table_needs_admin(call: Any, keys: KeyFile) -> None:
    shop, boss = keys.new("shop", (Role.SERVE,)), keys.new("boss", (Role.ADMIN,))
    assert call(headers=bearing(shop), path="/v1/new").status == 403
    assert call(headers=bearing(boss), path="/v1/new").status == 200


def test_health_is_answered_to_everybody_and_metrics_to_any_key(call: Any, keys: KeyFile) -> None:
    key = keys.new("shop", (Role.FEEDBACK,))
    assert call(b"", {}, "GET", "/livez").status == 200
    assert call(b"", {}, "GET", "/metrics").status == 401
    assert call(b"", bearing(key), "GET", "/metrics").status == 200


def test_a_revoked_key_is_refused_while_the_service_runs(
    call: Any, keys: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = keys.new("shop", (Role.SERVE,))
    assert call(headers=bearing(key)).status == 200
    keys.revoke("shop")
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + FOLLOW_SECONDS)
    assert call(headers=bearing(key)).status == 401


def test_taking_the_file_away_does_not_open_the_door(call: Any, keys: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    key = keys.new("shop", (Role.SERVE,))
    assert call(headers=bearing(key)).status == 200
    keys.path.unlink()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + FOLLOW_SECONDS)
    assert call().status == 401


def test_a_file_that_cannot_be_read_lets_nobody_in(call: Any, keys: KeyFile) -> None:
    keys.path.write_text("{")
    answer = call()
    assert (answer.status, str(keys.path) in json.dumps(answer.body)) == (401, False)


def test_names_are_taken_once_and_must_be_plain(keys: KeyFile) -> None:
    keys.new("shop", (Role.SERVE,))
    with pytest.raises(InputError, match="already"):
        keys.new("shop", (Role.SERVE,))
    for bad in ("", "a b", "../x"):
        with pytest.raises(InputError):
            keys.new(bad, (Role.SERVE,))
    with pytest.raises(InputError, match="There are: shop"):
        keys.revoke("other")


def test_a_key_that_asks_too_often_waits_and_others_do_not(keys: KeyFile) -> None:
    now = [0.0]
    access = Access(keys, rate=2.0, clock=lambda: now[0])
    eager, calm = keys.new("eager", (Role.SERVE,)), keys.new("calm", (Role.SERVE,), rate=0.5)

    def wait(key: str) -> int | None:
        """Seconds until the key may come again; None if it was let in."""
        try:
            access.admit({"headers": [(b"x-api-key", key.encode())]}, route_of("POST", "/v1/score"))
        except Refusal as refusal:
            return refusal.problem.retry_after
        return None

    assert [wait(eager) for _ in range(5)] == [None] * 4 + [1]
    assert [wait(calm) for _ in range(2)] == [None, 2]
    now[0] = 0.5
    assert [wait(eager) for _ in range(2)] == [None, 1]
    assert wait(calm) == 2
    now[0] = 1000.0
    assert [wait(eager) for _ in range(5)] == [None] * 4 + [1]


def test_without_keys_only_this_machine_is_answered(guarded: Callable[..., Any]) -> None:
    call = guarded(fine)
    assert call().status == 200
    call.client = "203.0.113.7"
    assert call().status == 401
    call.client, call.host = "127.0.0.1", "rebound.example:3000"
    assert call().status == 401
    call.host = "[::1]:3000"
    assert call().status == 200


def test_loopback_is_told_from_everything_else() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "::ffff:127.0.0.1")))
    assert not any(map(is_loopback, ("", "0.0.0.0", "::", "10.0.0.1", "localhost.example", "::ffff:10.0.0.1")))


def test_other_origins_are_let_in_by_setting_alone(guarded: Callable[..., Any]) -> None:
    origin = {**JSON, "origin": "https://shop.example"}
    assert "access-control-allow-origin" not in guarded(fine)(headers=origin).headers
    allowed = guarded(fine, cors=("https://shop.example",))
    assert allowed(headers=origin).headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-origin" not in allowed(headers={**JSON, "origin": "https://other.example"}).headers
    asked = {**origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    assert allowed(b"", asked, method="OPTIONS").status == 200
