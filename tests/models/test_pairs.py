"""Pair questions: two per pair, alike but for the polarity, blind to the label and to everything later."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from features.errors import InputError
from features.types import Completion, EntityKind, Fact, FinishReason, ModelIdentity, Stance, claims_of
from models.explanations.gates import Failure
from models.explanations.pairs import POLARITY, Pair, ParsedPairs, pair_requests, parse_pair, parse_pairs

TIME = datetime(2020, 1, 1, tzinfo=UTC)
MODEL = ModelIdentity("tiny", "1")
TASTE = Fact(
    "c1.genre.Drama",
    EntityKind.CONSUMER,
    "1",
    "genre=Drama",
    "rated 6 drama movies 4.8 of 5 on average, above their usual 3.5; among them Fargo",
    1,
    0.5,
    "ratings",
    TIME,
)
GENRE = Fact("p9.genre.Drama", EntityKind.PRODUCT, "9", "genre=Drama", "its genre is Drama", 0, 0.4, "attribute", TIME)
PAIR = Pair("1", "9", "Postino, Il (1994)", TIME + timedelta(days=1), (TASTE,), (GENRE,))


def answer(stance: Stance, tail: str, finish: FinishReason = FinishReason.STOP) -> tuple:  # type: ignore[type-arg]
    request = pair_requests(PAIR, MODEL)[stance is Stance.AGAINST]
    done = Completion(
        request.key, claims_of(request.slots, [request.slots[0].opening + tail]), finish, 1, 1, 0.0, MODEL
    )
    return parse_pair(PAIR, stance, request, done)


def test_the_two_questions_differ_only_in_the_polarity_phrase() -> None:
    pro, con = pair_requests(PAIR, MODEL)
    for one, other in ((pro.prompt, con.prompt), (pro.slots[0].opening, con.slots[0].opening)):
        assert one != other
        assert one.replace(POLARITY[Stance.FOR], POLARITY[Stance.AGAINST]) == other
    assert pro.system == con.system
    assert "Il Postino" in pro.prompt


def test_facts_of_the_pairs_time_or_later_are_refused() -> None:
    late = replace(TASTE, evidence_time=PAIR.time)
    with pytest.raises(InputError, match="strictly before"):
        pair_requests(replace(PAIR, consumer_facts=(late,)), MODEL)


def test_an_answer_becomes_an_explanation_that_cites_what_it_uses() -> None:
    explanation, failed = answer(
        Stance.FOR, " it is a drama, and they rated drama movies such as Fargo above their usual."
    )
    assert failed == []
    assert explanation is not None
    assert (explanation.granularity, explanation.fact_ids) == ("pair", ("c1.genre.Drama",))
    assert explanation.evidence_time == TIME


@pytest.mark.parametrize(
    ("tail", "finish", "failure"),
    [
        (" it has a wonderful soundtrack.", FinishReason.STOP, Failure.GROUNDED),
        (" it is what it is.", FinishReason.STOP, Failure.CITATION),
        (" it is a drama.", FinishReason.LENGTH, Failure.UNFINISHED),
    ],
)
def test_a_bad_answer_is_no_explanation(tail: str, finish: FinishReason, failure: Failure) -> None:
    explanation, failed = answer(Stance.FOR, tail, finish)
    assert explanation is None
    assert failure in failed


def test_a_reason_against_needs_a_fact_against() -> None:
    explanation, failed = answer(Stance.AGAINST, " it is a drama, and they rated drama movies above their usual.")
    assert (explanation, failed) == (None, [Failure.STANCE])
    assert answer(Stance.AGAINST, " it is a drama.")[1] == [Failure.STANCE]


WAR = replace(
    TASTE,
    fact_id="c1.genre.War",
    aspect="genre=War",
    text="rated 4 war movies 2.0 of 5 on average, below their usual 3.5; among them Patton",
    polarity=-1,
)
ARGUED = replace(PAIR, consumer_facts=(TASTE, WAR))
SAID = {
    Stance.FOR: " they rated drama movies above their usual.",
    Stance.AGAINST: " they rated war movies such as Patton below their usual.",
}


def both(pro: str = SAID[Stance.FOR], con: str = SAID[Stance.AGAINST]) -> ParsedPairs:
    requests = pair_requests(ARGUED, MODEL)
    lines = [request.slots[0].opening + tail for request, tail in zip(requests, (pro, con), strict=True)]
    answers = {
        request.key: Completion(request.key, claims_of(request.slots, [line]), FinishReason.STOP, 1, 1, 0.0, MODEL)
        for request, line in zip(requests, lines, strict=True)
    }
    return parse_pairs([ARGUED], answers, MODEL)


def test_a_pair_is_published_with_both_sides_or_with_none() -> None:
    assert [text.stance for text in both().texts] == [Stance.FOR, Stance.AGAINST]
    one_sided = both(con=" it has a dreadful soundtrack.")
    assert one_sided.texts == ()
    assert {line.failures[-1] for line in one_sided.rejected} >= {Failure.ONE_SIDED}


def test_two_sides_that_differ_only_in_polarity_are_no_argument() -> None:
    turned = both(pro=" they rated war movies such as Patton.", con=" they rated war movies such as Patton low.")
    assert turned.texts == ()


def test_nobody_has_rated_what_is_recommended_to_them() -> None:
    assert [f for line in both(con=" they rated it below their usual 3.5.").rejected[:1] for f in line.failures] == [
        Failure.STANCE
    ]
