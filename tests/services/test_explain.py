"""Reasons: the pair's own text where there is one, composed from facets elsewhere, always both sides."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from models.release import ReleaseTexts
from services.explain import Reasons

NOW = datetime(2024, 5, 2, tzinfo=UTC)


def test_facets_of_one_stance_meet_by_the_cosine_of_their_vectors(reasons: Reasons) -> None:
    first, second = reasons.of("c1", "p1", NOW)
    assert first.text == "c1 for 0 p1 for 0"  # equal vectors, and the product's text is from a review
    assert set(first.fact_ids) == {"f1", "f2"}
    assert second.text == "p1 against 0"  # the consumer has no aversion


def test_facets_that_say_different_things_are_not_put_together(texts: ReleaseTexts) -> None:
    vectors = [[1.0, 0.0] if kind == "consumer" else [0.0, 1.0] for kind in texts.facets["entity_kind"]]
    apart = replace(texts, facets=texts.facets.assign(vector=vectors))
    assert Reasons(apart).of("c1", "p1", NOW)[0].text == "p1 for 0"


def test_a_written_side_is_used_and_the_other_is_composed(reasons: Reasons) -> None:
    first, second = reasons.of("c1", "p2", NOW)
    assert (first.text, first.granularity) == ("Written for c1 and p2.", "pair")
    assert second.granularity == "none"
    assert reasons.written_for("c1") == {"p2"}
    assert reasons.written_for("c2") == frozenset()


def test_of_strangers_both_sides_are_still_given_and_say_that_nothing_is_known(reasons: Reasons) -> None:
    sides = reasons.of("stranger", "nothing", NOW)
    assert [reason.stance for reason in sides] == ["for", "against"]
    assert {(reason.granularity, reason.fact_ids, reason.evidence_time) for reason in sides} == {("none", (), None)}


def test_facts_come_with_text_source_and_time(reasons: Reasons) -> None:
    fact = reasons.of("c1", "p1", NOW)[1].facts[0]
    assert (fact.fact_id, fact.text, fact.source) == ("f1", "Text of f1.", "review")
    assert fact.evidence_time.tzinfo is not None
    assert reasons.of("c1", "p1", NOW)[1].evidence_age_seconds == 24 * 3600


def test_a_release_without_any_text_still_answers(texts: ReleaseTexts) -> None:
    empty = ReleaseTexts(texts.products, *(frame.iloc[:0] for frame in (texts.facets, texts.facts, texts.pair_texts)))
    assert len(Reasons(empty).of("c1", "p1", NOW)) == 2
