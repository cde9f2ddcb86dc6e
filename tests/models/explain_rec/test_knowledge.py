"""Prototypes: who is in them, who finds them, and what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.batch import CONTENT_WIDTH, tuples
from models.explain_rec.clusters import clusters, unit
from models.explain_rec.knowledge import KnowledgeBase, KnowledgeConfig
from models.explain_rec.privacy import without_protected
from models.metrics.ranking import auc

CONFIG = KnowledgeConfig(prototypes=4, min_support=2, shrink=5.0)


@pytest.fixture(scope="module")
def base(world) -> KnowledgeBase:
    rows = world(0)
    return KnowledgeBase.build(replace(rows, batch=without_protected(rows.batch, ("gender",))), CONFIG, seed=0)


def test_clusters_by_hand() -> None:
    vectors = unit(np.array([[1, 0.1], [1, -0.1], [-1, 0.1], [-1, -0.1], [0.1, 1]], np.float32))
    found = clusters(vectors, 3, seed=0)
    assert found[0] == found[1] != found[2] == found[3]
    assert len({*found}) == 3
    np.testing.assert_array_equal(clusters(vectors, 3, seed=0), found)
    assert len(clusters(vectors[:2], 64, seed=0)) == 2


def test_zeros_have_no_direction() -> None:
    np.testing.assert_array_equal(unit(np.zeros((2, 3), np.float32)), np.zeros((2, 3)))


def test_every_consumer_supports_one_prototype(base: KnowledgeBase) -> None:
    assert 1 < len(base) <= CONFIG.prototypes
    assert base.support.sum() <= 24
    assert (base.support >= CONFIG.min_support).all()
    np.testing.assert_allclose(np.linalg.norm(base.keys, axis=1), 1, atol=1e-5)
    assert base.keys.shape == (len(base), CONTENT_WIDTH + 2)


def test_a_lookup_finds_those_of_whom_the_same_is_told(base: KnowledgeBase, world) -> None:
    strangers = world(5, who="x", history=False).batch
    found = base.lookup(strangers.consumers)
    np.testing.assert_allclose(found.weights.sum(1), 1, atol=1e-5)
    told = base.keys[found.prototypes[:, 0], CONTENT_WIDTH:]
    jobs = np.array([it[0] == "job=y" for it in strangers.consumers.attributes])
    np.testing.assert_array_equal(told.argmax(1) == 1, jobs)


def test_a_lookup_finds_at_most_five() -> None:
    many = KnowledgeBase(
        *(KnowledgeBase.empty().told,) * 2, np.eye(9, CONTENT_WIDTH, dtype=np.float32), np.zeros((9, 1), np.float32),
        np.arange(1, 10), ("",) * 9, KnowledgeConfig().top,
    )  # fmt: skip
    assert many.top == 5


def test_of_whom_nothing_is_told_the_largest_prototypes_speak(base: KnowledgeBase, world) -> None:
    batch = world(5, who="x", history=False).batch.take(np.arange(3))
    silent = replace(batch.consumers, attributes=tuples([()] * 3))
    assert {*base.lookup(silent).prototypes[:, 0]} == {int(base.support.argmax())}


def test_priors_tell_strangers_tastes_apart(base: KnowledgeBase, world) -> None:
    strangers = world(5, who="x", history=False)
    priors = base.priors(strangers.batch.consumers, strangers.batch.products)
    assert auc(strangers.liked, priors[:, 0]) > 0.7
    assert (priors[:, 3] == 1).all()


def test_patterns_name_what_members_prefer(base: KnowledgeBase, world) -> None:
    strangers = world(5, who="x", history=False).batch.consumers
    for listed, pattern in zip(strangers.attributes, base.pattern(strangers), strict=True):
        liked = "a" if listed[0] == "job=x" else "b"
        assert f"rate {liked}" in pattern
        assert pattern.endswith("lower than others do.")


def test_an_empty_base_says_nothing(world) -> None:
    batch, empty = world(5, history=False).batch, KnowledgeBase.empty()
    assert not empty.priors(batch.consumers, batch.products).any()
    assert {*empty.pattern(batch.consumers)} == {""}


def test_few_people_make_no_prototype(world) -> None:
    rows = world(0, n_consumers=3)
    assert len(KnowledgeBase.build(rows, KnowledgeConfig(min_support=4), seed=0)) == 0


def test_protected_attributes_are_in_no_key(base: KnowledgeBase, world) -> None:
    assert base.told.ids == ("job=x", "job=y")
    assert not any("gender" in pattern for pattern in base.patterns)
    kept = without_protected(world(0).batch, ("gender", "job")).consumers.attributes
    assert {*kept} == {()}


def test_a_base_is_what_was_written(base: KnowledgeBase, world) -> None:
    again = KnowledgeBase.from_parts(base.arrays, base.to_json())
    batch = world(5, history=False).batch
    np.testing.assert_array_equal(
        again.priors(batch.consumers, batch.products), base.priors(batch.consumers, batch.products)
    )
    assert again.patterns == base.patterns
