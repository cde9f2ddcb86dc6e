"""A trained model is held against the live one on the same rows, and its cards are made of what was recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.batch import FeatureBatch
from features.errors import CheckError, ReleaseError
from features.types import RatingScale
from flows import gate
from flows.cards import describe_explanations, describe_model, describe_run, run_documents
from flows.evaluate import EvaluateResult, evaluate_models
from flows.explain import explain_entities
from flows.ingest import ingest_data
from flows.release import refresh_release
from flows.train import CONTROL, part_set, read_fit
from models.base import Scores
from models.cards.explanations import ExplanationCard
from models.cards.model import ModelCard
from models.cards.run import RunCard
from models.release import ReleaseTexts

pytestmark = pytest.mark.slow


class Trained:
    """A shop in which a model was trained briefly and evaluated."""

    def __init__(self, shop: Any) -> None:
        self.shop, self.workspace = shop, shop.workspace
        self.recipe = shop.recipe.model_copy(update={"method": shop.quick})
        self.evaluated: EvaluateResult = evaluate_models(self.workspace, self.recipe)

    def pass_gate(self) -> dict[str, Any]:
        return gate.pass_gate(self.workspace, self.recipe, self.evaluated)

    def findings(self) -> str:
        return (self.workspace.settings.reports / "checks" / "metrics.json").read_text()


class Oracle:
    """Says these ratings of the test rows."""

    name, scale = "oracle", RatingScale()

    def __init__(self, rating: np.ndarray) -> None:
        self.rating = np.clip(rating, 1, 5).astype(np.float32)

    def score(self, batch: FeatureBatch) -> Scores:
        return Scores(self.rating, self.rating / 5)


@pytest.fixture
def trained(shop) -> Trained:
    return Trained(shop)


def live_says(trained: Trained, monkeypatch: pytest.MonkeyPatch, of: Callable[[np.ndarray], np.ndarray]) -> None:
    """The live model makes its ratings of the true ones."""
    test = part_set(trained.workspace, ingest_data(trained.workspace, trained.recipe), "test")
    monkeypatch.setattr(gate, "open_live", lambda live: Oracle(of(test.rating)))
    monkeypatch.setattr("features.contracts.outcomes.MIN_ROWS", 1)


def test_what_is_clearly_worse_than_the_live_model_is_refused_and_told_by_how_much(trained, monkeypatch) -> None:
    live_says(trained, monkeypatch, lambda truth: truth - 0.1)
    rmse = trained.evaluated.metrics["lr_recsys"]["rmse/1-5"].value
    told = (
        rf"surely worse by: .*\({rmse:.4f} against 0.1000 of first on the same 15 rows, "
        rf"a difference of \+{int(rmse - 0.1)}\.\d+ with"
    )
    with pytest.raises(CheckError, match=told):
        trained.pass_gate()


def test_what_is_clearly_better_than_the_live_model_passes_with_its_interval(trained, monkeypatch) -> None:
    live_says(trained, monkeypatch, lambda truth: 6 - truth)
    monkeypatch.setattr(gate, "BASELINE", "lr_recsys")  # the gate with the baseline has its own test
    over = trained.pass_gate()["rmse/1-5"]
    assert over.value <= over.high < 0


def test_a_live_model_that_cannot_be_opened_is_named_and_stops_nothing(trained, monkeypatch) -> None:
    def missing(live: Any) -> None:
        raise ReleaseError("The model store has no artifact counterpoint:first.")

    monkeypatch.setattr(gate, "open_live", missing)
    monkeypatch.setattr(gate, "BASELINE", "lr_recsys")
    assert trained.pass_gate() == {}
    assert "no artifact counterpoint:first" in trained.findings()


def test_the_run_card_holds_what_the_stages_recorded(trained) -> None:
    folder = trained.workspace.settings.reports / "run_card"
    card = RunCard.model_validate_json((folder / "run_card.json").read_text())
    assert {path.name for path in folder.iterdir()} == {"run_card.json", "run_card.md", "curves.png"}
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    report = read_fit(trained.workspace, "lr_recsys")
    assert card.fits["lr_recsys"].train_loss == report.train_loss
    assert len(report.train_loss) == len(report.valid_loss) == card.fits["lr_recsys"].epochs == 2
    assert card.fits[CONTROL].config["explanations"] == "none"
    assert card.data_hash == ingest_data(trained.workspace, trained.recipe).data_hash
    assert (card.split.n_train, card.split.n_valid, card.split.n_test) == (120, 15, trained.evaluated.rows)
    rmse = trained.evaluated.metrics["bias"]["rmse/1-5"]
    assert card.metrics["bias"]["rmse/1-5"].low == rmse.low
    facets = trained.workspace.lake.read("facets")
    assert card.cost.texts.calls == facets["request_key"][facets["model"] != "template"].nunique()
    assert card.cost.ledger.calls > 0
    assert card.cost.peak_memory_mb > 0
    assert card.versions["torch"]


def test_cards_go_with_a_release_and_follow_a_refresh(trained) -> None:
    workspace, recipe, releases = trained.workspace, trained.recipe, trained.shop.releases
    live = releases.live()
    made = live.model_copy(update={"release_id": "second"})
    model = describe_model(workspace, recipe, trained.evaluated, made, ("consumer",), live.release_id, {})
    said = describe_explanations(workspace, recipe, explain_entities(workspace, recipe), "second")
    texts = ReleaseTexts(*(workspace.lake.read(name) for name in ("products", "facets", "facts", "pair_texts")))
    releases.publish(made, texts, {**model.documents(), **said.documents()})
    releases.promote("second")
    assert said.products.entities == model.data.n_products == 17
    assert said.products.facets["for"] == int(
        ((texts.facets["entity_kind"] == "product") & (texts.facets["stance"] == "for")).sum()
    )
    trained.shop.drop("catalog", product_id=trained.shop.quiet)
    refreshed = refresh_release(workspace, recipe)
    kept = ModelCard.model_validate_json(releases.read_document(refreshed, "model_card.json"))
    assert (kept.model_of, kept.data.n_products, kept.run) == ("second", 16, model.run)
    said = ExplanationCard.model_validate_json(releases.read_document(refreshed, "explanation_card.json"))
    assert (said.release_id, said.products.entities) == (refreshed, 16)


def test_the_documents_of_a_run_are_the_same_whenever_they_are_made(trained) -> None:
    card = describe_run(trained.workspace, trained.recipe, trained.evaluated)
    assert run_documents(trained.workspace, card) == run_documents(trained.workspace, card)
    folder: Path = trained.workspace.settings.reports / "run_card"
    assert json.loads((folder / "run_card.json").read_text()) == json.loads(card.documents()["run_card.json"])
