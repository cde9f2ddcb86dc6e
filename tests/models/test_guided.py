"""Guided refinement as a method: laws, exact contributions, levels that can be moved, and strangers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.batch import FeatureBatch, tuples
from features.errors import InputError, TrainingError
from features.prompt_texts import DatedText, PromptTexts
from models.artifact import Provenance, load_artifact, replay_golden, save_artifact
from models.attributes.answered import answered_scores
from models.attributes.listed import Attribute
from models.attributes.scorer import ScorerConfig
from models.attributes.tuned import ScoreTuningConfig
from models.backbones.sequences.encoders import EncoderConfig
from models.backbones.sequences.training import TrainingConfig
from models.base import Recommender, RunContext, TextGround
from models.contributions import contributions
from models.lora.low_rank import LoraConfig
from models.methods.guided import Guided, GuidedConfig
from models.testing import SCALE, Conformance, rich_batch, rich_training_set

ATTRIBUTES = (
    Attribute(name="two", description="how much of genre 2", told_by=("genre=2",)),
    Attribute(name="zero", description="how much of genre 0", told_by=("genre=0",)),
    Attribute(name="three", description="how much of genre 3", told_by=("genre=3",), told_against=("genre=1",)),
)
TOY = GuidedConfig(
    attributes=ATTRIBUTES,
    scorer=ScorerConfig(least_products=1),
    widths=EncoderConfig(embedding_size=16, n_layers=1, n_heads=2, length=20, dropout=0.1),
    base=TrainingConfig(epochs=30, patience=30, batch_size=32, learning_rate=1e-2),
    refined=TrainingConfig(epochs=4, batch_size=32, learning_rate=3e-3),
)


class TestGuided(Conformance):
    method, config = Guided, TOY


class TestGuidedGRU4Rec(Conformance):
    method, config = Guided, TOY.model_copy(update={"encoder": "gru4rec"})


class TestGuidedBERT4Rec(Conformance):
    method, config = Guided, TOY.model_copy(update={"encoder": "bert4rec"})


class TestGuidedDiffuRec(Conformance):
    method, config = Guided, TOY.model_copy(update={"encoder": "diffurec"})


@pytest.fixture(scope="module")
def guided() -> Recommender:
    return TestGuided.fitted()


@pytest.fixture
def batch() -> FeatureBatch:
    return rich_batch(40, 9)


def log_odds(click: np.ndarray) -> np.ndarray:
    return np.log(click / (1 - click))


def test_parts_add_up_to_the_log_odds(guided: Recommender, batch: FeatureBatch) -> None:
    """Acceptance 10."""
    parts = guided.additive(batch)
    assert list(parts) == ["means", "base", "popularity", "two", "zero", "three"]
    assert np.abs(parts["two"]).max() > 0
    np.testing.assert_allclose(sum(parts.values()), log_odds(guided.score(batch).click), atol=1e-4)


def test_contributions_are_the_exact_ones(guided: Recommender, batch: FeatureBatch) -> None:
    parts, told = guided.additive(batch), contributions(guided, batch)
    assert list(told) == list(parts)
    whole = log_odds(guided.score(batch).click)
    for name, part in parts.items():
        np.testing.assert_array_equal(told[name].log_odds, part)
        without = 1 / (1 + np.exp(-(whole - part)))
        np.testing.assert_allclose(told[name].click, guided.score(batch).click - without, atol=1e-5)


@pytest.mark.parametrize("attribute", [it.name for it in ATTRIBUTES])
def test_raising_a_level_raises_what_is_high_on_it(guided: Recommender, batch: FeatureBatch, attribute: str) -> None:
    """Acceptance 10: the intervention. How far a product moves is a straight line in its own score."""
    low, high = (log_odds(guided.adjusted({attribute: level}).score(batch).click) for level in (2.0, 9.0))
    place = [it.name for it in ATTRIBUTES].index(attribute)
    own = guided._fitted().scorer.standard(batch.products)[:, place]
    told = np.abs(own) > 0
    assert np.corrcoef((high - low)[told], own[told])[0, 1] > 0.999
    assert (high - low)[own.argmax()] > 0 > (high - low)[own.argmin()]


def test_levels_are_on_the_scale_and_what_is_set_is_what_is_shown(guided: Recommender, batch: FeatureBatch) -> None:
    consumer = batch.consumers.take(np.array([0]))
    levels = guided.levels(consumer)
    assert [it.name for it in levels] == [it.name for it in ATTRIBUTES]
    assert all(1 <= it.level <= 10 for it in levels)
    moved = guided.adjusted({"zero": 8.5}).adjusted({"three": 2.0}).levels(consumer)
    assert {it.name: round(it.level, 4) for it in moved if it.name != "two"} == {"zero": 8.5, "three": 2.0}
    assert guided.levels(consumer) == levels


def test_a_level_left_where_it_is_changes_nothing(guided: Recommender, batch: FeatureBatch) -> None:
    one = batch.take(np.zeros(5, np.intp))
    (level, *_) = guided.levels(one.consumers.take(np.array([0])))
    same = guided.adjusted({level.name: level.level}).score(one)
    np.testing.assert_allclose(same.click, guided.score(one).click, atol=1e-5)


def test_unknown_attributes_and_levels_off_the_scale_are_refused(guided: Recommender) -> None:
    with pytest.raises(InputError, match=r"(?s)no attribute 'smell'.*two, zero, three"):
        guided.adjusted({"smell": 3.0})
    with pytest.raises(InputError, match=r"(?s)'zero' is 11.*1 to 10"):
        guided.adjusted({"zero": 11.0})


def test_held_products_follow_the_levels(guided: Recommender, batch: FeatureBatch) -> None:
    adjusted = guided.adjusted({"zero": 9.0})
    consumer, rows = batch.consumers.take(np.array([0])), np.arange(len(batch))
    held = adjusted.hold(batch.products).score(consumer, rows, None, batch.as_of[0].item())
    crossed = adjusted.score(replace(batch, consumers=batch.consumers.take(np.zeros(len(batch), np.intp))))
    np.testing.assert_allclose(held.click, crossed.click, atol=1e-6)


def test_a_new_product_is_ranked_by_its_attributes(guided: Recommender, batch: FeatureBatch) -> None:
    """Acceptance 12 in small: no interaction, but a place in the list that follows what the catalog says."""
    ids = np.array([f"new{n}" for n in range(len(batch))], object)
    values = tuples([(f"genre={n % 2 * 3}", "year=1") for n in range(len(batch))])
    new = replace(batch, products=replace(batch.products, product_ids=ids, attributes=values))
    new = replace(new, consumers=batch.consumers.take(np.zeros(len(batch), np.intp)))
    click = guided.adjusted({"three": 10.0, "zero": 1.0}).score(new).click
    assert click[1::2].min() > click[::2].mean()
    assert np.ptp(guided.additive(new)["base"]) == 0


def test_an_artifact_needs_no_adapter_that_its_tuning_began_with(batch: FeatureBatch, tmp_path: Path) -> None:
    """It is served on machines that never saw it: whoever opens the folder fails here."""
    lora = LoraConfig(start=tmp_path / "of another machine")
    method = Guided(TOY.model_copy(update={"tuning": ScoreTuningConfig(lora=lora)}), SCALE)
    method._fit = TestGuided.fitted()._fit
    save_artifact(tmp_path / "artifact", method, None, batch, Provenance(data_hash="d", text_set_hash="t"))
    (tmp_path / "artifact").rename(tmp_path / "moved")
    assert replay_golden(load_artifact(tmp_path / "moved")) == 0


def test_an_artifact_of_it_scores_its_golden_examples_again(
    guided: Recommender, batch: FeatureBatch, tmp_path: Path
) -> None:
    save_artifact(tmp_path / "artifact", guided, None, batch, Provenance(data_hash="d", text_set_hash="t"))
    loaded = load_artifact(tmp_path / "artifact").recommender
    assert loaded.config == guided.config
    np.testing.assert_array_equal(loaded.score(batch).click, guided.score(batch).click)
    levels = {"zero": 8.0}
    np.testing.assert_array_equal(
        loaded.adjusted(levels).score(batch).click, guided.adjusted(levels).score(batch).click
    )


def test_an_empty_history_has_no_taste(guided: Recommender, batch: FeatureBatch) -> None:
    ids = np.full_like(batch.consumers.history_ids, "")
    nobody = replace(batch, consumers=replace(batch.consumers, history_ids=ids))
    parts = guided.additive(nobody)
    assert not any(parts[it.name].any() for it in ATTRIBUTES)
    assert not parts["base"].any()


def texts(reviews: dict[str, DatedText] | None = None) -> PromptTexts:
    ids = sorted(set(rich_training_set(128).batch.products.product_ids))
    return PromptTexts(
        {it: f"{('warm', 'cold')[n % 2]} product {n}" for n, it in enumerate(ids)}, {}, {}, reviews or {}
    )


@pytest.mark.slow
def test_a_language_model_may_score_the_products_as_it_is_or_tuned(tiny_base: Path, tmp_path: Path) -> None:
    lora = LoraConfig(rank=4, epochs=1, rate=1e-2)
    config = TOY.model_copy(
        update={
            "scorer": ScorerConfig(least_products=1, least_spread=0.0, most_alike=1.1),
            "tuning": ScoreTuningConfig(lora=lora, gain=1.0),
            "base": TOY.base.model_copy(update={"epochs": 2}),
        }
    )
    ground, found = TextGround(texts(), base=lambda: tiny_base), {}
    for scores in ("facts", "language_model", "tuned"):
        method = Guided(config.model_copy(update={"scores": scores}), SCALE)
        method.fit(rich_training_set(128), rich_training_set(64, 5), RunContext(seed=3, ground=ground))
        method.save(tmp_path)
        alone = Guided.load(tmp_path, method.config, SCALE)
        np.testing.assert_array_equal(alone.score(rich_batch(40, 9)).click, method.score(rich_batch(40, 9)).click)
        found[scores] = method._fitted().scorer.weights
    assert all(it.shape == found["facts"].shape for it in found.values())
    assert not np.allclose(found["language_model"], found["facts"])
    assert not np.allclose(found["language_model"], found["tuned"])


def test_without_texts_a_language_model_cannot_score_products() -> None:
    method = Guided(TOY.model_copy(update={"scores": "language_model"}), SCALE)
    with pytest.raises(TrainingError, match="no texts were given"):
        method.fit(rich_training_set(128), rich_training_set(64, 5), RunContext(seed=3))


def test_what_was_made_from_interactions_does_not_reach_the_language_model(tiny_base: Path) -> None:
    """A product has one score, whenever it is asked for; a review's text is as old as the review."""
    ids = list(texts().titles)
    reviewed = texts({it: DatedText("Loud and bitter.", np.datetime64("2020-01-01")) for it in ids})
    bare, told = (
        answered_scores(ids, ATTRIBUTES, RunContext(ground=TextGround(it, base=lambda: tiny_base)))
        for it in (texts(), reviewed)
    )
    np.testing.assert_array_equal(bare, told)
