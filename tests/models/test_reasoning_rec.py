"""ReasoningRec: a student tuned while fitting, a head that imitates it, and scores that need neither text nor model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from features.prompt_texts import DatedText, PromptTexts
from features.types import Stance
from models.artifact import Provenance, load_artifact, replay_golden, save_artifact
from models.backbones.collaborative import CollaborativeConfig
from models.base import RunContext, TextGround, find_method
from models.lora.low_rank import LoraConfig
from models.methods.reasoning_rec import STUDENT, ReasoningRec, ReasoningRecConfig
from models.reasoning.cases import PromptConfig
from models.reasoning.examples import cases_of, lesson_of, tellable
from models.reasoning.teaching import StudentConfig, StudentRecord, Taught
from models.testing import SCALE, Conformance, rich_batch, rich_training_set
from models.threads import torch_threads

TOY = ReasoningRecConfig(
    student=StudentConfig(
        prompt=PromptConfig(history=2, profile_words=8, description_words=4, max_tokens=200, rationale_tokens=8),
        lora=LoraConfig(rank=2, epochs=1), n_shots=8, n_check=6, n_distil=24,
    ),
    hidden=16, embedding_size=8, dropout=0.0, batch_size=64, learning_rate=1e-2,
    epochs=20, patience=20,
    collaborative=CollaborativeConfig(rank=4, chains=1, sweeps=60, burn_in=20, samples=10, folds=2, starts=(0.3,)),
)  # fmt: skip
LONG_AGO, LATER = np.datetime64("2000-01-01", "us"), np.datetime64("2100-01-01", "us")
TEXTS = PromptTexts(
    titles={f"p{n}": f"warm product {n}" for n in range(30)},
    descriptions={f"p{n}": "mild and sweet" for n in range(0, 30, 2)},
    profiles={f"c{n}": DatedText("Likes mild things.", LONG_AGO if n % 2 else LATER) for n in range(20)},
    rationales={(f"c{n}", f"p{m}", Stance.FOR): "Because it is mild." for n in range(20) for m in range(30)},
)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tiny networks lose more to threads than they gain."""
    with torch_threads(1):
        yield


class TestReasoningRec(Conformance):
    method, config = ReasoningRec, TOY


def test_an_artifact_needs_no_adapter_that_its_student_began_with(tmp_path: Path) -> None:
    """It is served on machines that never saw it: whoever opens the folder fails here."""
    student = TOY.student.model_copy(update={"lora": LoraConfig(start=tmp_path / "of another machine")})
    method = ReasoningRec(TOY.model_copy(update={"student": student}), SCALE)
    method._fit = TestReasoningRec.fitted()._fit
    save_artifact(tmp_path / "artifact", method, None, rich_batch(40, 9), Provenance(data_hash="d", text_set_hash="t"))
    (tmp_path / "artifact").rename(tmp_path / "moved")
    assert replay_golden(load_artifact(tmp_path / "moved")) == 0


def tutored(base: Path, state: Path | None = None) -> ReasoningRec:
    method = ReasoningRec(TOY, SCALE)
    ground = TextGround(TEXTS, lambda: base, state)
    method.fit(rich_training_set(128), rich_training_set(64, 5), RunContext(seed=3, ground=ground))
    return method


@pytest.fixture(scope="module")
def method(tiny_base: Path) -> ReasoningRec:
    return tutored(tiny_base)


def test_it_is_found_by_name() -> None:
    assert find_method("reasoning_rec") is ReasoningRec


def test_a_student_is_tuned_where_there_are_texts(method: ReasoningRec) -> None:
    record = method.student
    assert (record.tuned, record.why_not, record.n_shots, record.n_distilled) == (True, "", 8, 24)
    assert record.tokens > 0
    assert record.valid_auc is not None


def test_without_texts_it_learns_from_outcomes_and_says_so(tmp_path: Path) -> None:
    method = ReasoningRec(TOY, SCALE)
    method.fit(rich_training_set(128), rich_training_set(64, 5), RunContext(seed=3))
    method.save(tmp_path)
    record = json.loads((tmp_path / STUDENT).read_text())
    assert record["tuned"] is False
    assert "outcomes alone" in record["why_not"]


def test_scoring_reads_no_text_and_no_language_model(method: ReasoningRec, tmp_path: Path) -> None:
    """What is saved is small, and what is loaded from it scores the same."""
    method.save(tmp_path)
    loaded = ReasoningRec.load(tmp_path, TOY, SCALE)
    batch = rich_batch(20, 7)
    np.testing.assert_array_equal(loaded.score(batch).click, method.score(batch).click)
    assert loaded.student == method.student
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1_000_000
    assert not [path for path in tmp_path.iterdir() if "adapter" in path.name]


def test_the_head_imitates_what_it_was_taught() -> None:
    """A student whose opinion follows the features is imitated on rows it was not asked about."""
    method = ReasoningRec(TOY, SCALE)
    train, valid, test = rich_training_set(400, 1), rich_training_set(100, 5), rich_training_set(200, 2)

    def opinion(examples):  # follows a number that outcomes do not
        return torch.from_numpy(np.nan_to_num(examples.batch.products.numeric[:, 1] - 2)).sigmoid().numpy()

    taught = Taught(opinion(train), opinion(valid), StudentRecord(True))
    taught.train[::2] = np.nan
    method._taught = lambda *_: taught  # type: ignore[method-assign]
    method.fit(train, valid, RunContext(seed=3))
    assert np.corrcoef(method.imitate(test.batch), opinion(test))[0, 1] > 0.8


@pytest.mark.slow
def test_a_stopped_tuning_goes_on_and_gives_the_same_model(
    tiny_base: Path, tmp_path: Path, method: ReasoningRec
) -> None:
    again, batch = tutored(tiny_base, tmp_path), rich_batch(20, 7)
    from_state = tutored(tiny_base, tmp_path)
    assert from_state.student.tokens == again.student.tokens
    np.testing.assert_array_equal(again.score(batch).click, method.score(batch).click)
    np.testing.assert_array_equal(from_state.score(batch).click, method.score(batch).click)


def test_cases_say_what_was_known_before_the_row() -> None:
    examples = rich_training_set(60)
    rows = tellable(examples, TEXTS)
    cases = cases_of(examples, rows, TEXTS, SCALE)
    for row, case in zip(rows, cases, strict=True):
        odd = int(examples.batch.consumers.consumer_ids[row][1:]) % 2
        assert bool(case.profile) == bool(odd)  # the others' profiles rest on later events
        latest = TEXTS.titles[examples.batch.consumers.history_ids[row][0]]
        assert case.history[-1][0].title == latest
        assert case.history[-1][1] == (examples.batch.consumers.history_ratings[row][0] >= 4)


def test_a_rationale_is_the_text_of_the_side_that_came_true() -> None:
    examples = rich_training_set(60)
    rows = tellable(examples, TEXTS)
    lesson = lesson_of(examples, rows, TEXTS, SCALE)
    assert 0 < lesson.liked.sum() < len(rows)
    for liked, text in zip(lesson.liked, lesson.rationales, strict=True):
        assert text == ("Because it is mild." if liked else "")
