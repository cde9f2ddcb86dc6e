"""Each gate refuses what it is for, by name, and lets an honest sentence through."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from features.types import EntityKind, Fact, Stance
from models.explanations.gates import Failure, failures, loops, numbers_agree, stem

FACT = Fact(
    "c1.genre.War",
    EntityKind.CONSUMER,
    "1",
    "genre=War",
    "rated 4 war movies 2.2 of 5 on average, below their usual 3.0; among them The Devil's Own and G.I. Jane",
    -1,
    0.5,
    "ratings",
    datetime(2020, 1, 1, tzinfo=UTC),
)
OPENING = "You are less taken with war movies"
HONEST = f"{OPENING} such as G.I. Jane, and rated 4 of them 2.2 of 5 on average."


def refused(text: str, stance: Stance = Stance.AGAINST, fact_ids: tuple[str, ...] = (FACT.fact_id,)) -> list[Failure]:
    return failures(
        text, stance, fact_ids, [FACT], OPENING, prompt=f"Fact: {FACT.text}\nAdd nothing of your own to it please."
    )


def test_an_honest_sentence_passes() -> None:
    assert refused(HONEST) == []


@pytest.mark.parametrize(
    ("tail", "failure"),
    [
        ("", Failure.EMPTY),
        (" such as " + "The Devil's Own, " * 30 + "and more.", Failure.LENGTH),
        (" such as The Devil's Own", Failure.UNFINISHED),
        (" such as The Devil's Own and G.I.", Failure.UNFINISHED),
        (" because of their slow pacing.", Failure.GROUNDED),
        (" such as G.I. Jane, and rated 9 of them 2.2 of 5 on average.", Failure.NUMBER),
        (" such as G.I. Jane, and rated 4 of them 3.0 of 5 on average.", Failure.NUMBER),
        (" such as The Irishman, and rated 4 of them 2.2 of 5.", Failure.TITLE),
        (", which you love above others.", Failure.STANCE),
        (", says the fact about them.", Failure.ECHO),
        (": add nothing of your own to it please.", Failure.ECHO),
        (" and war movies and war movies and war movies and war movies.", Failure.LOOP),
        (", write to a@b.com.", Failure.PERSONAL),
    ],
)
def test_each_gate_refuses_what_it_is_for(tail: str, failure: Failure) -> None:
    assert failure in refused(OPENING + tail)


def test_a_lost_opening_and_a_missing_citation_are_refused() -> None:
    assert Failure.OPENING in refused("War movies such as G.I. Jane are rated 2.2 of 5.")
    assert Failure.CITATION in refused(HONEST, fact_ids=())
    assert Failure.CITATION in refused(HONEST, fact_ids=("c2.other",))


def test_numbers_must_stand_where_the_fact_has_them() -> None:
    fact = "rated 2 war movies 2.5 of 5 on average, below their usual 3.9"
    assert numbers_agree("and rated 2 of them 2.5 of 5 on average, below your usual 3.9", fact)
    assert not numbers_agree("and rated 2 of them 3.9 of 5 on average", fact)


def test_stems_join_forms_of_a_word() -> None:
    assert stem("movies") == stem("movie")
    assert stem("rated") == stem("rating")
    assert stem("war") != stem("warm")


def test_loops_are_four_words_twice() -> None:
    assert loops("a b c d and a b c d")
    assert not loops("a b c and a b c")
