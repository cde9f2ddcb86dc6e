"""Tuning on words helps where the preference is in the words, and the decision is what the student writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.lora.low_rank import LoraConfig
from models.metrics.ranking import auc
from models.reasoning.cases import Case, Described, PromptConfig
from models.reasoning.tutor import Lesson, TutorConfig, Tutored, tutor, untutored
from models.threads import torch_threads

HISTORY = ((Described("product 1", "warm"), True), (Described("product 2", "cold"), False))
LORA = LoraConfig(
    rank=8, modules=("q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj"), dropout=0.0, rate=1e-2, epochs=6
)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tiny networks lose more to threads than they gain."""
    with torch_threads(1):
        yield


def lesson(n: int, seed: int) -> Lesson:
    """Targets whose titles say nothing; what is described as warm is liked."""
    rng = np.random.default_rng(seed)
    liked = rng.permutation(np.arange(n) % 2 == 0)
    cases = [
        Case("", HISTORY, Described(f"product {rng.integers(9)}", f"{'warm' if like else 'cold'} product"))
        for like in liked
    ]
    return Lesson(cases, liked, [f"It is {'warm' if like else 'cold'}." for like in liked])


def tuned(base: Path, lora: LoraConfig = LORA, **shown: object) -> Tutored:
    config = TutorConfig(prompt=PromptConfig(rationale_tokens=8, **shown), lora=lora)  # type: ignore[arg-type]
    return tutor(base, lesson(48, 1), lesson(16, 2), config, seed=1)


@pytest.fixture(scope="module")
def full(tiny_base: Path) -> Tutored:
    return tuned(tiny_base)


@pytest.mark.slow
def test_a_preference_that_only_descriptions_express_needs_descriptions(tiny_base: Path, full: Tutored) -> None:
    test = lesson(60, 3)
    # 0.94 on a processor with AVX2 alone, above 0.95 elsewhere: training so small a network follows the rounding
    assert auc(test.liked, full.decide(test.cases).soft) > 0.9
    titles = tuned(tiny_base, LORA.model_copy(update={"epochs": 2}), descriptions=False)
    assert 0.3 < auc(test.liked, titles.decide(test.cases).soft) < 0.7


def test_tuning_beats_the_student_as_it_was(tiny_base: Path, full: Tutored) -> None:
    test = lesson(60, 3)
    before = untutored(tiny_base, TutorConfig(lora=LORA))
    assert auc(test.liked, before.decide(test.cases).soft) < auc(test.liked, full.decide(test.cases).soft)


def test_what_is_written_begins_with_the_decision_that_is_scored(full: Tutored) -> None:
    test = lesson(60, 3)
    answers, hard = full.write(test.cases), full.decide(test.cases).hard
    assert np.mean([answer.liked == bool(yes) for answer, yes in zip(answers, hard, strict=True)]) >= 0.99
    agree = [("warm" in answer.rationale) == bool(answer.liked) for answer in answers]
    assert np.mean(agree) >= 0.95


def test_soft_scores_take_the_prior_and_hard_ones_do_not(full: Tutored) -> None:
    test = lesson(20, 3)
    even, mostly = full.decide(test.cases), full.decide(test.cases, prior=0.9)
    assert (mostly.soft >= even.soft).all()
    assert (mostly.hard == even.hard).all()
    assert auc(test.liked, mostly.soft) == auc(test.liked, even.soft)
