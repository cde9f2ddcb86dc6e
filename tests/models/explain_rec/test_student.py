"""The tuned language model: TALLRec's question, reasons that were chosen blindly, and scores for the head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from features.prompt_texts import PromptTexts
from features.types import RatingScale
from models.base import RunContext, TextGround
from models.explain_rec.knowledge import KnowledgeBase, KnowledgeConfig
from models.explain_rec.student import ReasonedQuestions, TallrecConfig, attributes_by_product, reference_reason
from models.llm.adapter import adapter_revision
from models.lora.low_rank import LoraConfig
from models.lora.shots import balanced_shots
from models.lora.student import Student
from models.methods.explain_rec import ExplainRec, ExplainRecConfig
from models.reasoning.cases import PromptConfig
from models.reasoning.examples import cases_of, tellable
from models.reasoning.teaching import teach
from models.reasoning.tutor import Lesson, TutorConfig, tutor
from models.testing import SCALE

PROMPT = PromptConfig(profile=False, descriptions=False, history=3, max_tokens=300, rationale_tokens=0)
CONFIG = TallrecConfig(prompt=PROMPT, lora=LoraConfig(rank=2, epochs=1), n_shots=8, n_check=6, n_distil=12)
TEXTS = PromptTexts(titles={f"p{n}": f"warm product {n}" for n in range(40)}, descriptions={})


def ground(base: Path) -> TextGround:
    return TextGround(TEXTS, lambda: base)


def test_item_2_without_parts_the_student_is_a_plain_yes_no_tuner(tiny_base: Path, world) -> None:
    """The same shots, titles and labels, tuned without anything of this method, give the same probabilities."""
    train, valid = world(0), world(1)
    asked = ReasonedQuestions(TEXTS, SCALE, None, reasons=False)
    taught = teach(train, valid, asked, CONFIG, RunContext(seed=3, ground=ground(tiny_base)))

    rows = tellable(train, TEXTS)
    shots = rows[balanced_shots(train.liked[rows], 8, 3)]
    check = np.flatnonzero(~np.isnan(taught.valid))
    plain = tutor(
        tiny_base,
        Lesson.of(cases_of(train, shots, TEXTS, SCALE), train.liked[shots] > 0.5),
        Lesson.of(cases_of(valid, check, TEXTS, SCALE), valid.liked[check] > 0.5),
        TutorConfig(prompt=PROMPT, lora=CONFIG.lora),
        seed=3,
    )
    scored = np.flatnonzero(~np.isnan(taught.train))
    expected = plain.decide(cases_of(train, scored, TEXTS, SCALE), float(train.liked.mean())).soft
    assert len(scored) == 12
    np.testing.assert_allclose(taught.train[scored], expected, atol=2e-3)
    assert not {*scored} & {*shots}


def test_too_few_words_tune_nothing_and_say_so(tiny_base: Path, world) -> None:
    silent = ReasonedQuestions(PromptTexts({}, {}), SCALE, None, False)
    taught = teach(world(0), world(1), silent, CONFIG, RunContext(seed=3, ground=ground(tiny_base)))
    assert not taught.record.tuned
    assert "too few" in taught.record.why_not
    assert np.isnan(taught.train).all()


def test_item_1_a_student_begins_with_an_earlier_adapter_and_says_which(tiny_base: Path, tmp_path: Path, world) -> None:
    """A stage is learned anew where the adapter that its settings name holds something else."""
    earlier = Student(tiny_base, CONFIG.lora, seed=9)
    earlier.write(tmp_path, "tiny")
    lora = CONFIG.lora.model_copy(update={"start": tmp_path})
    asked, run = ReasonedQuestions(TEXTS, SCALE, None, reasons=False), RunContext(seed=3, ground=ground(tiny_base))
    taught = teach(world(0), world(1), asked, CONFIG.model_copy(update={"lora": lora}), run)
    assert taught.record.started_from == adapter_revision(tmp_path)
    config = ExplainRecConfig.model_validate({"student": {"lora": {"start": str(tmp_path), "rank": 2}}})
    before = config.rests_on
    next(iter(earlier.changed.values())).up.data.fill_(1)
    earlier.write(tmp_path, "tiny")
    assert (len(before), config.rests_on != before, ExplainRecConfig().rests_on) == (1, True, ())


def test_patterns_of_prototypes_enter_the_prompt(world) -> None:
    train = world(0)
    base = KnowledgeBase.build(train, KnowledgeConfig(prototypes=4, min_support=2, shrink=5.0), seed=0)
    cases = ReasonedQuestions(TEXTS, SCALE, base, reasons=False).cases(train, np.array([40, 60]))
    assert all(case.profile.startswith("Consumers like this one rate") for case in cases)


def test_a_reason_is_the_attribute_the_history_leans_on(world) -> None:
    train = world(0)
    shelf, genre = attributes_by_product(train), {f"p{n}": f"genre={'ab'[n % 2]}" for n in range(40)}
    found = 0
    for row in range(len(train)):
        liked = bool(train.liked[row])
        reason = reference_reason(train, row, shelf, TEXTS.titles, SCALE, liked)
        history = [it for it in train.batch.consumers.history_ids[row] if it]
        cited = [it for it in history if f"{TEXTS.titles[it]} " in reason.replace(" (", "  (")]
        assert bool(reason) is bool(cited)
        if "genre" in reason:
            found += 1
            assert {genre[it] for it in cited} == {genre[train.batch.products.product_ids[row]]}
    assert found > 50


def test_a_reason_knows_no_outcome_and_never_argues_against_its_evidence(world) -> None:
    train = world(0)
    shelf = attributes_by_product(train)
    for row in range(0, len(train), 7):
        both = [reference_reason(train, row, shelf, TEXTS.titles, SCALE, liked) for liked in (True, False)]
        assert sum(map(bool, both)) <= 1


@pytest.fixture(scope="module")
def method(tiny_base: Path, toy, world) -> ExplainRec:
    made = ExplainRec(toy.model_copy(update={"student": CONFIG, "epochs": 3}), RatingScale())
    made.fit(world(0), world(1), RunContext(seed=3, ground=ground(tiny_base)))
    return made


def test_item_11_scores_come_from_the_head_alone(method: ExplainRec, world, tmp_path: Path) -> None:
    """What is saved holds no language model, and scores the same."""
    method.save(tmp_path)
    loaded, batch = ExplainRec.load(tmp_path, method.config, SCALE), world(2).batch
    np.testing.assert_array_equal(loaded.score(batch).click, method.score(batch).click)
    np.testing.assert_array_equal(loaded.imitate(batch), method.imitate(batch))
    assert loaded.record == method.record
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1_000_000


def test_what_came_of_the_student_is_recorded(method: ExplainRec) -> None:
    student = method.record.student
    assert (student.tuned, student.n_shots, student.n_distilled) == (True, 8, 12)
    assert 0 < student.n_reasons <= 8
    assert student.tokens > 0
    assert "like-student" in method.record.task_cosines
