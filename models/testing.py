"""What every method must do: synthetic training sets with known answers, and a conformance class to inherit.

A method's test names the class, a config and what it can learn, and inherits the checks:

    class TestMine(Conformance):
        method, config = Mine, MineConfig(...)
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from features.assemble import cross
from features.batch import (
    CODE_WIDTH,
    CONSUMER_NUMERIC,
    CONTENT_WIDTH,
    HISTORY_LENGTH,
    N_FACETS,
    PRODUCT_NUMERIC,
    ConsumerBlock,
    FeatureBatch,
    Indexed,
    PairBlock,
    ProductBlock,
    TrainingSet,
    tuples,
)
from features.types import RatingScale
from models.base import MethodConfig, Recommender, RunContext, Scores
from models.metrics.ranking import auc

SCALE = RatingScale()
N_TOPICS = 4


def absent(n_rows: int, *shape: int) -> Indexed:
    """An indexed block in which every row is absent."""
    return Indexed(np.zeros((0, *shape), np.float32), np.full(n_rows, -1, np.int32))


def plain_batch(consumers: NDArray[np.object_], products: NDArray[np.object_]) -> FeatureBatch:
    """Pairs of which only the ids are known: no numbers, history, content, facets or pair codes."""
    n = len(consumers)
    codes, weights = absent(n, 2, N_FACETS, CODE_WIDTH), absent(n, 2, N_FACETS)
    return FeatureBatch(
        ConsumerBlock(
            consumers,
            np.full((n, len(CONSUMER_NUMERIC)), np.nan, np.float32),
            tuples([()] * n),
            np.full((n, HISTORY_LENGTH), "", object),
            np.full((n, HISTORY_LENGTH), np.nan, np.float32),
            codes,
            weights,
        ),
        ProductBlock(
            products,
            np.full((n, len(PRODUCT_NUMERIC)), np.nan, np.float32),
            tuples([()] * n),
            absent(n, CONTENT_WIDTH),
            codes,
            weights,
        ),
        PairBlock(absent(n, 2, CODE_WIDTH)),
        np.full(n, np.datetime64("2024-01-01T12:00:00", "us")),
    )


def training_set(batch: FeatureBatch, liked: NDArray[np.bool_]) -> TrainingSet:
    """Outcomes for a batch: 5 stars where liked, else 1."""
    rating = np.where(liked, 5.0, 1.0).astype(np.float32)
    return TrainingSet(batch, rating, liked.astype(np.float32), np.arange(len(batch), dtype=np.int64))


def checkerboard(side: int = 40, seed: int = 0) -> tuple[TrainingSet, TrainingSet, TrainingSet]:
    """Consumers like the products of their own colour; train, valid and test hold 70, 15 and 15 % of the pairs.

    Means say nothing, so only a method that relates consumers to products can be right. History and numbers are
    as of each pair, in a random order of time.
    """
    order = np.random.default_rng(seed).permutation(side * side)
    consumer, product = order // side, order % side
    batch = plain_batch(_ids("c", consumer), _ids("p", product))
    examples = training_set(batch, (consumer + product) % 2 == 0)
    _fill_history(examples)
    cuts = [0, int(0.7 * len(order)), int(0.85 * len(order)), len(order)]
    train, valid, test = (examples.take(np.arange(a, b)) for a, b in pairwise(cuts))
    return train, valid, test


def planted_reasons(n_rows: int, source: str, signal: bool, seed: int = 0) -> TrainingSet:
    """Pairs of strangers, liked by chance, about which only the explanation codes can know.

    Args:
        n_rows: pairs; no consumer or product appears twice, so ids say nothing.
        source: `facets`: liked when a facet of the consumer and one of the product share their topic.
            `pair`: the pair's FOR code carries the answer.
        signal: False replaces every code by noise.
        seed: seed of the pairs; the meaning of codes is the same for all seeds.
    """
    rng, shared = np.random.default_rng(seed), np.random.default_rng(99)
    topics = shared.normal(size=(N_TOPICS, CODE_WIDTH)).astype(np.float32)
    tastes, themes = rng.integers(0, N_TOPICS, n_rows), rng.integers(0, N_TOPICS, n_rows)
    themes = np.where(rng.random(n_rows) < 0.4, tastes, themes)
    liked = tastes == themes
    batch = plain_batch(_ids(f"c{seed}-", np.arange(n_rows)), _ids(f"p{seed}-", np.arange(n_rows)))
    if source == "facets":
        consumers = replace(batch.consumers, **_facets(topics[tastes], signal, rng))
        products = replace(batch.products, **_facets(topics[themes], signal, rng))
        batch = replace(batch, consumers=consumers, products=products)
    else:
        codes = rng.normal(size=(n_rows, 2, CODE_WIDTH)).astype(np.float32)
        if signal:
            codes[:, 0] += np.where(liked[:, None], topics[0], topics[1])
        batch = replace(batch, pairs=PairBlock(Indexed(codes, np.arange(n_rows, dtype=np.int32))))
    return training_set(batch, liked)


def rich_batch(n_rows: int, seed: int = 0) -> FeatureBatch:
    """Random pairs in which every kind of feature is present in some rows and absent in others."""
    rng = np.random.default_rng(seed)
    batch = plain_batch(_ids("c", rng.integers(0, 20, n_rows)), _ids("p", rng.integers(0, 30, n_rows)))
    numbers = rng.gamma(2.0, 1.0, (2, n_rows, 5)).astype(np.float32)
    numbers[rng.random(numbers.shape) < 0.2] = np.nan
    history = _ids("p", rng.integers(0, 30, n_rows * HISTORY_LENGTH)).reshape(n_rows, HISTORY_LENGTH)
    history[np.arange(HISTORY_LENGTH) >= rng.integers(0, HISTORY_LENGTH + 1, n_rows)[:, None]] = ""
    stars = np.where(history == "", np.nan, rng.integers(1, 6, history.shape)).astype(np.float32)
    attributes = tuples([(f"genre={n % 5}", f"year={n % 3}")[: n % 3] for n in range(n_rows)])
    told = tuples([(f"age={n % 4}", "gender=F")[: n % 3] for n in range(n_rows)])
    return FeatureBatch(
        ConsumerBlock(batch.consumers.consumer_ids, numbers[0], told, history, stars, **_random_facets(n_rows, rng)),
        ProductBlock(
            batch.products.product_ids,
            numbers[1],
            attributes,
            _random_table(n_rows, rng, CONTENT_WIDTH),
            **_random_facets(n_rows, rng),
        ),
        PairBlock(_random_table(n_rows, rng, 2, CODE_WIDTH)),
        np.datetime64("2024-01-01", "us") + rng.integers(0, 10**13, n_rows).astype("timedelta64[us]"),
    )


def rich_training_set(n_rows: int, seed: int = 0) -> TrainingSet:
    """`rich_batch` with random outcomes."""
    return training_set(rich_batch(n_rows, seed), np.random.default_rng(seed + 1).random(n_rows) < 0.5)


class Conformance:
    """Laws every method obeys. Subclass, set `method` and `config`, and say what it cannot learn."""

    method: ClassVar[type[Recommender]]
    config: ClassVar[MethodConfig]
    learns_checkerboard: ClassVar[bool] = True

    @classmethod
    def fitted(cls, train: TrainingSet | None = None, valid: TrainingSet | None = None) -> Recommender:
        """A method fitted anew on the given rows, or on a small rich set."""
        recommender = cls.method(cls.config, SCALE)
        recommender.fit(train or rich_training_set(128), valid or rich_training_set(64, 5), RunContext(seed=3))
        return recommender

    @pytest.fixture(scope="class")
    @classmethod
    def recommender(cls) -> Recommender:
        """One fitted on the small rich set, for the checks that only ask it."""
        return cls.fitted()

    def test_checkerboard_is_learned(self) -> None:
        """Held-out pairs are ordered right, or at chance for a method that ignores the consumer."""
        train, valid, test = checkerboard()
        scores = self.fitted(train, valid).score(test.batch)
        reached = auc(test.liked, scores.click)
        assert reached > 0.95 if self.learns_checkerboard else reached < 0.7, f"AUC {reached:.3f}"

    def test_scores_are_stars_and_probabilities(self, recommender: Recommender) -> None:
        """Stars lie on the scale, probabilities in 0..1, attention rows sum to 1."""
        scores = recommender.score(rich_batch(50, 9))
        assert np.isfinite(scores.rating).all()
        assert ((scores.rating >= SCALE.low) & (scores.rating <= SCALE.high)).all()
        assert ((scores.click >= 0) & (scores.click <= 1)).all()
        if scores.fields:
            assert scores.attention.shape == (50, len(scores.fields))
            np.testing.assert_allclose(scores.attention.sum(1), 1, atol=1e-5)

    def test_batch_equals_single(self, recommender: Recommender) -> None:
        """A pair's scores do not depend on its company."""
        batch = rich_batch(12, 9)
        together = recommender.score(batch)
        for row in range(len(batch)):
            assert_same(recommender.score(batch.take(np.array([row]))), together, row)

    def test_held_products_score_as_in_a_batch(self, recommender: Recommender) -> None:
        """What is made ready once for all consumers changes no score, for known ones and strangers alike."""
        batch, rows = rich_batch(12, 9), np.array([7, 2, 2, 11])
        batch.products.product_ids[2] = "nothing"
        held, at = recommender.hold(batch.products), datetime(2024, 3, 5, 17, tzinfo=UTC)
        for n, consumer_id in enumerate((batch.consumers.consumer_ids[0], "nobody")):
            batch.consumers.consumer_ids[n] = consumer_id
            consumer, pairs = batch.consumers.take(np.array([n])), batch.pairs.take(rows)
            crossed = recommender.score(cross(consumer, batch.products.take(rows), pairs, at))
            scores = held.score(consumer, rows, pairs, at)
            for row in range(len(rows)):
                assert_same(scores_at(crossed, row), scores, row)

    def test_a_guess_is_a_number_for_each_product(self, recommender: Recommender) -> None:
        """A method that guesses gives each held product a finite number."""
        batch = rich_batch(12, 9)
        guess = recommender.hold(batch.products).guess(batch.consumers.take(np.array([0])))
        assert guess is None or (guess.shape == (12,) and np.isfinite(guess).all())

    def test_save_and_load_keep_the_scores(self, recommender: Recommender, tmp_path: Path) -> None:
        """What was saved scores to the bit like what is loaded."""
        batch = rich_batch(30, 9)
        recommender.save(tmp_path)
        assert not [path for path in tmp_path.rglob("*") if path.suffix in {".pkl", ".pt", ".pickle"}]
        loaded = self.method.load(tmp_path, self.config, SCALE)
        np.testing.assert_array_equal(loaded.score(batch).rating, recommender.score(batch).rating)
        np.testing.assert_array_equal(loaded.score(batch).click, recommender.score(batch).click)

    def test_same_seed_gives_the_same_model(self, recommender: Recommender) -> None:
        """Fitting again changes nothing."""
        batch = rich_batch(30, 9)
        first, second = recommender.score(batch), self.fitted().score(batch)
        np.testing.assert_array_equal(first.rating, second.rating)
        np.testing.assert_array_equal(first.click, second.click)

    def test_strangers_are_scored(self, recommender: Recommender) -> None:
        """An unknown consumer, an unknown product, an empty history and an empty batch are normal cases."""
        strangers = plain_batch(np.array(["nobody", "c1"], object), np.array(["nothing", "nothing"], object))
        scores = recommender.score(strangers)
        assert np.isfinite(scores.rating).all()
        assert np.isfinite(scores.click).all()
        assert len(recommender.score(strangers.take(np.arange(0))).rating) == 0


def scores_at(scores: Scores, row: int) -> Scores:
    """The scores of one row by themselves."""
    attention = scores.attention[[row]] if scores.fields else scores.attention
    return Scores(scores.rating[[row]], scores.click[[row]], scores.fields, attention)


def assert_same(single: Scores, together: Scores, row: int, tolerance: float = 1e-5) -> None:
    """One pair's scores equal row `row` of a batch's scores."""
    np.testing.assert_allclose(single.rating[0], together.rating[row], atol=tolerance)
    np.testing.assert_allclose(single.click[0], together.click[row], atol=tolerance)


def _ids(prefix: str, numbers: NDArray[np.int64]) -> NDArray[np.object_]:
    return np.array([f"{prefix}{number}" for number in numbers], object)


def _fill_history(examples: TrainingSet) -> None:
    """Fills history and counts of every row from the rows before it."""
    who, what = examples.batch.consumers, examples.batch.products
    seen: dict[str, deque[tuple[str, float]]] = {}
    for row in range(len(examples)):
        past = seen.setdefault(who.consumer_ids[row], deque(maxlen=HISTORY_LENGTH))
        for place, (product, rating) in enumerate(past):
            who.history_ids[row, place], who.history_ratings[row, place] = product, rating
        who.numeric[row, 0] = len(past)
        past.appendleft((what.product_ids[row], float(examples.rating[row])))


def _facets(topics: NDArray[np.float32], signal: bool, rng: np.random.Generator) -> dict[str, Any]:
    """One FOR facet about each row's topic (or noise), one AGAINST facet of noise, the others empty."""
    n = len(topics)
    codes = np.zeros((n, 2, N_FACETS, CODE_WIDTH), np.float32)
    codes[:, :, 0] = rng.normal(size=(n, 2, CODE_WIDTH))
    if signal:
        codes[:, 0, 0] = topics + 0.1 * codes[:, 0, 0]
    weights = np.zeros((n, 2, N_FACETS), np.float32)
    weights[:, :, 0] = 1
    index = np.arange(n, dtype=np.int32)
    return {"facet_codes": Indexed(codes, index), "facet_weights": Indexed(weights, index)}


def _random_facets(n_rows: int, rng: np.random.Generator) -> dict[str, Any]:
    codes = _random_table(n_rows, rng, 2, N_FACETS, CODE_WIDTH)
    weights = Indexed(rng.random((len(codes.table), 2, N_FACETS)).astype(np.float32), codes.index)
    return {"facet_codes": codes, "facet_weights": weights}


def _random_table(n_rows: int, rng: np.random.Generator, *shape: int) -> Indexed:
    """A small table of which a third of the rows use nothing."""
    size = max(1, n_rows // 4)
    index = np.where(rng.random(n_rows) < 1 / 3, -1, rng.integers(0, size, n_rows)).astype(np.int32)
    return Indexed(rng.normal(size=(size, *shape)).astype(np.float32), index)
