"""Each gate refuses what it is for, by name, and lets an honest sentence through."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from features.types import Claim, EntityKind, Fact, Slot, Stance
from models.explanations.gates import Failure, drops_figure, failures, loops, miscites, numbers_agree, turned_round
from models.explanations.support import support

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

EXAMPLES = "Add nothing of it please.\nFact: 3 of the pale jazz records of Oslo"


def refused(text: str, stance: Stance = Stance.AGAINST, fact_ids: tuple[str, ...] = (FACT.fact_id,)) -> list[Failure]:
    return failures(
        text,
        stance,
        fact_ids,
        [FACT],
        OPENING,
        source="Fact: 3 of the pale jazz records of Oslo\nAdd nothing of it please.",
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
        (", says the fact about them.", Failure.GROUNDED),
        (", among them the pale jazz records of Oslo.", Failure.ECHO),
        (": add nothing of it please.", Failure.ECHO),
        (" such as The Devil's Jane, and rated 4 of them 2.2 of 5.", Failure.RECOMBINED),
        (", не берите их.", Failure.GROUNDED),
        (" <b>such as G.I. Jane</b>.", Failure.LANGUAGE),
        (" and war movies and war movies and war movies and war movies.", Failure.LOOP),
        (", write to a@b.com.", Failure.PERSONAL),
    ],
)
def test_each_gate_refuses_what_it_is_for(tail: str, failure: Failure) -> None:
    assert failure in refused(OPENING + tail)


def test_a_worked_examples_turns_of_phrase_may_be_shared_but_not_its_content() -> None:
    examples = "You are less taken with opera records such as Tosca, and rated 7 of them 2.1 of 5 on average."
    assert failures(HONEST, Stance.AGAINST, [FACT.fact_id], [FACT], OPENING, examples) == []
    copied = f"{OPENING} such as Tosca, and rated 7 of them 2.1 of 5 on average."
    assert Failure.ECHO in failures(copied, Stance.AGAINST, [FACT.fact_id], [FACT], OPENING, examples)


def test_names_may_be_shortened_and_joined_but_not_invented() -> None:
    fact = replace(
        FACT, text="rated 6 kites 4.5 of 5; among them Nordlys Sound Inlet 144 Headset and Calyxon Willow 148 Kite"
    )

    def named(tail: str) -> list[Failure]:
        return failures(f"You avoid kites{tail}", Stance.AGAINST, [fact.fact_id], [fact], "You avoid kites")

    assert named(" such as Nordlys Sound Inlet and Calyxon Willow.") == []
    assert Failure.TITLE in named(" such as Nordlys Willow and Calyxon.")
    assert Failure.TITLE in named(" such as Inlet Sound and Calyxon.")


def test_a_stance_needs_a_fact_of_its_side() -> None:
    assert Failure.STANCE in failures(HONEST, Stance.FOR, [FACT.fact_id], [FACT], OPENING)
    praise = f"{OPENING}, which are praised highly."
    assert Failure.STANCE in refused(praise)


def test_a_negation_is_neither_dropped_nor_added() -> None:
    fact = replace(FACT, text='wrote of Oak Strings, rated 2: "They do not stay in tune on a warm stage"')
    opening = "You were not content with Oak Strings and wrote:"

    def said(quote: str) -> list[Failure]:
        return failures(f"{opening} {quote}", Stance.AGAINST, [fact.fact_id], [fact], opening)

    assert said("They do not stay in tune on a warm stage.") == []
    assert said("They stay in tune on a warm stage.") == [Failure.STANCE]
    assert Failure.GROUNDED in refused(f"{OPENING} such as G.I. Jane, and never rated 4 of them 2.2 of 5.")


LABELS = ("F1", "F2")


@pytest.mark.parametrize(
    ("claim", "found"),
    [
        (Claim("text", Stance.FOR, 1.0, ("F1",)), []),
        (Claim("text", Stance.FOR, 1.0, ("F9",)), [Failure.CITATION]),
        (Claim("text", Stance.FOR, 1.0, ("F1", "F2")), [Failure.CITATION]),
        (Claim("text", Stance.FOR), [Failure.CITATION]),
        (Claim("text", Stance.AGAINST, 1.0, ("F1",)), [Failure.STANCE]),
    ],
)
def test_a_claim_cites_what_its_slot_allows_and_takes_its_side(claim: Claim, found: list[Failure]) -> None:
    assert miscites(claim, Slot("It is", stance=Stance.FOR, cites=("F1",)), LABELS) == found


def test_two_sides_must_differ_in_content_and_not_only_in_polarity() -> None:
    pro = (Stance.FOR, "You would enjoy it because they rated drama movies highly.")
    con = (Stance.AGAINST, "You would not enjoy it because they rated drama movies low.")
    other = (Stance.AGAINST, "You would not enjoy it because they rated horror movies low.")
    assert turned_round([pro, con]) == {0, 1}
    assert turned_round([pro, other]) == set()
    assert turned_round([pro, pro]) == set()


def test_a_lost_opening_and_a_missing_citation_are_refused() -> None:
    assert Failure.OPENING in refused("War movies such as G.I. Jane are rated 2.2 of 5.")
    assert Failure.CITATION in refused(HONEST, fact_ids=())
    assert Failure.CITATION in refused(HONEST, fact_ids=("c2.other",))


def test_numbers_must_stand_where_the_fact_has_them() -> None:
    fact = "rated 2 war movies 2.5 of 5 on average, below their usual 3.9"
    assert numbers_agree("and rated 2 of them 2.5 of 5 on average, below your usual 3.9", support(fact))
    assert not numbers_agree("and rated 2 of them 3.9 of 5 on average", support(fact))


def test_the_figure_that_matters_is_not_left_out() -> None:
    fact = "2 of 30 consumers rated it 2 or lower"
    assert not drops_figure("Of 30 consumers, 2 rated it 2 or lower.", fact)
    assert drops_figure("Of 30 consumers, it is rated 2 or lower.", fact)
    assert drops_figure("Of 5 consumers, it is rated 4 or higher.", "5 of 5 consumers rated it 4 or higher")
    assert drops_figure("Some consumers were let down: they rated it 2 or lower.", fact)
    assert drops_figure("Rated below your usual 4.6, Tosca got it.", "rated Tosca 3 of 5, below their usual 4.6")
    mean = "rated by 6 consumers, 4.0 of 5 on average, below the catalog's 4.5"
    assert drops_figure("6 consumers rated it below the catalog's 4.5.", mean)
    assert not drops_figure("With 4.0 of 5 on average from 6 consumers, it is below the catalog's 4.5.", mean)


@pytest.mark.parametrize(
    ("said", "changed"),
    [
        ("I like the soft strap, and it holds.", False),
        ("I like the soft strap.", False),
        ("You like the soft strap, and it holds.", True),
        ("I like the soft.", True),
        ("I like the strap, and it holds.", True),
    ],
)
def test_a_quotation_is_a_run_of_its_words_up_to_a_pause(said: str, changed: bool) -> None:
    fact = replace(FACT, text='wrote of Oak, rated 2: "I like the soft strap, and it holds"', source="review")
    opening = "You faulted Oak:"
    found = failures(f"{opening} {said}", Stance.AGAINST, [fact.fact_id], [fact], opening)
    assert (Failure.MISQUOTED in found) is changed


def test_loops_are_four_words_twice() -> None:
    assert loops("a b c d and a b c d")
    assert not loops("a b c and a b c")
