"""LR-Recsys: training is real, reasons are used when they know something and only then."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import torch

from features.assemble import cross
from features.batch import CODE_WIDTH, Indexed, PairBlock
from features.errors import ReleaseError, TrainingError
from models.backbones.collaborative import CollaborativeConfig
from models.backbones.factorization import Belief
from models.backbones.reasons import Reasons, distillation_loss
from models.base import RunContext, find_method
from models.members import Members
from models.methods.lr_recsys import FIELDS, LRRecsys, LRRecsysConfig
from models.metrics.ranking import auc
from models.testing import SCALE, planted_reasons, rich_batch, rich_training_set

TOY = LRRecsysConfig(
    embedding_size=16, n_heads=2, hidden=(32,), dropout=0.0, batch_size=128, learning_rate=5e-3, epochs=15,
    patience=15,
    collaborative=CollaborativeConfig(rank=4, chains=1, sweeps=20, burn_in=10, samples=5, folds=2, starts=(0.3,)),
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tiny networks lose more to threads than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def fitted(config: LRRecsysConfig = TOY, **planted: object) -> LRRecsys:
    method = LRRecsys(config, SCALE)
    if planted:
        train, valid = planted_reasons(1500, **planted, seed=1), planted_reasons(300, **planted, seed=2)
    else:
        train, valid = rich_training_set(128), rich_training_set(64, 5)
    method.fit(train, valid, RunContext(seed=1))
    return method


def reached(method: LRRecsys, **planted: object) -> float:
    test = planted_reasons(600, **planted, seed=3)
    return auc(test.liked, method.score(test.batch).click)


def network(config: LRRecsysConfig = TOY) -> Members:
    return fitted(config.model_copy(update={"epochs": 1}))._fitted().network


def test_it_is_found_by_name():
    assert find_method("lr_recsys") is LRRecsys


@pytest.mark.slow
@pytest.mark.parametrize("source", ["facets", "pair"])
def test_a_signal_in_the_reasons_is_picked_up(source):
    full = reached(fitted(source=source, signal=True), source=source, signal=True)
    none = reached(
        fitted(TOY.model_copy(update={"explanations": "none"}), source=source, signal=True),
        source=source,
        signal=True,
    )
    assert full > 0.9
    assert none < 0.6


@pytest.mark.slow
@pytest.mark.parametrize("source", ["facets", "pair"])
def test_noise_in_the_reasons_gains_nothing(source):
    assert reached(fitted(source=source, signal=False), source=source, signal=False) < 0.6


@pytest.mark.slow
def test_reasons_of_the_wrong_stance_are_not_seen():
    negative = TOY.model_copy(update={"explanations": "neg_only"})
    assert reached(fitted(negative, source="pair", signal=True), source="pair", signal=True) < 0.6


def test_all_variants_have_the_same_number_of_parameters():
    sizes = {
        sum(p.numel() for p in network(TOY.model_copy(update={"explanations": variant})).parameters())
        for variant in ("full", "pos_only", "neg_only", "none")
    }
    assert len(sizes) == 1


@pytest.mark.slow
def test_few_rows_are_learned_by_heart():
    train = rich_training_set(32)
    config = TOY.model_copy(update={"epochs": 150, "patience": 150, "explanation_dropout": 0.0, "id_dropout": 0.0})
    method = LRRecsys(config, SCALE)
    method.fit(train, train, RunContext(seed=1))
    assert np.abs(method.score(train.batch).rating - train.rating).max() < 0.2


@pytest.mark.parametrize("backend", ["mlp", "deepfm", "dcn", "din"])
def test_every_parameter_gets_a_gradient(backend):
    config = TOY.model_copy(update={"epochs": 1, "backend": backend, "members": 2})
    train = rich_training_set(256)
    method = fitted(config)
    fit = method._fitted()
    fit.network.train()
    examples = method._examples(fit.preparation, train, fit.collaborative.believe(train.batch), "cpu")
    method._lesson(fit.network, examples, torch.arange(256)).sum().backward()
    without = [name for name, p in fit.network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_a_nan_target_stops_training():
    train = rich_training_set(64)
    train.rating[3] = np.nan
    with pytest.raises(TrainingError, match="1 of 64 training ratings"):
        LRRecsys(TOY, SCALE).fit(train, rich_training_set(32), RunContext())


def test_no_rows_are_an_error():
    nothing = rich_training_set(8).take(np.arange(0))
    with pytest.raises(TrainingError, match="0 training"):
        LRRecsys(TOY, SCALE).fit(nothing, nothing, RunContext())


def test_a_missing_reason_is_not_a_zero_code():
    method, batch = fitted(), rich_batch(20, 4)
    batch = replace(batch, pairs=PairBlock(Indexed(np.zeros((1, 2, CODE_WIDTH), np.float32), np.zeros(20, np.int32))))
    without = replace(batch, pairs=PairBlock(Indexed(batch.pairs.codes.table, np.full(20, -1, np.int32))))
    assert not np.allclose(method.score(batch).rating, method.score(without).rating, atol=1e-6)


def test_a_code_with_nan_counts_as_absent():
    method, batch = fitted(), rich_batch(20, 4)
    nothing = Indexed(np.full((1, 2, CODE_WIDTH), np.nan, np.float32), np.zeros(20, np.int32))
    absent = Indexed(nothing.table, np.full(20, -1, np.int32))
    np.testing.assert_array_equal(
        method.score(replace(batch, pairs=PairBlock(nothing))).rating,
        method.score(replace(batch, pairs=PairBlock(absent))).rating,
    )


def test_a_bought_code_replaces_the_composed_one():
    batch = rich_batch(40, 4)
    torch.manual_seed(0)
    reasons = Reasons(16, "full", 0.2).eval()
    preparation = fitted()._fitted().preparation
    belief = Belief(torch.arange(1.0, 6.0), torch.full((40, 4), 0.5), torch.zeros(40))
    inputs = preparation.inputs(batch, belief)
    told = reasons(inputs)
    row = int(np.flatnonzero(batch.pairs.codes.index >= 0)[0])
    pair = torch.from_numpy(batch.pairs.codes.table[batch.pairs.codes.index[row]])
    torch.testing.assert_close(told.fields[row], reasons.adapter(pair) + reasons.polarity, atol=1e-5, rtol=0)
    nothing = (batch.pairs.codes.index < 0) & (batch.consumers.facet_codes.index < 0)
    nothing &= batch.products.facet_codes.index < 0
    assert nothing.any()
    assert not told.seen[torch.from_numpy(nothing)].any()
    assert torch.equal(told.fields[torch.from_numpy(nothing)][0], reasons.missing)


def test_distillation_is_zero_where_composed_equals_bought():
    codes = torch.randn(5, 2, CODE_WIDTH)
    both = torch.ones(5, 2, dtype=torch.bool)
    assert distillation_loss(codes, codes, both).item() == pytest.approx(0, abs=1e-5)
    assert distillation_loss(codes, -codes, both).item() > 2
    assert distillation_loss(codes, -codes, ~both).item() == 0


def test_stars_go_from_the_belief_to_the_network_as_far_as_it_is_followed():
    method, batch = fitted(), rich_batch(20, 4)
    fit = method._fitted()
    believed = fit.preparation.inputs(batch, fit.collaborative.believe(batch)).belief[:, 0]
    start = SCALE.low + 4 * believed.sigmoid().numpy()
    stars = []
    for share in (0.0, 0.5, 1.0):
        method._fit = fit._replace(followed=torch.tensor(share))
        stars.append(method.score(batch).rating)
    np.testing.assert_allclose(stars[0], start, atol=1e-5)
    np.testing.assert_allclose(stars[1], (stars[0] + stars[2]) / 2, atol=1e-5)
    assert np.abs(stars[2] - stars[0]).max() > 1e-3


def test_liking_is_calibrated_for_the_members_together():
    method = fitted(TOY.model_copy(update={"members": 3, "epochs": 2}))
    odds = [np.log(each.click / (1 - each.click)) for each in method.score_members(rich_batch(20, 4))]
    together = method.score(rich_batch(20, 4)).click
    np.testing.assert_allclose(np.log(together / (1 - together)), np.mean(odds, axis=0), atol=1e-4)


def test_fitted_again_the_level_is_that_of_the_new_network():
    """Where a network's last steps leave its mean chance is its own; what was calibrated before starts from there."""
    train = rich_training_set(128)
    method = fitted()
    ground, before = method.ground(train, RunContext()), method._fitted()
    for epochs in (1, 4):
        method.refit_from(ground, train, epochs, RunContext())
        fit = method._fitted()
        examples = method._examples(fit.preparation, train, ground.held_out, "cpu")
        _, click = method._said(fit.network, examples)
        share = (train.liked.sum() + 1) / (len(train) + 2)
        assert (click + fit.level).sigmoid().mean().item() == pytest.approx(share, abs=1e-3)
        assert torch.equal(fit.calibration, before.calibration)


def test_attention_names_the_six_fields():
    scores = fitted().score(rich_batch(5))
    assert scores.fields == FIELDS
    assert scores.attention.shape == (5, 6)


def test_weights_of_another_config_are_refused(tmp_path):
    fitted().save(tmp_path)
    with pytest.raises(ReleaseError, match="do not fit"):
        LRRecsys.load(tmp_path, TOY.model_copy(update={"embedding_size": 32}), SCALE)
    (tmp_path / "vocabularies.json").write_text("{")
    with pytest.raises(ReleaseError, match="vocabularies"):
        LRRecsys.load(tmp_path, TOY, SCALE)


@pytest.mark.parametrize("backend", ["mlp", "din"])
def test_one_consumer_scores_as_if_repeated_for_every_product(backend):
    method, batch = fitted(TOY.model_copy(update={"epochs": 2, "backend": backend})), rich_batch(40, 4)
    held, at = method.hold(batch.products), datetime(2024, 3, 5, 17, tzinfo=UTC)
    rows = np.random.default_rng(0).permutation(40)[:30]
    for n, with_pairs in ((0, False), (1, True), (2, False)):
        consumer, pairs = batch.consumers.take(np.array([n])), batch.pairs.take(rows) if with_pairs else None
        repeated = method.score(cross(consumer, batch.products.take(rows), pairs, at))
        once = held.score(consumer, rows, pairs, at)
        for name in ("click", "attention"):
            np.testing.assert_allclose(getattr(once, name), getattr(repeated, name), atol=1e-6, rtol=0)
        np.testing.assert_allclose(once.rating, repeated.rating, atol=1e-6 * (SCALE.high - SCALE.low), rtol=0)


def test_what_all_rows_share_stays_one_row_when_rows_are_chosen():
    method, batch = fitted(TOY.model_copy(update={"epochs": 1})), rich_batch(12, 4)
    held, seen = method.hold(batch.products), []
    held._score = seen.append
    held.score(batch.consumers.take(np.array([0])), np.arange(12), None, datetime(2024, 3, 5, tzinfo=UTC))
    (inputs,) = seen
    parts = inputs.chunks(5)
    assert inputs.of_one
    assert [len(part) for part in parts] == [5, 5, 2]
    assert all(part.of_one for part in parts)
    assert len(inputs.each().consumer) == 12
    network = method._fitted().network.eval()
    with torch.inference_mode():
        whole = network(inputs).click
        torch.testing.assert_close(torch.cat([network(part).click for part in parts], dim=1), whole, atol=1e-5, rtol=0)
        torch.testing.assert_close(network(inputs.each()).click, whole, atol=1e-5, rtol=0)
