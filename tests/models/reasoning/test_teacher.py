"""A teacher is told the outcome of what it explains and of nothing else; what it says is kept like any other answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.ledger import Ledger
from features.types import Stance, TextRequest
from models.llm.generate import generate
from models.llm.scripted import SCRIPTED, ScriptedEngine
from models.reasoning.cases import Case, Described
from models.reasoning.teacher import (
    agreed,
    description_request,
    profile_request,
    rationale_request,
    read_text,
    read_verdict,
    reviews_before,
    verdict_request,
)
from models.reasoning.windows import windows

EVENTS = [(Described(f"Product {n}"), n % 2 == 0) for n in range(8)]
WINDOWS = windows(len(EVENTS))


def case_of(part: str) -> Case:
    window = WINDOWS[part]
    return Case("", tuple(EVENTS[place] for place in window.history), EVENTS[window.target][0])


def words_of(request: TextRequest) -> str:
    return " ".join([request.system, request.prompt, *(fact.text for fact in request.facts)])


def test_only_a_rationale_is_told_the_outcome() -> None:
    case = case_of("train")
    told = {liked: rationale_request("x", case, liked, SCRIPTED) for liked in (True, False)}
    assert "will like the target" in told[True].prompt
    assert "will dislike the target" in told[False].prompt
    assert [told[liked].slots[0].stance for liked in (True, False)] == [Stance.FOR, Stance.AGAINST]
    asked = words_of(verdict_request("x", case, SCRIPTED))
    assert "will like the target." not in asked
    assert "will dislike" not in asked


def test_the_tested_product_is_in_no_prompt_for_profiles_or_for_training() -> None:
    tested = EVENTS[WINDOWS["test"].target][0].title
    profile = profile_request("c", [EVENTS[place] for place in WINDOWS["train"].profile], SCRIPTED)
    assert profile is not None
    assert "Liked: Product 0" in words_of(profile)
    for request in (profile, rationale_request("x", case_of("train"), True, SCRIPTED)):
        assert tested not in words_of(request)


def test_a_description_sees_no_review_of_its_own_consumer_or_from_the_cut_on() -> None:
    frame = pd.DataFrame(
        {
            "consumer_id": ["a", "b", "c", "d"],
            "product_id": ["p", "p", "p", "other"],
            "timestamp": pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-01"], utc=True),
            "rating": [5.0, 1.0, 5.0, 5.0],
            "review": ["warm and mild", "mine", "later", "elsewhere"],
        }
    )
    seen = reviews_before(frame, "p", pd.Timestamp("2020-01-03", tz="UTC"), without="b")
    request = description_request("p", "Tea", seen, SCRIPTED)
    assert request is not None
    assert [fact.text for fact in request.facts] == ["5 stars: warm and mild"]
    assert description_request("p", "Tea", seen[seen["rating"] < 5], SCRIPTED) is None


def test_sampled_reviews_keep_the_proportions_of_the_stars() -> None:
    stars = [5.0] * 60 + [1.0] * 40
    frame = pd.DataFrame({"rating": stars, "review": [f"text {n}" for n in range(100)]})
    request = description_request("p", "Tea", frame, SCRIPTED, seed=3)
    assert request is not None
    assert [fact.text[0] for fact in request.facts] == ["1"] * 4 + ["5"] * 6


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ("Warm and mild, but it leaks.", ""),
        ("word " * 60, "length"),
        ("it is very good indeed my friend it is very good indeed my friend", "loop"),
        ("Write to jane.doe@example.com about it.", "personal"),
    ],
)
def test_answers_go_through_the_ledger_and_are_judged(tmp_path: Path, said: str, refused: str) -> None:
    request = description_request("p", "Tea", pd.DataFrame({"rating": [5.0], "review": ["mild"]}), SCRIPTED)
    assert request is not None
    engine = ScriptedEngine(lambda _: [said])
    with Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as ledger:
        first = generate([request], engine, ledger)
        again = generate([request], engine, ledger)
    assert (first.made, again.made, again.from_ledger) == (1, 0, 1)
    taught = read_text(request, again.completions)
    assert taught.refused == refused
    assert taught.text == ("" if refused else said)
    assert read_text(request, {}).refused == "unanswered"


def test_rationales_that_evidence_would_not_lead_to_are_left_out() -> None:
    requests = [verdict_request(str(n), case_of(part), SCRIPTED) for n, part in enumerate(WINDOWS)]
    said = dict(zip((r.key for r in requests), ["Yes.", "no", "Perhaps"], strict=True))
    answers = {answer.request_key: answer for answer in ScriptedEngine(lambda r: [said[r.key]]).complete(requests)}
    verdicts = [read_verdict(request, answers) for request in requests]
    assert verdicts == [True, False, None]
    liked = np.array([True, True, True])
    assert agreed(["a", "b", "c"], liked, verdicts) == ["a", "", ""]
