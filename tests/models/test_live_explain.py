"""A pair worded on demand passes the same ledger and gates as a run's texts, or says why it was not worded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import GenerationError
from features.records import to_frame
from features.types import EntityKind, Explanation, Facet, Fact, TextRequest
from models.explanations import live
from models.explanations.live import LiveExplainer, Stepped, Worded
from models.explanations.published import Published
from models.explanations.steps import KIND, Grounds, Weighed
from models.llm.scripted import ScriptedEngine
from models.release import ReleaseTexts

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(days=30)


TASTE = Fact(
    "c.genre.Drama",
    EntityKind.CONSUMER,
    "c",
    "genre=Drama",
    "rated 6 drama movies 4.8 of 5 on average, above their usual 3.5; among them Fargo",
    1,
    0.5,
    "ratings",
    NOON,
)
WAR = replace(
    TASTE,
    fact_id="c.genre.War",
    aspect="genre=War",
    text="rated 4 war movies 2.0 of 5 on average, below their usual 3.5; among them Patton",
    polarity=-1,
)
DRAMA_TOO = Fact("p.Drama", EntityKind.PRODUCT, "p", "genre=Drama", "its genre is Drama", 0, 0.4, "attribute", NOON)
WAR_TOO = replace(DRAMA_TOO, fact_id="p.War", aspect="genre=War", text="its genre is War")
FACTS = [TASTE, WAR, DRAMA_TOO, WAR_TOO]


@pytest.fixture
def published() -> Published:
    products = pd.DataFrame({"product_id": ["p"], "title": ["Lighthouse"], "description": [""]})
    facets = to_frame([], Facet).assign(vector=[])
    return Published(ReleaseTexts(products, facets, to_frame(FACTS, Fact), to_frame([], Explanation)))


@pytest.fixture
def explainer(published: Published, tmp_path: Path) -> Callable[..., LiveExplainer]:
    return lambda engine: LiveExplainer(published, lambda: engine, f"sqlite:///{tmp_path}/ledger.sqlite")


def continuing(said: dict[str, str]) -> Callable[[TextRequest], list[str]]:
    """Every opening, continued by what is said about that side."""

    def answer(request: TextRequest) -> list[str]:
        return [f"{slot.opening} {said[str(slot.stance)]}" for slot in request.slots]

    return answer


GOOD = {
    "for": "they rated drama movies above their usual.",
    "against": "they rated war movies such as Patton below their usual.",
}
MADE_UP = GOOD | {"against": "it has a dreadful soundtrack."}


def test_both_sides_are_worded_from_the_facts_of_the_release(explainer: Callable[..., LiveExplainer]) -> None:
    (worded,) = explainer(ScriptedEngine(continuing(GOOD))).explain("c", ["p"], LATER, 10)
    assert [(text.stance, text.granularity, text.model) for text in worded.texts] == [
        ("for", "pair", "scripted"),
        ("against", "pair", "scripted"),
    ]
    assert worded.texts[1].fact_ids == ("c.genre.War", "p.War")
    assert worded.note == ""


def test_what_was_worded_once_is_in_the_ledger_and_not_asked_again(explainer: Callable[..., LiveExplainer]) -> None:
    engine = ScriptedEngine(continuing(GOOD))
    first, second = (explainer(engine).explain("c", ["p"], LATER + timedelta(days=n), 10) for n in (0, 1))
    assert len(engine.seen) == 2
    assert first == second
    assert len(first[0].texts) == 2


def test_words_that_fail_the_gates_twice_are_not_given_out(explainer: Callable[..., LiveExplainer]) -> None:
    engine = ScriptedEngine(continuing(MADE_UP))
    assert explainer(engine).explain("c", ["p"], LATER, 10) == (Worded((), live.REFUSED),)
    assert [request.kind for request in engine.seen] == ["pair_reason", "pair_reason", "pair_reason_again"]


def test_without_facts_on_both_sides_nobody_is_asked(explainer: Callable[..., LiveExplainer]) -> None:
    engine = ScriptedEngine(continuing(GOOD))
    assert explainer(engine).explain("stranger", ["p"], LATER, 10) == (Worded((), live.NO_FACTS),)
    assert explainer(engine).explain("c", ["p"], NOON, 10) == (Worded((), live.NO_FACTS),)  # nothing was known yet
    assert engine.seen == []


def test_who_cannot_wait_is_told_so_and_the_answer_is_there_for_the_next(
    explainer: Callable[..., LiveExplainer],
) -> None:
    go_on = threading.Event()

    def slowly(request: TextRequest) -> list[str]:
        go_on.wait(10)
        return continuing(GOOD)(request)

    engine = ScriptedEngine(slowly)
    explain = explainer(engine)
    assert [explain.explain("c", ["p"], LATER, 0.05) for _ in range(3)] == [(Worded((), live.LATE),)] * 3
    go_on.set()
    assert len(explain.explain("c", ["p"], LATER, 10)[0].texts) == 2
    assert len(engine.seen) == 2  # who asked while it was being worded did not queue up


def test_the_pairs_of_a_list_are_worded_together_each_for_itself(
    explainer: Callable[..., LiveExplainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "TOGETHER", 2)
    engine = ScriptedEngine(continuing(GOOD))
    known, *unknown = explainer(engine).explain("c", ["p", "q", "r"], LATER, 10)
    assert {text.product_id for text in known.texts} == {"p"}
    assert unknown == [Worded((), live.NO_FACTS)] * 2
    assert len(engine.seen) == 2


def test_a_product_that_is_named_twice_is_worded_once(explainer: Callable[..., LiveExplainer]) -> None:
    engine = ScriptedEngine(continuing(GOOD))
    first, again = explainer(engine).explain("c", ["p", "p"], LATER, 10)
    assert first == again
    assert len(first.texts) == len(engine.seen) == 2


def test_an_engine_that_cannot_be_opened_is_no_error_of_the_answer(published: Published, tmp_path: Path) -> None:
    def away() -> ScriptedEngine:
        raise GenerationError("nothing there")

    explain = LiveExplainer(published, away, f"sqlite:///{tmp_path}/ledger.sqlite")
    assert explain.explain("c", ["p"], LATER, 10) == (Worded((), live.FAILED),)
    assert not (tmp_path / "ledger.sqlite").exists()


GROUNDS = Grounds((Weighed("slow drama", 0.9),), (0.5,), ("Fargo", "Heat"), np.zeros((1, 2)), "Lighthouse")
STEPS = [
    "Preference 1 shows in Fargo.",
    "Fitness to preference 1 is 0.8, as it takes its time.",
    "The chance is high, as what weighs most is met.",
    "You may well like Lighthouse.",
]


def test_steps_are_worded_once_through_the_ledger(explainer: Callable[..., LiveExplainer]) -> None:
    engine = ScriptedEngine(lambda _: STEPS)
    first, again = (explainer(engine).steps(GROUNDS, 10) for _ in range(2))
    assert first == again
    assert first.steps is not None
    assert (first.steps.fitness, first.steps.recommendation, first.steps.model) == ((0.8,), STEPS[-1], "scripted")
    assert [request.kind for request in engine.seen] == [KIND]


def test_steps_that_may_not_be_shown_or_come_too_late_are_not_given_and_why(
    explainer: Callable[..., LiveExplainer],
) -> None:
    against_itself = [*STEPS[:2], "The chance is low, as it is so.", STEPS[-1]]
    assert explainer(ScriptedEngine(lambda _: against_itself)).steps(GROUNDS, 10) == Stepped(None, live.REFUSED)
    small = LiveExplainer(explainer(ScriptedEngine())._published, ScriptedEngine, "sqlite://", words_steps=False)
    assert small.steps(GROUNDS, 10) == Stepped(None, live.TOO_SMALL)
    nobody = replace(GROUNDS, history=(), likeness=np.zeros((1, 0)))
    assert explainer(ScriptedEngine(lambda _: STEPS)).steps(nobody, 10) == Stepped(None, live.NO_HISTORY)
    go_on = threading.Event()

    def slowly(_: TextRequest) -> list[str]:
        go_on.wait(10)
        return STEPS

    slow = explainer(ScriptedEngine(slowly))
    other = replace(GROUNDS, history=("Fargo",), likeness=np.zeros((1, 1)))
    assert slow.steps(other, 0.05) == Stepped(None, live.LATE)
    go_on.set()
    assert slow.steps(other, 10).steps is not None
