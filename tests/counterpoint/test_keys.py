"""`counterpoint keys` and the refusal to serve the world without them, as a user types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from counterpoint.cli import app
from counterpoint.server import serve_here
from features.errors import InputError, SettingError
from features.settings import HostSettings

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.setenv("COUNTERPOINT_HOME", str(tmp_path))
    return lambda *arguments: CliRunner().invoke(app, ["keys", *arguments])


def test_a_key_is_printed_once_and_listed_without_its_secret(run: Run) -> None:
    made = run("new", "shop", "--role", "serve", "--role", "feedback", "--rate", "5")
    key = made.stdout.split()[0]
    listed = run("list", "--json").stdout
    (entry,) = json.loads(listed)
    assert (entry["name"], entry["roles"], entry["rate"]) == ("shop", ["serve", "feedback"], 5.0)
    assert "sha256" not in entry
    assert key not in listed
    assert "shop" in run("list").stdout
    assert run("revoke", "shop").exit_code == 0
    assert "nobody may call" in run("list").stdout


def test_a_role_that_is_none_is_refused_by_name(run: Run) -> None:
    assert isinstance(run("new", "shop", "--role", "owner").exception, InputError)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1"])
def test_without_keys_nothing_but_loopback_is_served(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str
) -> None:
    monkeypatch.setenv("COUNTERPOINT_HOME", str(tmp_path))
    with pytest.raises(SettingError, match="no API keys"):
        serve_here(HostSettings.from_environment(), host, 3000)
