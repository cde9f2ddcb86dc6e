"""LANE behind the shared interface: what it learns from facets, what it may not see, and what it says of strangers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from features.batch import CODE_WIDTH, N_FACETS, ConsumerBlock, Indexed, TrainingSet
from features.errors import ReleaseError, TrainingError
from features.vocabulary import Vocabulary
from models.backbones.sequences.aligned import AlignedNetwork
from models.backbones.sequences.batches import (
    FACET_SLOTS,
    contents,
    facet_sets,
    liked_events,
    liked_histories,
    next_liked,
)
from models.backbones.sequences.network import text_rows
from models.backbones.sequences.reranking import RerankConfig, RerankedNetwork
from models.backbones.sequences.windows import Asked
from models.base import RunContext
from models.methods.lane import Lane, LaneConfig
from models.metrics.ranking import auc
from models.testing import SCALE, plain_batch, rich_batch, rich_training_set, training_set

TOY = LaneConfig(
    embedding_size=16, n_layers=1, n_heads=2, dropout=0.0, attention_heads=2, attention_dropout=0.0,
    learning_rate=1e-2, epochs=12, patience=12, batch_size=32,
)  # fmt: skip
N_TOPICS = 4


def by_taste(n_consumers: int, seed: int) -> TrainingSet:
    """Consumers like the products of one topic, which a facet of theirs names; histories say nothing.

    Everybody has 4 rows: two liked products of the topic, and two of others, not liked. Of each consumer only the first
    two rows are known as history, and those are not liked.
    """
    random, topics = np.random.default_rng(seed), np.random.default_rng(99).normal(size=(N_TOPICS, CODE_WIDTH))
    taste = random.integers(0, N_TOPICS, n_consumers)
    other = (taste[:, None] + random.integers(1, N_TOPICS, (n_consumers, 2))) % N_TOPICS
    topic = np.concatenate([other, np.stack([taste, taste], 1)], axis=1)  # (U, 4)
    product = topic + N_TOPICS * np.stack([random.permutation(5)[:4] for _ in taste])
    consumer = np.repeat(np.arange(n_consumers), 4)
    batch = plain_batch(
        np.array([f"c{seed}-{n}" for n in consumer], object), np.array([f"p{n}" for n in product.ravel()], object)
    )
    codes = np.zeros((n_consumers, 2, N_FACETS, CODE_WIDTH), np.float32)
    codes[:, 0, 0] = topics[taste]
    weights = np.zeros((n_consumers, 2, N_FACETS), np.float32)
    weights[:, 0, 0] = 1
    index = consumer.astype(np.int32)
    who = replace(batch.consumers, facet_codes=Indexed(codes, index), facet_weights=Indexed(weights, index))
    batch = replace(batch, consumers=who, as_of=batch.as_of + np.arange(len(consumer)).astype("timedelta64[s]"))
    return training_set(batch, np.tile([False, False, True, True], n_consumers))


@pytest.mark.parametrize(("explanations", "learns"), [("full", True), ("none", False)])
def test_strangers_are_known_by_their_facets_alone(explanations: str, learns: bool) -> None:
    method = Lane(TOY.model_copy(update={"explanations": explanations}), SCALE)
    method.fit(by_taste(150, 0), by_taste(60, 1), RunContext(seed=1))
    test = by_taste(100, 2)
    reached = auc(test.liked, method.score(test.batch).click)
    assert reached > 0.9 if learns else reached < 0.65, f"AUC {reached:.3f}"


def test_another_consumers_facets_mislead() -> None:
    method, test = Lane(TOY, SCALE), by_taste(100, 2)
    method.fit(by_taste(150, 0), by_taste(60, 1), RunContext(seed=1))
    consumers = test.batch.consumers
    whose = np.roll(consumers.facet_codes.index, 4)  # everybody has 4 rows
    swapped = replace(
        consumers,
        facet_codes=replace(consumers.facet_codes, index=whose),
        facet_weights=replace(consumers.facet_weights, index=whose),
    )
    own, others = (
        auc(test.liked, method.score(replace(test.batch, consumers=it)).click) for it in (consumers, swapped)
    )
    assert own > others + 0.2, f"AUC {own:.3f} with their own, {others:.3f} with others'"


def test_the_attention_that_is_told_is_the_mean_of_the_heads_that_acted() -> None:
    method, batch = Lane(TOY.model_copy(update={"epochs": 1}), SCALE), rich_batch(20, 9)
    method.fit(rich_training_set(128), rich_training_set(64, 5), RunContext(seed=3))
    preparation, network, _ = method._fitted()
    assert isinstance(network, AlignedNetwork)
    history = liked_histories(batch.consumers, preparation.products, SCALE)[:, -TOY.length :]
    sets, place = facet_sets(batch.consumers)
    with torch.no_grad():
        of_heads = network.last_with(Asked(history, torch.zeros(20), (history > 0).sum(1)), sets, place).weights
    assert of_heads.shape == (20, TOY.attention_heads, 1, len(FACET_SLOTS))
    np.testing.assert_allclose(method.score(batch).attention, of_heads.mean((1, 2)), atol=1e-6)


def test_an_event_meets_only_facets_known_before_it() -> None:
    """Facets that appear with a consumer's third row reach no earlier event, unless as published."""
    rows = by_taste(1, 0)
    known_from_third = np.array([-1, -1, 0, 0], np.int32)
    who = replace(
        rows.batch.consumers,
        facet_codes=replace(rows.batch.consumers.facet_codes, index=known_from_third),
        facet_weights=replace(rows.batch.consumers.facet_weights, index=known_from_third),
    )
    rows = replace(rows, batch=replace(rows.batch, consumers=who), liked=np.ones(4, np.float32))
    consumers = Vocabulary.build(rows.batch.consumers.consumer_ids)
    products = Vocabulary.build(rows.batch.products.product_ids)
    events, seen = liked_events(rows, consumers, products), {}
    for windowed in (True, False):
        known = Lane(TOY.model_copy(update={"windowed": windowed}), SCALE)._known(events, rows)
        place = known.place(torch.tensor([0]), torch.arange(5).unsqueeze(0))[0]
        seen[windowed] = [bool(known.sets.log_weights[it, -1] == 0) for it in place]
    assert seen[True] == [True, True, False, False, False]
    assert seen[False] == [False] * 5


def test_sets_hold_facets_by_side_and_a_mark_where_there_are_none() -> None:
    batch = by_taste(2, 0).batch
    absent = np.full(8, -1, np.int32)
    none = replace(
        batch.consumers,
        facet_codes=replace(batch.consumers.facet_codes, index=absent),
        facet_weights=replace(batch.consumers.facet_weights, index=absent),
    )
    sets, place = facet_sets(batch.consumers)
    assert sorted(set(place.tolist())) == [1, 2]
    weights = sets.log_weights[place[0]].exp()
    assert {slot: float(it) for slot, it in zip(FACET_SLOTS, weights, strict=True) if it > 0} == {"for 1": 1.0}
    sets, place = facet_sets(none)
    assert place.tolist() == [0] * 8
    assert {slot for slot, it in zip(FACET_SLOTS, sets.log_weights[0], strict=True) if it == 0} == {"no facet"}


def test_histories_hold_what_was_liked_and_is_known() -> None:
    batch = plain_batch(np.array(["c"], object), np.array(["p"], object))
    batch.consumers.history_ids[0, :4] = ["a", "b", "unknown", "c"]
    batch.consumers.history_ratings[0, :4] = [5, 1, 5, 4]
    history = liked_histories(batch.consumers, Vocabulary.build(["a", "b", "c"]), SCALE)
    assert history[0, -3:].tolist() == [0, 3, 1]
    assert not history[0, :-2].any()


def test_what_is_liked_next_is_new_to_the_consumer() -> None:
    ids = (np.array(["a", "a", "b"], object), np.array(["p", "q", "p"], object))
    train = training_set(plain_batch(*ids), np.array([True, False, True]))
    consumers, products = Vocabulary.build("ab"), Vocabulary.build("pqr")
    later = (np.array(["a", "a", "a", "b", "x"], object), np.array(["p", "r", "q", "new", "q"], object))
    valid = training_set(plain_batch(*later), np.ones(5, bool))
    events = liked_events(train, consumers, products)
    assert next_liked(valid, events, consumers, products).tolist() == [2, -1]


def test_pairs_of_one_consumer_share_their_attention() -> None:
    method = Lane(TOY.model_copy(update={"epochs": 1}), SCALE)
    method.fit(rich_training_set(128), rich_training_set(64, 5), RunContext(seed=3))
    batch = rich_batch(40, 9)
    attention = method.score(batch).attention
    no_facet = (batch.consumers.facet_codes.index < 0) | (
        batch.consumers.facet_weights.table[batch.consumers.facet_weights.index].max((1, 2)) <= 0
    )
    assert no_facet.any()
    assert attention[no_facet, -1] == pytest.approx(1)
    assert attention[~no_facet, -1] == pytest.approx(0)


def test_products_that_are_ordered_anew_have_an_attention_of_their_own() -> None:
    """Of one consumer asked about all products, the first three and no others differ in their weights.

    Without trust nothing was ordered anew, and the state's weights are those that acted.
    """
    n_first = 3
    rerank = RerankConfig(n_first=n_first, epochs=2, batch_size=32)
    method = Lane(TOY.model_copy(update={"epochs": 2, "rerank": rerank}), SCALE)
    rows = by_taste(60, 0)
    method.fit(rows, by_taste(60, 1), RunContext(seed=1))
    products = np.unique(rows.batch.products.product_ids)
    one = rows.batch.take(np.zeros(len(products), np.intp))
    codes, weights = two_facets(one.consumers)
    who = replace(one.consumers, facet_codes=codes, facet_weights=weights)
    batch = replace(one, consumers=who, products=replace(one.products, product_ids=products))
    network = method._fitted().network
    assert isinstance(network, RerankedNetwork)
    for trust, n_apart in ((1.0, n_first), (0.0, 0)):
        network.trust.fill_(trust)
        attention = method.score(batch).attention
        assert attention.sum(1) == pytest.approx(1)
        common = np.median(attention, axis=0)
        assert (np.abs(attention - common).max(1) > 1e-6).sum() == n_apart


def two_facets(who: ConsumerBlock) -> tuple[Indexed, Indexed]:
    """The first facet of everybody beside another one, so that there is something to choose between."""
    codes, weights = who.facet_codes.table.copy(), who.facet_weights.table.copy()
    codes[:, 0, 1], weights[:, 0, 1] = -codes[:, 0, 0], 1
    return replace(who.facet_codes, table=codes), replace(who.facet_weights, table=weights)


def test_the_latest_facets_stand_for_the_training_texts_no_longer_than_training() -> None:
    method = Lane(TOY.model_copy(update={"epochs": 1}), SCALE)
    method.fit(rich_training_set(128), rich_training_set(64, 5), RunContext(seed=3))
    network = method._fitted().network
    assert isinstance(network, AlignedNetwork)
    assert network.known is None


@pytest.mark.parametrize("table", ["trained", "frozen", "random"])
def test_a_table_starts_where_the_config_says_and_frozen_ones_stay(table: str) -> None:
    config = TOY.model_copy(update={"table": table, "epochs": 2})
    method, rows = Lane(config, SCALE), rich_training_set(128)
    method.fit(rows, rich_training_set(64, 5), RunContext(seed=3))
    fit = method._fitted()
    start = text_rows(contents(rows, fit.preparation.products), config.embedding_size)
    same = torch.equal(fit.network.table.rows.weight[1:], start)
    assert same == (table == "frozen")
    assert (fit.network.table.rows.weight[0] == 0).all()


def test_without_validation_rows_there_is_no_head() -> None:
    rows = rich_training_set(32)
    with pytest.raises(TrainingError, match="no validation row"):
        Lane(TOY, SCALE).fit(rows, rows.take(np.arange(0)), RunContext())


def test_weights_of_another_config_are_refused(tmp_path: Path) -> None:
    method = Lane(TOY.model_copy(update={"epochs": 1}), SCALE)
    method.fit(rich_training_set(64), rich_training_set(64, 5), RunContext())
    method.save(tmp_path)
    with pytest.raises(ReleaseError, match="do not fit the config"):
        Lane.load(tmp_path, TOY.model_copy(update={"embedding_size": 32}), SCALE)


@pytest.mark.parametrize("backbone", ["gru4rec", "bert4rec", "diffurec"])
def test_the_other_backbones_fit_and_score_too_and_after_saving_alike(backbone: str, tmp_path: Path) -> None:
    config = TOY.model_copy(update={"backbone": backbone, "epochs": 1})
    method, batch = Lane(config, SCALE), rich_batch(10, 9)
    method.fit(rich_training_set(64), rich_training_set(64, 5), RunContext())
    method.save(tmp_path)
    scores, again = method.score(batch), Lane.load(tmp_path, config, SCALE).score(batch)
    assert np.isfinite(scores.click).all()
    assert np.array_equal(scores.click, again.click)
    assert np.array_equal(scores.attention, again.attention)
