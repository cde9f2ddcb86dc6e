"""Prototypes: who is in them, who finds them, and what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from features.batch import CONTENT_WIDTH, TrainingSet, tuples
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


# Items 7 and 9: prototypes of several domains.

ACROSS = CONFIG.model_copy(update={"domain_mark": "/"})


@pytest.fixture(scope="module")
def both(domain) -> TrainingSet:
    """Films and books; whoever is told to be alike has a like taste in both."""
    return TrainingSet.joined([domain("films", 0), domain("books", 1)])


def test_item_9_prototypes_know_the_domains_of_their_members(both: TrainingSet, domain) -> None:
    found = KnowledgeBase.build(both, ACROSS, seed=0)
    assert {name for named in found.domains for name in named} == {"films", "books"}
    assert any(len(named) == 2 for named in found.domains)  # taste and what is told are no matter of a domain
    assert {*KnowledgeBase.build(domain("films", 0), ACROSS, seed=0).domains} == {("films",)}
    unnamed = KnowledgeBase.build(both, CONFIG, seed=0)
    assert {*unnamed.domains} == {()}
    assert KnowledgeBase.from_parts(found.arrays, found.to_json()).domains == found.domains


def test_item_9_ids_without_a_mark_are_of_no_domain() -> None:
    named = ACROSS.domains(np.array(["films/1/2", "p3", ""], object))
    assert named.tolist() == ["films", "", ""]


def test_item_9_what_a_whole_domain_is_rated_higher_is_no_preference(both: TrainingSet) -> None:
    """Books get a star less from everybody: nobody's taste, and no attribute's merit."""
    books = ACROSS.domains(both.batch.products.product_ids) == "books"
    harsh = replace(both, rating=both.rating - books.astype(np.float32))
    one, other = (KnowledgeBase.build(rows, ACROSS, seed=0) for rows in (both, harsh))
    np.testing.assert_allclose(one.preferences, other.preferences, atol=1e-5)


def test_item_9_prototypes_of_one_domain_tell_strangers_of_another_apart(domain) -> None:
    films, books = KnowledgeBase.build(domain("films", 0), ACROSS, seed=0), domain("books", 5, history=False)
    priors = films.priors(books.batch.consumers, books.batch.products)
    assert not priors[:, :2].any()  # no attribute is shared
    assert auc(books.liked, priors[:, 2]) > 0.7  # texts are


def test_item_7_a_domain_that_is_left_out_leaves_no_trace(both: TrainingSet, domain) -> None:
    """Neither its outcomes, nor its consumers, nor the names of its attributes."""
    config = ACROSS.model_copy(update={"left_out": ("books",)})
    left = KnowledgeBase.build(both, config, seed=0)
    alone = KnowledgeBase.build(domain("films", 0), ACROSS, seed=0)
    assert {*left.domains} == {("films",)}
    assert left.to_json() == alone.to_json()
    assert not any("books" in value for value in left.attributes.ids)
    for name, array in alone.arrays.items():
        np.testing.assert_array_equal(left.arrays[name], array)


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"left_out": ["books"]}, "left_out names 'books', and no domain_mark"),
        ({"left_out": ["books/"], "domain_mark": "/"}, "left_out names 'books/'; a domain is what stands before"),
        ({"left_out": [""], "domain_mark": "/"}, "left_out names ''"),
    ],
)
def test_item_7_a_domain_that_no_id_can_name_is_not_taken_for_left_out(settings: dict[str, object], found: str) -> None:
    with pytest.raises(ValidationError, match=found):
        KnowledgeConfig.model_validate(settings)


def test_item_7_nothing_is_left_where_every_domain_is_left_out(both: TrainingSet) -> None:
    assert len(KnowledgeBase.build(both, ACROSS.model_copy(update={"left_out": ("books", "films")}), seed=0)) == 0
