"""Acceptance 1: whatever a language model answers, every subject has m scores in range, and the log says how."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from features.types import TextRequest
from models.attributes.asked import AskedScores, Subject, collect_scores, read_scores, score_requests
from models.attributes.listed import Attribute
from models.llm.scripted import SCRIPTED, ScriptedEngine

ATTRIBUTES = tuple(Attribute(name=name, description=f"how {name} it is") for name in ("funny", "loud", "long"))
FUNNY, LOUD, LONG = range(3)


def asked(subjects: list[Subject], answer, n_orders: int = 1) -> AskedScores:
    """Scores from an engine that answers each request with `answer(request)`."""
    requests = score_requests(subjects, ATTRIBUTES, SCRIPTED, n_orders)
    completions = {it.request_key: it for it in ScriptedEngine(answer).complete(requests)}
    return collect_scores(subjects, ATTRIBUTES, requests, completions)


def says(text: str):
    """An answer of three lines, whatever was asked."""
    return lambda request: text.split("|")


def test_the_prompt_names_role_attributes_scale_and_form() -> None:
    (request,) = score_requests([Subject("p1", "A film about a dog.")], ATTRIBUTES, SCRIPTED, 1)
    assert request.system == (
        "You are a salesperson who knows every product of the shop. You are told about one product or one customer and "
        "say how much each attribute applies, as a whole number from 1 (not at all) to 10 (very much).\n\n"
        "The attributes:\n- funny: how funny it is\n- loud: how loud it is\n- long: how long it is\n\n"
        "Answer with one line for each attribute, in the order you are asked, in this form:\nattribute: number"
    )
    assert request.prompt == "A film about a dog."
    assert [slot.opening for slot in request.slots] == ["funny:", "loud:", "long:"]


def test_orders_differ_and_have_keys_of_their_own() -> None:
    requests = score_requests([Subject("p1", "x")], ATTRIBUTES, SCRIPTED, 3)
    assert len({request.key for request in requests}) == 3
    assert len({tuple(slot.opening for slot in request.slots) for request in requests}) > 1
    assert all(sorted(slot.opening for slot in it.slots) == ["funny:", "long:", "loud:"] for it in requests)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["funny: 7", "loud: 1", "long: 10"], [7, 1, 10]),
        (["long: 10", "funny: 7", "loud: 1"], [7, 1, 10]),
        (["- **Funny**: 7/10", "2. LOUD: about 1.", "long : 10"], [7, 1, 10]),
        (["funny: 7\nloud: 1\nlong: 10"], [7, 1, 10]),
        (["funny: 7", "funny: 3", "loud: 1", "long: 2"], [7, 1, 2]),
    ],
)
def test_numbers_are_found_whatever_the_order_and_the_marks(lines: list[str], expected: list[float]) -> None:
    np.testing.assert_array_equal(read_scores(lines, ATTRIBUTES).values, expected)


def test_what_is_missing_out_of_range_or_extra_is_told_and_never_guessed() -> None:
    reading = read_scores(["funny: 11", "loud: very", "smell: 3", "Here you are"], ATTRIBUTES)
    assert np.isnan(reading.values).all()
    assert reading.missing == ("funny", "loud", "long")
    assert reading.out_of_range == ("funny",)
    assert reading.extra == 2


def test_every_broken_answer_ends_in_range_with_fallbacks_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    answers = {
        "good": "funny: 2|loud: 4|long: 6",
        "alike": "funny: 4|loud: 6|long: 8",
        "missing": "funny: 3|loud: loud|long: ",
        "extra": "funny: 3|smell: 9|colour: 2",
        "reordered": "long: 1|loud: 2|funny: 3",
        "out of range": "funny: 0|loud: 99|long: -3",
        "malformed": "funny: 3",
        "alone": "I cannot|say|that",
    }
    subjects = [Subject(name, name, "" if name == "alone" else "film") for name in answers]

    def answer(request: TextRequest) -> list[str]:
        return answers[request.subject].split("|")

    with caplog.at_level(logging.WARNING):
        scores = asked(subjects, answer)
    assert scores.values.shape == (8, 3)
    assert ((scores.values >= 1) & (scores.values <= 10)).all()
    np.testing.assert_array_equal(scores.values[4], [3, 2, 1])
    known = np.mean([4, 6, 2])  # loud, of the film category: good, alike, reordered
    assert scores.values[2, LOUD] == pytest.approx(known)
    assert scores.values[5, LOUD] == pytest.approx(known)
    assert scores.filled == {"category": 2 + 2 + 3 + 3, "all": 3}
    assert scores.out_of_range == 3
    assert scores.extra == 2 + 3
    assert "13 of 24 are not the model's" in caplog.text


def test_without_any_answer_scores_are_the_middle() -> None:
    scores = asked([Subject("p1", "x")], says("no|idea|at all"))
    np.testing.assert_array_equal(scores.values, [[5.5, 5.5, 5.5]])
    assert scores.filled == {"middle": 3}


def test_scores_are_means_over_the_orders() -> None:
    def first_gets_more(request: TextRequest) -> list[str]:
        return [f"{slot.opening} {9 if place == 0 else 3}" for place, slot in enumerate(request.slots)]

    orders = [request.slots[0].opening for request in score_requests([Subject("p1", "x")], ATTRIBUTES, SCRIPTED, 6)]
    scores = asked([Subject("p1", "x")], first_gets_more, n_orders=6)
    expected = [3 + 6 * orders.count(f"{it.name}:") / 6 for it in ATTRIBUTES]
    np.testing.assert_allclose(scores.values[0], expected, atol=1e-6)
