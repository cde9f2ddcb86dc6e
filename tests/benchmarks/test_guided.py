"""The benchmark of guided refinement: columns of every source are on one scale, audits compare with what is told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.methods.guided import quality
from benchmarks.methods.guided_bench import CHOSEN, CONTRASTS, TRIED, VARIANTS
from benchmarks.methods.guided_scores import DOMAINS, Catalogue, held_out, product_block, scores_of
from features.batch import CONTENT_WIDTH
from models.attributes.listed import Attribute

HUMOUR = Attribute(name="humour", description="how funny", told_by=("genre=Comedy",), told_against=("genre=Drama",))
AGE = Attribute(name="novelty", description="how new", number="year")


@pytest.fixture
def catalogue(tmp_path) -> Catalogue:
    rng = np.random.default_rng(0)
    values = [[("genre=Comedy", "genre=Drama", "genre=War")[n % 3], f"year={1950 + n}"] for n in range(30)]
    block = product_block([f"p{n}" for n in range(30)], rng.normal(size=(30, CONTENT_WIDTH)).astype(np.float32), values)
    return Catalogue(block, (HUMOUR, AGE), [f"film {n}" for n in range(30)], tmp_path)


@pytest.mark.parametrize("source", ["facts", "random", "text"])
def test_columns_are_standard_among_products_with_an_event(catalogue: Catalogue, source) -> None:
    known = np.arange(20)
    columns = scores_of(source, catalogue, known, seed=1)
    assert columns.shape == (30, 2)
    np.testing.assert_allclose(columns[known].mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(columns[known].std(0), 1, atol=1e-3)


def test_random_columns_are_of_their_seed(catalogue: Catalogue) -> None:
    known = np.arange(20)
    assert np.array_equal(scores_of("random", catalogue, known, 1), scores_of("random", catalogue, known, 1))
    assert not np.array_equal(scores_of("random", catalogue, known, 1), scores_of("random", catalogue, known, 2))


def test_an_audit_compares_with_values_for_and_against_and_with_numbers(catalogue: Catalogue) -> None:
    values = catalogue.products.attributes
    np.testing.assert_array_equal(held_out(HUMOUR, values)[:3], [1, -1, 0])
    np.testing.assert_array_equal(held_out(AGE, values)[:3], [1950, 1951, 1952])
    assert held_out(Attribute(name="art", description="how arty"), values) is None
    assert held_out(HUMOUR.model_copy(update={"told_by": ("genre=Nonsense",), "told_against": ()}), values) is None


def test_quality_is_that_of_ranks_counted_by_hand() -> None:
    lists = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]], np.float32)
    targets = pd.DataFrame({"consumer": [0, 1], "product": [0, 1]})
    assert quality(lists, targets) == {"mrr": 0.75, "hr@10": 1.0, "ndcg@10": round((1 + 1 / np.log2(3)) / 2, 4)}


def test_every_dataset_has_a_domain_and_says_what_was_tried() -> None:
    assert set(CHOSEN) == set(TRIED) <= set(DOMAINS)


def test_contrasts_are_between_variants_that_there_are() -> None:
    assert {name for pair in CONTRASTS for name in pair} <= {*VARIANTS, "base", "base_longer"}
