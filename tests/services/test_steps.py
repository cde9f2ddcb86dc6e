"""The four steps of a recommendation: on the weights that acted, of facets that count, and only where there are any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.batch import FeatureBatch
from features.types import EntityKind, Stance
from models.backbones.sequences.batches import FACET_SLOTS
from models.base import RunContext, Scores
from models.explanations.live import LiveExplainer
from models.explanations.steps import KIND
from models.explanations.what_if import FacetChange
from models.llm.scripted import ScriptedEngine
from models.methods.lane import Lane, LaneConfig
from models.release import ReleaseTexts
from models.testing import SCALE, rich_batch, rich_training_set
from services.explain import ATTRACTING, NOBODY, Reasons
from services.runtime import Runtime
from services.schemas import ExplainRequest, ExplainResponse
from tests.services.conftest import FakeModel, make_facet


class Attending(FakeModel):
    """Attends to the consumer's two attracting facets, to the second one more."""

    def score(self, batch: FeatureBatch) -> Scores:
        attention = np.zeros((len(batch), len(FACET_SLOTS)), np.float32)
        attention[:, :2] = 0.25, 0.625
        attention[:, -1] = 0.125
        return replace(super().score(batch), fields=FACET_SLOTS, attention=attention)


@pytest.fixture
def two_tastes(texts: ReleaseTexts) -> ReleaseTexts:
    second = {**make_facet(EntityKind.CONSUMER, "c1", Stance.FOR, 1, "f2"), "vector": [0.0, 1.0]}
    return replace(texts, facets=pd.concat([texts.facets, pd.DataFrame([second])], ignore_index=True))


@pytest.fixture
def attending(
    make_runtime: Callable[..., Runtime], features: Any, two_tastes: ReleaseTexts, inbox: Any
) -> Callable[[], Runtime]:
    return lambda: make_runtime(features, Attending(), Reasons(two_tastes), inbox)


def ask(runtime: Runtime, product: str = "p1", consumer: str = "c1", **live: Any) -> ExplainResponse:
    return runtime.explain(ExplainRequest(consumer_id=consumer, product_id=product, **live))


WORDED = [
    "Preference 1 shows in Title p1.",
    "Preference 2 shows in Title p1.",
    "Fitness to preference 1 is 0.9, since it is slow.",
    "Fitness to preference 2 is 0.1, since it is short.",
    "The chance is medium, as what weighs most is met.",
    "You may well like Title p1.",
]
"""0.625 * 0.9 + 0.25 * 0.1 is a medium chance."""


def test_the_language_model_words_them_where_it_is_asked(
    make_runtime: Callable[..., Runtime], features: Any, two_tastes: ReleaseTexts, inbox: Any, tmp_path: Path
) -> None:
    engine = ScriptedEngine(lambda request: WORDED if request.kind == KIND else [])
    reasons = Reasons(
        two_tastes, live=lambda published: LiveExplainer(published, lambda: engine, f"sqlite:///{tmp_path}/l.sqlite")
    )
    steps = ask(make_runtime(features, Attending(), reasons, inbox), explanations="live").steps
    assert steps is not None
    assert [(it.example, it.fitness, it.reason) for it in steps.preferences] == [
        (WORDED[0], 0.9, WORDED[2]),
        (WORDED[1], 0.1, WORDED[3]),
    ]
    assert (steps.chance, steps.recommendation, steps.model, steps.note) == ("medium", WORDED[-1], "scripted", None)


def test_where_there_is_no_language_model_the_template_says_so(attending: Callable[[], Runtime]) -> None:
    steps = ask(attending(), explanations="live").steps
    assert steps is not None
    assert (steps.model, steps.note) == ("template", NOBODY)


def test_steps_are_on_the_weights_that_acted(attending: Callable[[], Runtime]) -> None:
    """p1 is said to be [3, 4] / 5: the first taste is just that, the second has a cosine of 4 / 5 with it."""
    steps = ask(attending()).steps
    assert steps is not None
    told = [(it.text, it.weight, it.fitness) for it in steps.preferences]
    assert told == [
        ("c1 for 1", 0.625, pytest.approx(0.8)),
        ("c1 for 0", 0.25, pytest.approx(1.0)),
    ]
    assert steps.met == pytest.approx(0.625 * 0.8 + 0.25)
    assert (steps.chance, steps.model, steps.note) == ("high", "template", None)
    assert steps.preferences[0].example == "Preference 1 shows in Title p1."
    assert steps.recommendation == "You may like Title p1: what counted most is this: c1 for 1"


def test_a_product_of_which_nothing_good_is_said_meets_nothing(attending: Callable[[], Runtime]) -> None:
    steps = ask(attending(), "p3").steps
    assert steps is not None
    assert [it.fitness for it in steps.preferences] == [0, 0]
    assert steps.chance == "low"


def test_strangers_and_methods_without_preferences_have_no_steps(
    attending: Callable[[], Runtime], runtime: Runtime
) -> None:
    assert ask(attending(), consumer="nobody").steps is None
    assert ask(runtime).steps is None
    assert not ask(runtime).degraded


def test_facets_that_do_not_count_have_no_step_and_take_no_weight(two_tastes: ReleaseTexts) -> None:
    reasons, at = Reasons(two_tastes), pd.Timestamp("2024-06-01", tz="UTC").to_pydatetime()
    attention = dict(zip(ATTRACTING, (0.25, 0.625), strict=False))
    without = reasons.what_if("c1", [FacetChange(facet_id="consumer-c1-for-0", weight=0)], [])
    steps = reasons.steps("c1", "p1", at, attention, ["p1"], without)
    assert steps is not None
    assert [(it.text, it.weight) for it in steps.preferences] == [("c1 for 1", 0.625)]
    old = Reasons(two_tastes, text_days=3.0)
    assert old.steps("c1", "p1", at, attention, ["p1"]) is None


def test_steps_that_fail_leave_the_rest(attending: Callable[[], Runtime], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("no steps")

    monkeypatch.setattr(Reasons, "steps", broken)
    answer = ask(attending())
    assert answer.steps is None
    assert answer.reasons
    assert (answer.degraded, answer.cause) == (True, "the four steps could not be made")


def test_lane_attends_to_the_fields_that_steps_are_made_of() -> None:
    lane = Lane(LaneConfig(embedding_size=8, n_layers=1, attention_heads=2, epochs=1), SCALE)
    lane.fit(rich_training_set(64), rich_training_set(64, 5), RunContext())
    assert lane.score(rich_batch(4)).fields[: len(ATTRACTING)] == ATTRACTING
