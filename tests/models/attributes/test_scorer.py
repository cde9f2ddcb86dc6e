"""Products are scored 1 to 10 from facts or like a language model did; statistics are the training products'."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from features.batch import CONTENT_WIDTH, Indexed, ProductBlock, tuples
from features.errors import TrainingError
from models.attributes.listed import HIGH, LOW, MIDDLE, Attribute
from models.attributes.scorer import ProductScorer, ScorerConfig, kept_attributes
from models.testing import plain_batch

CONFIG = ScorerConfig(least_products=1)
HUMOUR = Attribute(name="humour", description="how funny", told_by=("genre=Comedy",), told_against=("genre=War",))
NOVELTY = Attribute(name="novelty", description="how new", number="year")
SIZE = Attribute(name="size", description="how big", high="an elephant", low="a mouse")


def products(n: int = 60, seed: int = 0) -> ProductBlock:
    """Random texts; every third product is a comedy, every third a war film; years in order."""
    rng = np.random.default_rng(seed)
    block = plain_batch(np.array(["c"] * n, object), np.array([f"p{seed}-{i}" for i in range(n)], object)).products
    values = [(("genre=Comedy",), ("genre=War",), ("genre=Western",))[i % 3] + (f"year={1950 + i}",) for i in range(n)]
    content = Indexed(rng.normal(size=(n, CONTENT_WIDTH)).astype(np.float32), np.arange(n, dtype=np.int32))
    return replace(block, attributes=tuples(values), content=content)


def no_texts(texts: list[str]) -> np.ndarray:
    raise AssertionError(f"{texts} were encoded")


def ends(texts) -> np.ndarray:
    """An elephant lies along the first axis, a mouse opposite."""
    vectors = np.zeros((len(texts), CONTENT_WIDTH), np.float32)
    vectors[:, 0] = [1 if text == "an elephant" else -1 for text in texts]
    return vectors


def test_facts_point_where_the_catalog_says() -> None:
    block = products()
    scores = ProductScorer.from_facts(block, [HUMOUR, NOVELTY], no_texts, CONFIG).score(block)
    comedy, war, western = (scores[kind::3, 0].mean() for kind in range(3))
    assert LOW <= war < western < comedy <= HIGH
    assert (np.diff(scores[:, 1]) > 0).all()
    assert scores.mean() == pytest.approx(MIDDLE, abs=0.05)


def test_texts_count_along_the_axis_between_the_two_ends() -> None:
    block = products()
    scores = ProductScorer.from_facts(block, [SIZE], ends, CONFIG).score(block)
    assert np.corrcoef(scores[:, 0], block.content.table[:, 0])[0, 1] > 0.99


def test_scores_of_a_language_model_are_repeated_for_products_nobody_asked_about() -> None:
    asked, new = products(400), products(50, seed=1)
    truth = [np.clip(5.5 + 1.5 * block.content.table[:, :1], LOW, HIGH) for block in (asked, new)]
    scorer = ProductScorer.from_scores(asked, truth[0].astype(np.float32), [SIZE], replace_l2(1.0))
    assert np.corrcoef(scorer.score(new)[:, 0], truth[1][:, 0])[0, 1] > 0.8


def replace_l2(l2: float) -> ScorerConfig:
    return CONFIG.model_copy(update={"l2": l2})


def test_products_without_scores_teach_nothing() -> None:
    block = products()
    scores = np.full((60, 1), np.nan, np.float32)
    with pytest.raises(TrainingError, match="None of 60 products has attribute scores"):
        ProductScorer.from_scores(block, scores, [SIZE], CONFIG)
    scores[:30, 0] = 3 + block.content.table[:30, 0]
    known = ProductScorer.from_scores(block, scores, [SIZE], CONFIG)
    half = ProductScorer.from_scores(block.take(np.arange(30)), scores[:30], [SIZE], CONFIG)
    assert known.score(block)[:30, 0] == pytest.approx(half.score(block)[:30, 0], abs=0.5)


def test_statistics_are_of_the_training_products_alone() -> None:
    """Acceptance 5: new products, however different, change nothing and are placed among the old ones."""
    block = products()
    scorer = ProductScorer.from_facts(block, [HUMOUR, NOVELTY], no_texts, CONFIG)
    own = scorer.standard(block)
    np.testing.assert_allclose(own.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(own.std(0), 1, atol=1e-4)
    before = (scorer.mean.copy(), scorer.sd.copy())
    comedies = replace(block, attributes=tuples([("genre=Comedy", "year=2090")] * 60))
    new = scorer.standard(comedies)
    assert (new > own.max(0) - 1e-5).all()
    np.testing.assert_array_equal(before, (scorer.mean, scorer.sd))
    np.testing.assert_array_equal(scorer.standard(block), own)


def test_a_product_of_which_nothing_is_told_counts_as_the_mean() -> None:
    scorer = ProductScorer.from_facts(products(), [HUMOUR], no_texts, CONFIG)
    stranger = plain_batch(np.array(["c"], object), np.array(["x"], object)).products
    assert np.isnan(scorer.score(stranger)).all()
    np.testing.assert_array_equal(scorer.standard(stranger), [[0.0]])


def test_attributes_that_say_nothing_or_the_same_are_dropped() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(5, 2, (2, 200))
    scores = np.column_stack([one, np.full(200, 5.0), one + 0.1 * other, other, -one, np.full(200, np.nan)])
    names = ["one", "constant", "nearly one", "other", "one upside down", "unknown"]
    assert kept_attributes(scores.astype(np.float32), names, ScorerConfig()) == [0, 3]


def test_a_scorer_is_restored_to_the_bit() -> None:
    block = products()
    scorer = ProductScorer.from_facts(block, [HUMOUR, NOVELTY, SIZE], ends, CONFIG)
    restored = ProductScorer.restored(scorer.arrays(), json.loads(json.dumps(scorer.texts())))
    np.testing.assert_array_equal(restored.standard(products(20, 3)), scorer.standard(products(20, 3)))
    assert restored.attributes == scorer.attributes
