"""The benchmark of guided refinement: columns of every source are on one scale, audits compare with what is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.methods.guided import fitted, quality
from benchmarks.methods.guided_bench import BASE, CHOSEN, CONTRASTS, TRIED, VARIANTS, Bench
from benchmarks.methods.guided_scores import DOMAINS, Catalogue, audit, held_out, product_block, scores_of
from benchmarks.methods.guided_tuned import folder_of, made
from benchmarks.ranking import Events
from features.batch import CONTENT_WIDTH
from models.attributes.listed import Attribute

HUMOUR = Attribute(name="humour", description="how funny", told_by=("genre=Comedy",), told_against=("genre=Drama",))
AGE = Attribute(name="novelty", description="how new", number="year")


@pytest.fixture
def catalogue(tmp_path) -> Catalogue:
    rng = np.random.default_rng(0)
    values = [[("genre=Comedy", "genre=Drama", "genre=War")[n % 3], f"year={1950 + n}"] for n in range(30)]
    block = product_block([f"p{n}" for n in range(30)], rng.normal(size=(30, CONTENT_WIDTH)).astype(np.float32), values)
    return Catalogue(block, (HUMOUR, AGE), [f"{('warm', 'cold')[n % 2]} film {n}" for n in range(30)], tmp_path)


@pytest.mark.parametrize("source", ["facts", "random", "text"])
def test_columns_are_standard_among_products_with_an_event(catalogue: Catalogue, source) -> None:
    known = np.arange(20)
    columns = scores_of(source, catalogue, known, seed=1)
    assert columns.shape == (30, 2)
    np.testing.assert_allclose(columns[known].mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(columns[known].std(0), 1, atol=1e-3)


@pytest.fixture
def bench(catalogue: Catalogue, tiny_base: Path, tmp_path: Path) -> Bench:
    """Six consumers, each with five films, the last two held out; its language model has two blocks."""
    rows = [
        {"consumer": who, "product": 5 * who + time, "timestamp": time, "part": part}
        for who in range(6)
        for time, part in enumerate(["train", "train", "train", "valid", "test"])
    ]
    events = Events(pd.DataFrame(rows), np.arange(6).astype(str), np.arange(30).astype(str))
    ended = tuple(it.model_copy(update={"high": f"much {it.name}", "low": "none"}) for it in (HUMOUR, AGE))
    known = replace(catalogue, attributes=ended, language_model=lambda: tiny_base)
    return Bench("amazon-musical-instruments", "ranking", tmp_path, tmp_path, events, known, tmp_path)


@pytest.mark.slow
def test_a_language_model_is_tuned_once_for_a_base_model_and_its_scores_take_a_variants_columns(bench: Bench) -> None:
    names = [BASE, "guided_untuned", "guided_tuned", "guided_tuned_rec", "guided_tuned_format"]
    known, networks = bench.events.histories("train"), {}

    def keep(name: str, network, _: float) -> None:
        networks[name] = network

    fitted(bench, known, "gru4rec", 0, names, keep)
    assert list(networks) == names
    found = made(bench, known, [f"gru4rec.0.{name}" for name in names])
    assert list(found) == ["untuned", "gru4rec.0.tuned", "gru4rec.0.tuned_rec", "0.tuned_format"]
    for facts, scores in found.values():
        assert 0 <= facts["parse_rate"] <= 1
        assert scores.shape == (30, 2)
    assert found["gru4rec.0.tuned"][0]["report"]["steps"] == 6
    assert not np.array_equal(found["untuned"][1], found["gru4rec.0.tuned"][1])
    unread = replace(bench, catalogue=replace(bench.catalogue, language_model=lambda: Path("nowhere")))
    fitted(unread, known, "gru4rec", 0, names, keep)
    told = audit(bench.catalogue, np.arange(20), asked=False, others={name: it for name, (_, it) in found.items()})
    assert set(told["mean_absolute_rho"]) == {"axes", *found}


def test_a_tuning_of_other_events_is_not_taken_and_events_held_out_are_none_of_its_own(bench: Bench) -> None:
    def folder(*parts: str) -> Path:
        return folder_of(bench, bench.events.histories(*parts), "tuned", "gru4rec.0")

    assert folder("train") != folder("train", "valid")
    moved = bench.events.frame.copy()
    moved.loc[moved["part"] != "train", "product"] = 0
    other = replace(bench, events=replace(bench.events, frame=moved))
    assert folder("train") == folder_of(other, other.events.histories("train"), "tuned", "gru4rec.0")


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
