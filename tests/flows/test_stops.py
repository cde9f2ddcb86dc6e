"""A failed contract stops a stage before the next store is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from features.errors import CheckError, InputError
from features.ledger import Ledger
from features.readers.dataset import Dataset
from features.types import Interactions, TextRequest
from flows import explain, ingest
from flows.recipe import DataSection, ExplainSection, Recipe
from flows.workspace import Workspace
from models.llm.scripted import ScriptedEngine

RECIPE = Recipe(
    data=DataSection(name="world", layout="world", n_consumers=16, n_products=12, n_interactions=70),
    explain=ExplainSection(n_per_stance=1),
)


@pytest.fixture
def workspace() -> Workspace:
    return Workspace.open()


def test_ratings_off_the_scale_reach_no_lake(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    read = ingest._read

    def spoiled(data: DataSection) -> Dataset:
        dataset = read(data)
        return replace(dataset, interactions=Interactions(dataset.interactions.frame.assign(rating=9.0)))

    monkeypatch.setattr(ingest, "_read", spoiled)
    with pytest.raises(CheckError, match="rating"):
        ingest.ingest_data(workspace, RECIPE)
    assert not workspace.lake.has("interactions")
    assert workspace.stages.read("ingest") is None


def test_a_run_without_data_says_what_to_give(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="--data"):
        ingest.ingest_data(workspace, Recipe(data=DataSection(name="x", layout="amazon")))


def test_personal_data_in_answers_reaches_no_lake(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    leaking = ScriptedEngine(lambda request: [f"{slot.opening} call jo@example.com." for slot in request.slots])
    monkeypatch.setattr(explain, "open_engine", lambda settings: leaking)
    with pytest.raises(CheckError, match="personal"):
        explain.explain_entities(workspace, RECIPE)
    assert not workspace.lake.has("facets")


@pytest.mark.slow
def test_what_is_refused_is_worded_by_the_template_and_counted(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    babbling = ScriptedEngine(lambda request: [f"{slot.opening} on the moon with zebras." for slot in request.slots])
    monkeypatch.setattr(explain, "open_engine", lambda settings: babbling)
    result = explain.explain_entities(workspace, RECIPE)
    assert result.written_by_model == 0.0
    assert result.refused["grounded"] > 0
    assert set(workspace.lake.read("facets")["model"]) == {"template"}


@pytest.mark.slow
def test_a_refused_line_is_asked_for_once_more_with_the_reason(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def learns(request: TextRequest) -> list[str]:
        again = request.kind.endswith("_again")
        return [f"{slot.opening}{'' if again else ' on the moon with zebras'}, you see." for slot in request.slots]

    engine = ScriptedEngine(learns)
    monkeypatch.setattr(explain, "open_engine", lambda settings: engine)
    result = explain.explain_entities(workspace, RECIPE)
    seconds = [request for request in engine.seen if request.kind.endswith("_again")]
    assert result.retried == len({request.key for request in seconds}) == len(seconds) > 0
    assert all("refused: it used words that the fact does not have" in r.slots[0].about for r in seconds)
    assert 0 < result.recovered <= result.retried
    assert result.written_by_model > 0


@pytest.mark.slow
def test_texts_rest_on_the_training_period_alone(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "open_engine", lambda settings: ScriptedEngine())
    explain.explain_entities(workspace, RECIPE)
    ingested = ingest.ingest_data(workspace, RECIPE)
    for table in ("facts", "facets"):
        assert (workspace.lake.read(table)["evidence_time"] < ingested.cut_valid).all()


@pytest.mark.slow
def test_a_second_run_asks_the_ledger_alone(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = ScriptedEngine()
    monkeypatch.setattr(explain, "open_engine", lambda settings: engine)
    first = explain.explain_entities(workspace, RECIPE)
    asked = len(engine.seen)
    Path(workspace.lake.path("facets")).unlink()  # as if the run had died after the last answer
    again = explain.explain_entities(workspace, RECIPE)
    assert (len(engine.seen), again.from_ledger, again.texts_hash) == (asked, first.requests, first.texts_hash)
    with Ledger(workspace.settings.ledger_url) as ledger:
        assert ledger.summary().answers == first.requests + first.retried
