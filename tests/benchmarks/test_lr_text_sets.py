"""Sets of texts of the LR-Recsys benchmark: all have one shape, and controls are controls."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from benchmarks.lr import controls
from benchmarks.lr.codes import RandomProjection, reconstruction
from benchmarks.lr.summaries import summaries
from benchmarks.lr.texts import TEXT_SETS, text_set
from benchmarks.lr.wording import word
from features.batch import CONTENT_WIDTH
from features.types import Stance
from models.llm.scripted import ScriptedEngine
from tests.benchmarks.toy_bench import N_PRODUCTS, Bench, content, repeat_fact


@pytest.mark.parametrize("name", sorted(TEXT_SETS))
def test_every_set_has_the_same_shape(bench: Bench, name: str) -> None:
    if name in ("external", "combined"):
        told = "item_id,summary\n" + "".join(f"{n},It is film {n}.\n" for n in range(1, N_PRODUCTS + 1))
        (bench.folders.data / "ml-100k" / "ml-100k-summaries.csv").write_text(told)
    word(bench.split(), ScriptedEngine(repeat_fact), bench.settings)
    made = bench.examples(name)
    for part in made:
        for facets in (part.batch.consumers.facet_codes, part.batch.products.facet_codes):
            assert facets.table.shape[1:] == (2, 4, 64)
            assert len(facets.index) == len(part)
    assert (made.test.batch.products.facet_codes.index >= 0).any() == (name != "none")
    again = bench.examples(name)
    assert content(again) == content(made)


def test_what_tuning_the_autoencoder_reached_is_told(bench: Bench) -> None:
    bench.examples("template")
    told = reconstruction(bench.split(), "template", bench.settings)
    assert 0 < told["after"] < told["before"]
    assert told["reduction"] == pytest.approx(1 - told["after"] / told["before"])


def test_shuffled_texts_are_all_somebody_elses(bench: Bench) -> None:
    facets = text_set(bench.split(), "template", bench.lake).facets
    moved = controls.shuffled(facets)
    assert sorted(moved["text"]) == sorted(facets["text"])
    before = facets.groupby(["entity_kind", "entity_id"])["facet_id"].agg(set)
    after = moved.groupby(["entity_kind", "entity_id"])["facet_id"].agg(set)
    assert set(before.index) == set(after.index)
    assert not any(before[entity] & after[entity] for entity in before.index)


def test_swapped_stances_keep_texts_and_entities(bench: Bench) -> None:
    facets = text_set(bench.split(), "template", bench.lake).facets
    turned = controls.swapped(facets)
    assert (turned["stance"] != facets["stance"]).all()
    assert controls.swapped(turned)["stance"].tolist() == facets["stance"].tolist()


def test_random_texts_have_the_lengths_and_words_of_the_real_ones(bench: Bench) -> None:
    facets = text_set(bench.split(), "template", bench.lake).facets
    drawn = controls.random_words(facets)
    assert drawn["text"].str.split().str.len().tolist() == facets["text"].str.split().str.len().tolist()
    assert Counter(" ".join(drawn["text"]).split()) == Counter(" ".join(facets["text"]).split())
    assert (drawn["text"] != facets["text"]).mean() > 0.9


def test_hidden_titles_leave_no_title_and_keep_the_rest(bench: Bench) -> None:
    split = bench.split()
    facets = text_set(split, "template", bench.lake).facets
    hidden = controls.hidden_titles(facets, split)["text"]
    assert facets["text"].str.contains("Film [A-J]").any()
    assert not hidden.str.contains("Film [A-J]").any()
    assert hidden.str.contains("product 1").any()


def test_a_name_within_a_word_or_a_longer_name_stays() -> None:
    names = [("Heat", "product 1"), ("Heat Wave", "product 2")]
    assert controls.replaced("Heat, Heat Wave and Heater", names) == "product 1, product 2 and Heater"


def test_summaries_take_no_side(bench: Bench) -> None:
    written = summaries(bench.split())
    sides = [written[written["stance"] == stance.value].reset_index(drop=True) for stance in Stance]
    assert sides[0]["text"].tolist() == sides[1]["text"].tolist()
    consumer = sides[0][sides[0]["entity_kind"] == "consumer"]["text"].iloc[0]
    assert consumer.startswith("You rated ")
    assert " of 5 on average, mostly " in consumer
    product = sides[0][sides[0]["entity_kind"] == "product"]["text"].iloc[0]
    assert "is among" in product
    assert " rated it " in product


def test_a_projection_is_a_layer_norm_of_fixed_directions() -> None:
    vectors = np.random.default_rng(0).normal(size=(3, CONTENT_WIDTH)).astype(np.float32)
    codes = RandomProjection().codes(vectors)
    assert np.allclose(codes.mean(1), 0, atol=1e-5)
    assert np.allclose(codes.std(1), 1, atol=1e-4)
    assert np.array_equal(codes, RandomProjection().codes(vectors))
