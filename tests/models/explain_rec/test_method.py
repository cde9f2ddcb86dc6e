"""ExplainRec: the laws of every method with and without its parts, and what each part claims."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from features.batch import TrainingSet
from features.errors import TrainingError
from features.visuals import VisualTable
from models.backbones.collaborative import CollaborativeConfig
from models.base import Recommender, RunContext, find_method
from models.explain_rec.attribution import PRIOR, RATINGS, WHOLE
from models.explain_rec.deletion import deletion_effects, without_products
from models.explain_rec.ground import Ground
from models.explain_rec.inputs import as_new, as_strangers
from models.explain_rec.kept import RECORD
from models.explain_rec.knowledge import KnowledgeConfig
from models.methods.explain_rec import ExplainRec, ExplainRecConfig
from models.metrics.ranking import auc
from models.testing import SCALE, Conformance, rich_batch, rich_training_set

TOY = ExplainRecConfig(
    hidden=16, embedding_size=8, dropout=0.0, batch_size=128, learning_rate=1e-2, epochs=6, patience=6,
    knowledge=KnowledgeConfig(prototypes=4, min_support=2),
    collaborative=CollaborativeConfig(rank=4, chains=1, sweeps=40, burn_in=15, samples=8, folds=2, starts=(0.3,)),
)  # fmt: skip
OFF = {"attribution": False, "knowledge_base": False, "vision": False, "multi_task": False}
LOOKS = VisualTable(
    tuple(f"p{n}" for n in range(0, 30, 2)), np.random.default_rng(0).random((15, 7)).astype(np.float32)
)


class TestAllParts(Conformance):
    """With looks of every second product."""

    method: ClassVar = ExplainRec
    config: ClassVar = TOY

    @classmethod
    def fitted(cls, train: TrainingSet | None = None, valid: TrainingSet | None = None) -> Recommender:
        method = ExplainRec(cls.config, SCALE)
        run = RunContext(seed=3, visuals=LOOKS)
        method.fit(train or rich_training_set(128), valid or rich_training_set(64, 5), run)
        return method


class TestNoParts(Conformance):
    """TALLRec's mode, without texts."""

    method: ClassVar = ExplainRec
    config: ClassVar = TOY.model_copy(update=OFF)


def fitted(config: ExplainRecConfig, train: TrainingSet, valid: TrainingSet, **run: object) -> ExplainRec:
    method = ExplainRec(config, SCALE)
    method.fit(train, valid, RunContext(seed=3, **run))  # type: ignore[arg-type]
    return method


@pytest.fixture(scope="module")
def taught(toy, world) -> ExplainRec:
    """Fitted to tastes for genres."""
    return fitted(toy, world(0), world(1))


@pytest.fixture(scope="module")
def sighted(toy, world, looks) -> ExplainRec:
    """Fitted with looks."""
    return fitted(toy.model_copy(update={"epochs": 2}), world(0), world(1), visuals=looks)


def test_it_is_found_by_name() -> None:
    assert find_method("explain_rec") is ExplainRec


def test_without_texts_it_learns_from_outcomes_and_says_so(taught: ExplainRec, tmp_path: Path) -> None:
    taught.save(tmp_path)
    record = json.loads((tmp_path / RECORD).read_text())["record"]
    assert record["student"]["tuned"] is False
    assert "outcomes alone" in record["student"]["why_not"]


def test_a_variant_takes_over_what_ratings_say_and_nothing_else(toy, world) -> None:
    train, valid, test = world(0), world(1), world(2)
    first = fitted(toy, train, valid)
    alone = fitted(toy.model_copy(update={"multi_task": False}), train, valid)
    after = ExplainRec(toy.model_copy(update={"multi_task": False}), SCALE)
    after.fit_like(first, train, valid, RunContext(seed=3))
    np.testing.assert_array_equal(after.score(test.batch).click, alone.score(test.batch).click)


# Item 3: each part has a switch, and each changes what it claims.


def test_item_3_without_attribution_there_is_nothing_to_show(toy, world) -> None:
    method = fitted(toy.model_copy(update={"attribution": False}), world(0), world(1))
    assert method.score(world(2).batch).fields == ()
    with pytest.raises(TrainingError, match="without attribution"):
        method.attribute(world(2).batch)


def test_item_3_without_prototypes_and_looks_nobody_is_hidden(toy, world) -> None:
    method = fitted(toy.model_copy(update={"knowledge_base": False, "vision": False}), world(0), world(1))
    assert method.knowledge is None
    assert (method.record.n_prototypes, method.record.n_hidden) == (0, 0)


def test_item_3_without_multi_task_stars_are_what_ratings_say(toy, world) -> None:
    train, valid, test = world(0), world(1), world(2)
    alone = fitted(toy.model_copy(update={"multi_task": False}), train, valid)
    bare = fitted(toy.model_copy(update=OFF), train, valid)
    np.testing.assert_allclose(alone.score(test.batch).rating, bare.score(test.batch).rating, atol=1e-5)
    assert alone.record.task_cosines == {}


def test_item_3_and_8_looks_tell_new_products_apart_and_others_looks_do_not(toy, world, looks) -> None:
    """New products are alike but for their looks; with those of others they cannot be told apart.

    Without attribution: ratings give a new product even chances here, and a bound by such a reason leaves no rest.
    """
    rows = {"liked_for": "looks"}
    train, valid = world(0, **rows), world(1, **rows)
    new = world(2, prefix="new", **rows)
    seen = looks.of_products(new.batch.products.product_ids)[1]
    config = toy.model_copy(update={"knowledge_base": False, "attribution": False, "epochs": 25, "patience": 25})

    def reached(method: ExplainRec) -> float:
        return auc(new.liked[seen], method.score(new.batch).click[seen])

    with_looks = fitted(config, train, valid, visuals=looks)
    blind = fitted(config, train, valid)
    assert reached(with_looks) > 0.9
    assert reached(with_looks) > reached(blind) + 0.15
    assert reached(with_looks.seeing(looks.shuffled(4))) < reached(with_looks) - 0.15


# Item 4: attributions.


def test_item_4_weights_sum_to_one_and_cite_only_what_is_there(taught: ExplainRec, world) -> None:
    batch = world(2).batch
    for row, made in enumerate(taught.attribute(batch)):
        assert sum(reason.weight for reason in made.reasons) == pytest.approx(1, abs=1e-5)
        history = {*batch.consumers.history_ids[row]} - {""}
        for reason in made.reasons:
            assert 0 <= reason.weight <= 1
            assert reason.attribute in {RATINGS, WHOLE, PRIOR, *batch.products.attributes[row]}
            assert {*reason.evidence} <= history


def test_item_4_evidence_for_an_attribute_has_the_attribute(taught: ExplainRec, world) -> None:
    rows = world(2)
    genre = {
        name: it[0] for name, it in zip(rows.batch.products.product_ids, rows.batch.products.attributes, strict=True)
    }
    cited = [
        (reason.attribute, product)
        for made in taught.attribute(rows.batch)
        for reason in made.reasons
        for product in reason.evidence
        if reason.attribute.startswith("genre")
    ]
    assert len(cited) > 100
    assert all(genre[product] == attribute for attribute, product in cited)


def test_item_4_without_history_ratings_and_prototypes_speak(taught: ExplainRec, world) -> None:
    for made in taught.attribute(world(2, history=False).batch):
        assert {reason.attribute for reason in made.reasons} == {RATINGS, PRIOR}
        assert made.evidence == ()


def test_item_4_with_history_prototypes_are_not_asked(taught: ExplainRec, world) -> None:
    batch = world(2).batch
    known = np.flatnonzero((batch.consumers.history_ids != "").any(1))
    made = taught.attribute(batch.take(known))
    assert not any(reason.attribute == PRIOR for it in made for reason in it.reasons)


def test_item_4_top_evidence_is_worth_more_than_other_evidence(taught: ExplainRec, world) -> None:
    """Of consumers that training did not see, of whom a history says all."""
    effect = deletion_effects(taught, world(8, who="x").batch, seed=0)
    assert effect["pairs"] > 100
    assert effect["low"] > 0
    assert effect["top"] > effect["random"]


def test_a_product_is_taken_out_of_its_row_alone(world) -> None:
    batch = world(2).batch.take(np.array([10, 11]))
    gone = batch.consumers.history_ids[0, 0]
    left = without_products(batch, [gone, ""]).consumers
    assert gone not in left.history_ids[0]
    np.testing.assert_array_equal(left.history_ids[1], batch.consumers.history_ids[1])
    assert np.isnan(left.history_ratings[0, 0])


def test_item_5_reasons_say_what_was_decided(taught: ExplainRec, world) -> None:
    made = taught.attribute(world(2).batch)
    assert np.mean([it.agrees for it in made]) >= 0.95


def test_attention_is_the_weight_of_each_kind_of_evidence(taught: ExplainRec, world) -> None:
    batch = world(2).batch
    scores = taught.score(batch)
    assert scores.fields == (RATINGS, WHOLE, PRIOR, "genre", "shelf")
    for row, made in enumerate(taught.attribute(batch)):
        by_kind = dict.fromkeys(scores.fields, 0.0)
        for reason in made.reasons:
            by_kind[reason.attribute.partition("=")[0]] += reason.weight
        np.testing.assert_allclose(scores.attention[row], list(by_kind.values()), atol=1e-4)


# Items 6 and 7: strangers and the knowledge base.


def test_item_6_strangers_are_told_apart_by_what_is_told_of_them(taught: ExplainRec, world) -> None:
    strangers = world(7, who="x", history=False)
    assert not {*strangers.batch.consumers.consumer_ids} & {*world(0).batch.consumers.consumer_ids}
    assert auc(strangers.liked, taught.score(strangers.batch).click) > 0.7


def test_item_7_hidden_blocks_leave_no_trace_in_what_speaks_for_them(toy, world) -> None:
    """Turning all their outcomes round changes neither prototypes nor beliefs of their episode."""
    train, run = world(0), RunContext(seed=3)
    before = Ground.of(train, train, toy.grounding, hides=True, known=None, run=run).strangers
    who = np.isin(train.batch.consumers.consumer_ids, before.consumers)
    what = np.isin(train.batch.products.product_ids, before.products)
    assert 0 < who.sum() < len(train)
    assert 0 < what.sum() < len(train)
    turned = replace(train, rating=np.where(who | what, 6 - train.rating, train.rating).astype(np.float32))
    after = Ground.of(turned, turned, toy.grounding, hides=True, known=None, run=run).strangers
    np.testing.assert_array_equal(after.consumers, before.consumers)
    np.testing.assert_array_equal(after.knowledge.preferences, before.knowledge.preferences)
    np.testing.assert_array_equal(after.knowledge.keys, before.knowledge.keys)
    asked = world(2).batch
    np.testing.assert_array_equal(
        after.collaborative.believe(asked).mean.numpy(), before.collaborative.believe(asked).mean.numpy()
    )
    for rows, mine, other in zip(before.rows_of(train.batch), (who, what), (what, who), strict=True):
        assert mine[rows].all()
        assert not other[rows].any()


def test_item_7_validation_rows_leave_no_trace_in_the_knowledge_base(toy, world, taught: ExplainRec) -> None:
    train, valid = world(0), world(1)
    turned = replace(valid, rating=6 - valid.rating, liked=1 - valid.liked)
    one, other = taught.knowledge, fitted(toy, train, turned).knowledge
    np.testing.assert_array_equal(one.preferences, other.preferences)
    np.testing.assert_array_equal(one.keys, other.keys)


def test_item_7_an_empty_base_scores_everybody(toy, world) -> None:
    nobody = toy.model_copy(update={"knowledge": KnowledgeConfig(min_support=10**6)})
    method = fitted(nobody, world(0), world(1))
    assert len(method.knowledge) == 0
    assert np.isfinite(method.score(world(7, who="x", history=False).batch).click).all()


# Item 9: another domain.


def test_item_9_trained_on_films_it_reads_histories_of_books_and_beats_the_text_only_mode(toy, domain) -> None:
    """No id and no attribute is shared, and nothing is told of consumers: what they liked speaks through texts."""
    train, valid = domain("films", 0, told=False), domain("films", 1, told=False)
    books = domain("books", 8, told=False)
    ids = ((it.batch.consumers.consumer_ids, it.batch.products.product_ids) for it in (train, books))
    known, asked = ({*who, *what} for who, what in ids)
    assert not known & asked
    config = toy.model_copy(update={"epochs": 20, "patience": 20})

    def reached(method: ExplainRec) -> float:
        return auc(books.liked, method.among(books.batch.products).score(books.batch).click)

    full = fitted(config, train, valid)
    text_only = fitted(config.model_copy(update=OFF), train, valid)
    assert reached(full) > 0.65
    assert reached(full) > reached(text_only) + 0.1


def test_item_9_knowing_more_products_changes_nothing_of_known_ones(toy, world, domain, looks, tmp_path: Path) -> None:
    method = fitted(toy.model_copy(update={"epochs": 2}), world(0), world(1), visuals=looks)
    wider, batch, books = method.among(domain("books", 8).batch.products), world(2).batch, domain("books", 8).batch
    np.testing.assert_array_equal(wider.score(batch).click, method.score(batch).click)
    assert (wider.score(books).click != method.score(books).click).any()
    cited = {it for made in wider.attribute(books) for it, _ in made.evidence}
    assert cited
    assert cited <= {*books.products.product_ids}
    wider.save(tmp_path)
    loaded = ExplainRec.load(tmp_path, method.config, SCALE)
    np.testing.assert_array_equal(loaded.score(books).click, wider.score(books).click)


def test_protected_attributes_change_nothing_unless_they_are_allowed(toy, world, taught: ExplainRec) -> None:
    train, valid, strangers = world(0), world(1), world(7, who="x", history=False)
    without_gender = replace(
        strangers.batch,
        consumers=replace(
            strangers.batch.consumers,
            attributes=np.array([it[:1] for it in strangers.batch.consumers.attributes] + [None], object)[:-1],
        ),
    )
    method = taught
    assert method.knowledge.told.ids == ("job=x", "job=y")
    np.testing.assert_array_equal(method.score(strangers.batch).click, method.score(without_gender).click)
    allowed = fitted(toy.model_copy(update={"protected": ()}), train, valid)
    assert "gender=F" in allowed.knowledge.told.ids


def test_a_stranger_is_known_by_what_is_told_alone(world) -> None:
    batch = world(0).batch
    rows = np.arange(len(batch)) % 2 == 1
    made = as_strangers(batch, rows).consumers
    assert {*made.consumer_ids[rows]} == {""}
    assert {*made.history_ids[rows].ravel()} == {""}
    assert np.isnan(made.numeric[rows]).all()
    np.testing.assert_array_equal(made.attributes, batch.consumers.attributes)
    np.testing.assert_array_equal(made.history_ids[~rows], batch.consumers.history_ids[~rows])


def test_a_new_product_is_described_and_rated_by_nobody(world) -> None:
    batch = world(0).batch
    rows = np.arange(len(batch)) % 2 == 1
    made = as_new(batch, rows).products
    assert np.isnan(made.numeric[rows]).all()
    np.testing.assert_array_equal(made.product_ids, batch.products.product_ids)
    np.testing.assert_array_equal(made.content.index, batch.products.content.index)


# Item 8: looks that are missing.


def test_item_8_scores_move_smoothly_as_looks_go_missing(sighted: ExplainRec, world, looks) -> None:
    method = sighted
    batch = world(2, prefix="new").batch
    half = VisualTable(looks.product_ids[::2], looks.values[::2])
    none = VisualTable(("nothing",), looks.values[:1])
    scores = [method.seeing(table).score(batch).click for table in (looks, half, none)]
    assert all(np.isfinite(it).all() for it in scores)
    kept = half.of_products(batch.products.product_ids)[1] | ~looks.of_products(batch.products.product_ids)[1]
    np.testing.assert_allclose(scores[1][kept], scores[0][kept], atol=1e-6)
    assert (scores[0] != scores[2]).any()


def test_looks_are_in_the_artifact(sighted: ExplainRec, taught: ExplainRec, toy, world, looks, tmp_path: Path) -> None:
    method = sighted
    method.save(tmp_path)
    batch = world(2, prefix="new").batch
    loaded = ExplainRec.load(tmp_path, method.config, SCALE)
    np.testing.assert_array_equal(loaded.score(batch).click, method.score(batch).click)
    with pytest.raises(TrainingError, match="without looks"):
        taught.seeing(looks)


# Item 10: tasks.


def test_item_10_tasks_are_compared_in_what_they_share(taught: ExplainRec) -> None:
    cosines = taught.record.task_cosines
    assert cosines.keys() == {"like-rating", "like-attributes", "rating-attributes"}
    assert all(-1 <= value <= 1 for value in cosines.values())
    assert cosines["like-rating"] > 0  # stars and likes are the same outcome


def test_scoring_a_batch_of_every_kind_reads_no_text(taught: ExplainRec) -> None:
    scores = taught.score(rich_batch(20, 7))
    assert np.isfinite(scores.click).all()
