"""Reasons: the pair's own text where there is one, composed from facets elsewhere, always both sides."""

from __future__ import annotations

from services.explain import Reasons


def test_facets_meet_by_the_cosine_of_their_vectors(reasons: Reasons) -> None:
    # consumer (.6 .8); product for (.6 .8), against (0 1): 1.0 + 0.8
    assert reasons.of("c1", "p1")[0].text == "1 x 2: 1.8"


def test_a_written_side_is_used_and_the_other_is_composed(reasons: Reasons) -> None:
    first, second = reasons.of("c1", "p2")
    assert (first.granularity, second.granularity) == ("pair", "entity")
    assert reasons.written_for("c1") == {"p2"}
    assert reasons.written_for("c2") == frozenset()


def test_of_strangers_both_sides_are_still_given(reasons: Reasons) -> None:
    assert [reason.stance for reason in reasons.of("stranger", "nothing")] == ["for", "against"]
    assert reasons.of("stranger", "nothing")[0].text == "0 x 0: 0.0"


def test_facts_come_with_text_source_and_time(reasons: Reasons) -> None:
    fact = reasons.of("c1", "p1")[0].facts[0]
    assert (fact.fact_id, fact.text, fact.source) == ("f1", "Text of f1.", "interactions:7")
    assert fact.evidence_time.tzinfo is not None
