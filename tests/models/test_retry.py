"""A refused line gets one more request that says why, and no third."""

from __future__ import annotations

from dataclasses import replace

import pytest

from features.types import ModelIdentity, ShownFact, Slot, Stance, TextRequest
from models.explanations.gates import REASONS, Failure
from models.explanations.retry import AGAIN, Rejected, second_requests

MODEL = ModelIdentity("tiny", "1")
FACTS = (ShownFact("F1", "rated 2 war movies 2.0 of 5"), ShownFact("F2", "rated 9 drama movies 5.0 of 5"))
SLOTS = tuple(
    Slot(f"You {word}", 24, f"Fact: {fact.text}", stance, (fact.label,))
    for word, stance, fact in zip(("avoid", "enjoy"), (Stance.AGAINST, Stance.FOR), FACTS, strict=True)
)
REQUEST = TextRequest("consumer_facets", "consumer 1", "system", "", SLOTS, MODEL, facts=FACTS)


def refused(*failures: Failure, request: TextRequest = REQUEST) -> Rejected:
    return Rejected(request, 1, "You enjoy zebras.", failures)


def test_the_second_request_asks_for_that_line_alone_and_says_why() -> None:
    second = refused(Failure.NUMBER, Failure.TITLE).second
    assert second is not None
    assert (second.kind, second.subject, second.system) == ("consumer_facets" + AGAIN, "consumer 1", "system")
    assert second.key != REQUEST.key
    (slot,) = second.slots
    assert REASONS[Failure.NUMBER] in slot.about
    assert FACTS[1].text in slot.about
    assert replace(slot, about="") == replace(SLOTS[1], about="")
    assert "zebras" not in slot.about  # a small model would copy it


def test_a_request_without_lines_of_their_own_is_told_in_its_prompt() -> None:
    pair = replace(REQUEST, prompt="Why would this person enjoy it?", slots=(replace(SLOTS[1], about=""),))
    second = Rejected(pair, 0, "text", (Failure.GROUNDED,)).second
    assert second is not None
    assert "Why would this person enjoy it?" in second.prompt
    assert REASONS[Failure.GROUNDED] in second.prompt


def test_there_is_no_third_request() -> None:
    second = refused(Failure.NUMBER).second
    assert second is not None
    assert Rejected(second, 0, "text", (Failure.NUMBER,)).second is None


@pytest.mark.parametrize("failure", [Failure.CONTRAST, Failure.ONE_SIDED])
def test_what_another_line_is_to_blame_for_is_not_asked_again(failure: Failure) -> None:
    assert refused(failure).second is None


def test_equal_lines_are_asked_again_once() -> None:
    assert len(second_requests([refused(Failure.NUMBER), refused(Failure.NUMBER), refused(Failure.LOOP)])) == 2


def test_every_failure_can_be_told() -> None:
    assert set(REASONS) == set(Failure)
