"""The doctor names what is missing with a remedy, changes nothing, and shows no secret."""

from __future__ import annotations

import importlib.util
import io
import json
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from counterpoint import doctor
from counterpoint.doctor import Diagnosis, Status, as_json, diagnose, render
from features.settings import HostSettings


@pytest.fixture
def settings(tmp_path: Path) -> HostSettings:
    return HostSettings.from_environment({"COUNTERPOINT_HOME": str(tmp_path / "home")})


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


needs_releases = pytest.mark.skipif(
    importlib.util.find_spec("models.release") is None, reason="the release store is not part of this tree"
)


@needs_releases
@pytest.mark.slow
def test_looks_at_every_part_and_creates_nothing(settings: HostSettings) -> None:
    found = {item.part: item for item in diagnose(settings)}
    assert list(found) == [
        *("python", "torch", "cpu"),
        *("prefect", "feast", "bentoml", "great-expectations", "transformers", "prefect server"),
        *("language model", "text encoder"),
        *("home", "ledger", "online store", "live release"),
    ]
    assert all(item.remedy for item in found.values() if item.status is not Status.OK)
    assert found["live release"].status is Status.WARNING
    assert not settings.home.exists()


@needs_releases
@pytest.mark.slow
def test_other_heavy_libraries_are_not_imported(settings: HostSettings) -> None:

    code = (
        "import sys; from counterpoint.doctor import diagnose; from features.settings import HostSettings;"
        "diagnose(HostSettings.from_environment());"
        "print(sorted({'prefect', 'feast', 'bentoml', 'great_expectations', 'transformers'} & set(sys.modules)))"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "[]"


def test_a_package_that_is_not_installed() -> None:
    assert doctor._library("no-such-package-here").status is Status.MISSING


@pytest.mark.parametrize(("late", "bound"), [("sqlalchemy", "sqlalchemy<2.1"), ("fastapi", "fastapi<0.151")])
def test_a_version_that_prefect_does_not_work_with(monkeypatch: pytest.MonkeyPatch, late: str, bound: str) -> None:
    monkeypatch.setattr(doctor, "version", lambda name: {"sqlalchemy": "2.0.58", "fastapi": "0.150.0"}[name])
    assert doctor._prefect_server().status is Status.OK
    monkeypatch.setitem(doctor.SERVER_LIMITS, late, (0, 1))
    assert doctor._prefect_server().status is Status.WARNING
    monkeypatch.setattr(doctor, "version", lambda name: "9.9")
    monkeypatch.setitem(doctor.SERVER_LIMITS, late, (2, 1) if late == "sqlalchemy" else (0, 151))
    assert bound in doctor._prefect_server().remedy


def test_missing_weights(settings: HostSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LLM_WEIGHTS", ("no_such_package_here", "*.gguf"))
    found = doctor._language_model(settings)
    assert found.status is Status.MISSING
    assert "COUNTERPOINT_LLM_URL" in found.remedy


def test_a_language_model_server_that_does_not_answer(settings: HostSettings, closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}/v1"
    found = doctor._language_model(replace(settings, llm_url=url, llm_model="big", llm_key="sk-secret"))
    assert found.status is Status.MISSING
    assert "big at http://127.0.0.1" in found.found
    assert "sk-secret" not in str(found)


def test_a_file_of_texts_is_looked_through(settings: HostSettings, tmp_path: Path) -> None:
    answers = tmp_path / "answers.jsonl"
    assert doctor._language_model(replace(settings, texts=answers)).status is Status.MISSING
    provenance = {"model": "big", "revision": "7", "source": "job 12", "made_at": "2026-05-01T10:00:00Z"}
    answers.write_text(json.dumps({**provenance, "request": "0" * 64, "text": "It is new."}))
    found = doctor._language_model(replace(settings, texts=answers))
    assert (found.status, found.found) == (Status.OK, f"1 texts of imported:big in {answers}")


def test_a_home_that_cannot_be_written(settings: HostSettings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    found = doctor._home(replace(settings, home=tmp_path / "file" / "home"))
    assert found.status is Status.MISSING
    assert "COUNTERPOINT_HOME" in found.remedy


def test_little_disk(settings: HostSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LITTLE_DISK_GB", 1e9)
    assert doctor._home(settings).status is Status.WARNING


def test_a_damaged_ledger(settings: HostSettings) -> None:
    settings.home.mkdir()
    (settings.home / "ledger.sqlite").write_bytes(b"not a database, only some bytes" * 40)
    assert doctor._ledger(settings).status is Status.MISSING


def test_a_database_that_is_away_keeps_its_password(settings: HostSettings, closed_port: int) -> None:
    url = f"postgresql+psycopg://me:hunter2@127.0.0.1:{closed_port}/ledger"
    found = doctor._ledger(replace(settings, ledger_url=url))
    assert found.status is Status.MISSING
    assert "me:***@" in found.found
    assert "hunter2" not in str(found)


def test_a_redis_that_is_away(settings: HostSettings, closed_port: int) -> None:
    address = f"127.0.0.1:{closed_port},password=hunter2"
    found = doctor._online_store(replace(settings, online_store="redis", redis_url=address))
    assert found.status is Status.MISSING
    assert "hunter2" not in str(found)


def test_both_forms_say_the_same() -> None:
    items = [Diagnosis("home", Status.OK, "here"), Diagnosis("ledger", Status.MISSING, "[gone]", "Start it.")]
    assert json.loads(json.dumps(as_json(items)))[1] == {
        "part": "ledger",
        "status": "missing",
        "found": "[gone]",
        "remedy": "Start it.",
    }
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(render(items))
    text = console.export_text()
    assert "[gone]" in text
    assert "Start it." in text
