"""`counterpoint propose-attributes`, as a user types it: a new file through the ledger, and no file overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from counterpoint.cli import app
from features.errors import InputError
from features.ledger import Ledger
from models.attributes.listed import read_list
from models.llm import engines
from models.llm.scripted import ScriptedEngine

LINES = [
    "Humour | how funny it is | a hilarious comedy full of jokes | a grave and sober film",
    "pace | how fast things happen | one chase after another | a slow study of one face",
]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScriptedEngine:
    engine = ScriptedEngine(lambda _: LINES)
    monkeypatch.setattr(engines, "open_engine", lambda settings: engine)
    monkeypatch.setenv("COUNTERPOINT_HOME", str(tmp_path / "home"))
    return engine


def propose(tmp_path: Path) -> Result:
    recipe = tmp_path / "small.toml"
    recipe.write_text('[data]\nname = "w"\nlayout = "world"\nn_consumers = 30\nn_products = 20\nn_interactions = 200\n')
    return CliRunner().invoke(
        app, ["propose-attributes", str(tmp_path / "mine.toml"), "--recipe", str(recipe), "-n", "2"]
    )


def test_what_passes_goes_to_a_file_and_what_was_bought_to_the_ledger(tmp_path: Path, asked: ScriptedEngine) -> None:
    result = propose(tmp_path)
    assert result.exit_code == 0, result.output
    assert [it.name for it in read_list(str(tmp_path / "mine.toml"))] == ["humour", "pace"]
    with Ledger(f"sqlite:///{tmp_path}/home/ledger.sqlite") as ledger:
        assert set(ledger.find([request.key for request in asked.seen])) == {request.key for request in asked.seen}


def test_what_a_person_edited_is_not_overwritten(tmp_path: Path, asked: ScriptedEngine) -> None:
    (tmp_path / "mine.toml").write_text("edited")
    result = propose(tmp_path)
    assert isinstance(result.exception, InputError)
    assert (tmp_path / "mine.toml").read_text() == "edited"
    assert not asked.seen
