"""Methods beneath the ranker: no training row is told of by a method that saw it, and what they tell counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from features.batch import FeatureBatch, TrainingSet
from features.errors import ReleaseError, SettingError, TrainingError
from models.artifact import Provenance, load_artifact, replay_golden, save_artifact
from models.backbones.collaborative import CollaborativeConfig
from models.base import RunContext, Scores
from models.methods.bias import Bias
from models.methods.combined import Combined, CombinedConfig, told_inputs
from models.methods.lr_recsys import FIELDS
from models.metrics.ranking import auc
from models.testing import SCALE, Conformance, plain_batch, rich_batch, rich_training_set, training_set

LANE = {"embedding_size": 8, "n_layers": 1, "attention_heads": 2, "epochs": 3, "batch_size": 16}
TOY = CombinedConfig(
    beneath=({"name": "lane", "config": LANE}, {"name": "bias"}), folds=2,
    embedding_size=16, n_heads=2, hidden=(32,), dropout=0.0, id_dropout=0.05, batch_size=64, learning_rate=1e-2,
    epochs=8, patience=8,
    collaborative=CollaborativeConfig(rank=4, chains=1, sweeps=30, burn_in=10, samples=5, folds=2, starts=(0.3,)),
)  # fmt: skip


class TestCombined(Conformance):
    method, config = Combined, TOY

    @pytest.mark.slow
    def test_checkerboard_is_learned(self) -> None:
        """As slow as the ranker's own."""
        super().test_checkerboard_is_learned()


def fitted(config: CombinedConfig, train: TrainingSet, valid: TrainingSet) -> Combined:
    combined = Combined(config, SCALE)
    combined.fit(train, valid, RunContext(seed=3))
    return combined


def only_bias(**changes: object) -> CombinedConfig:
    return TOY.model_copy(update={"beneath": (TOY.beneath[1],), "epochs": 2, **changes})


def held_out(combined: Combined, train: TrainingSet) -> np.ndarray:
    """What the ranker's training rows are told, (N, F, 2)."""
    return told_inputs([it.held_out for it in combined._below], SCALE).numpy()


@pytest.mark.parametrize("beneath", TOY.beneath, ids=lambda it: it.name)
def test_a_training_row_is_not_told_of_by_a_method_that_saw_its_rating(beneath) -> None:
    """Its rating changed changes what others are told, and nothing of what it is told itself."""
    train, valid = rich_training_set(120), rich_training_set(60, 5)
    config = only_bias(beneath=(beneath,))
    before = held_out(fitted(config, train, valid), train)
    for row in (0, 7):
        rating, liked = train.rating.copy(), train.liked.copy()
        liked[row] = 1 - liked[row]
        rating[row] = 6 - rating[row]
        after = held_out(fitted(config, replace(train, rating=rating, liked=liked), valid), train)
        np.testing.assert_array_equal(after[row], before[row])
        assert not np.array_equal(after, before)


def test_the_same_rows_asked_again_are_told_of_by_the_method_of_all_rows() -> None:
    """So the check above can fail: scores of training rows by the method that saw them are other ones."""
    train, valid = rich_training_set(120), rich_training_set(60, 5)
    combined = fitted(only_bias(), train, valid)
    seen = told_inputs([it.method.score(train.batch) for it in combined._below], SCALE).numpy()
    assert not np.allclose(seen, held_out(combined, train), atol=1e-3)


def test_an_artifact_holds_what_is_beneath_and_scores_as_before(tmp_path: Path) -> None:
    combined = fitted(TOY.model_copy(update={"epochs": 1}), rich_training_set(120), rich_training_set(60, 5))
    provenance, card = Provenance(data_hash="d", text_set_hash="t"), {"run_card.md": b"# Run card"}
    save_artifact(tmp_path / "a", combined, None, rich_batch(10), provenance, card)
    assert replay_golden(load_artifact(tmp_path / "a")) == 0
    weights = tmp_path / "a" / "beneath" / "lane" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    with pytest.raises(ReleaseError, match="beneath/lane"):
        load_artifact(tmp_path / "a")


def test_states_of_half_done_trainings_do_not_mix_folds(tmp_path: Path) -> None:
    """Folds begin with the same weights, so that a training would go on from another one's state."""
    train, valid, batch = rich_training_set(120), rich_training_set(60, 5), rich_batch(20, 9)
    run = RunContext(seed=3, state=tmp_path, save_seconds=0.0)
    kept, plain = Combined(TOY, SCALE), fitted(TOY, train, valid)
    kept.fit(train, valid, run)
    again = Combined(TOY, SCALE)
    again.fit(train, valid, run)
    for combined in (kept, again):
        np.testing.assert_array_equal(held_out(combined, train), held_out(plain, train))
        np.testing.assert_array_equal(combined.score(batch).rating, plain.score(batch).rating)


def test_every_method_beneath_has_a_field_that_is_attended_to() -> None:
    combined = fitted(only_bias(), rich_training_set(120), rich_training_set(60, 5))
    scores = combined.score(rich_batch(20, 9))
    assert scores.fields == (*FIELDS, "bias")
    assert (scores.attention[:, -1] > 0).all()


def strangers(first: int, n: int = 300) -> TrainingSet:
    """Pairs of whom each is seen once, liked where their numbers add up to an even one: ids tell nobody else."""
    consumer, product = first + np.arange(n), np.random.default_rng(first).permutation(first + np.arange(n))
    ids = [np.array([f"{side}{it}" for it in numbers], object) for side, numbers in (("c", consumer), ("p", product))]
    return training_set(plain_batch(*ids), (consumer + product) % 2 == 0)


class Oracle(Bias):
    """Can add up."""

    def score(self, batch: FeatureBatch) -> Scores:
        both = zip(batch.consumers.consumer_ids, batch.products.product_ids, strict=True)
        even = np.array([(int(u[1:]) + int(i[1:])) % 2 == 0 for u, i in both], np.float32)
        return replace(super().score(batch), click=0.1 + 0.8 * even)


@pytest.mark.parametrize(("method", "low", "high"), [(Bias, 0.3, 0.7), (Oracle, 0.95, 1.0)])
def test_what_a_method_beneath_knows_reaches_the_score(
    method: type[Bias], low: float, high: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.methods.combined.find_method", lambda name: method)
    test = strangers(2000)
    combined = fitted(only_bias(epochs=8), strangers(0), strangers(1000))
    assert low <= auc(test.liked, combined.score(test.batch).click) <= high


def test_a_control_without_explanations_has_none_beneath_it_either() -> None:
    train, valid = rich_training_set(120), rich_training_set(60, 5)
    full = fitted(TOY.model_copy(update={"epochs": 1}), train, valid)
    bare = Combined(TOY.model_copy(update={"epochs": 1, "explanations": "none"}), SCALE)
    bare.fit_like(full, train, valid, RunContext(seed=3))
    assert [getattr(it.method.config, "explanations", "") for it in bare._below] == ["none", ""]
    assert bare._below[1] is full._below[1]  # what has no explanations is taken over
    assert bare._below[0] is not full._below[0]


def test_other_rows_are_not_taken_for_those_that_were_learned_from() -> None:
    train, valid = rich_training_set(120), rich_training_set(60, 5)
    full = fitted(only_bias(), train, valid)
    other = Combined(only_bias(), SCALE)
    other.fit_like(full, rich_training_set(120, 8), valid, RunContext(seed=3))
    assert other._below[0] is not full._below[0]


def test_fitting_again_without_validation_rows_is_refused() -> None:
    train, valid = rich_training_set(120), rich_training_set(60, 5)
    combined = fitted(only_bias(), train, valid)
    with pytest.raises(TrainingError, match="validation"):
        combined.refit_from(combined.ground(train, RunContext()), train, 1, RunContext())


@pytest.mark.parametrize("names", [(), ("bias", "bias"), ("bias", "combined")])
def test_methods_beneath_are_different_ones(names: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError, match="different methods"):
        CombinedConfig(beneath=tuple({"name": it} for it in names))


def test_settings_beneath_are_those_of_the_method() -> None:
    with pytest.raises(ValidationError, match="epoch"):
        CombinedConfig(beneath=({"name": "lane", "config": {"epoch": 3}},))
    with pytest.raises(SettingError, match="oracle"):
        CombinedConfig(beneath=({"name": "oracle"},))
