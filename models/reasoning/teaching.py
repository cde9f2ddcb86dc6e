"""Teaches a student on some rows of a training set, and has it say of others what a fast head then learns from it.

Both methods that tune a language model use it; what they ask of a row, and what they want learned, is their
`Questions`. The language model is there only while a method is fitted.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.batch import TrainingSet
from features.prompt_texts import PromptTexts
from features.types import RatingScale
from models.base import RunContext
from models.lora.shots import balanced_shots, most_shots
from models.reasoning.cases import Case, PromptConfig
from models.reasoning.examples import cases_of, lesson_of, tellable
from models.reasoning.tutor import Lesson, TutorConfig, Tutored, tutor

logger = logging.getLogger(__name__)


class StudentConfig(TutorConfig):
    """How a student is tuned, on how many pairs, and how many it is asked about."""

    n_shots: int = 128
    """K: pairs the student is tuned on, half of them liked; 0 takes all of the rarer kind. Fewer where there are not so
    many."""
    n_check: int = 100
    """Validation pairs by whose AUC the student's epoch is chosen."""
    n_distil: int = 1000
    """Training pairs that the student scores for the fast head."""

    @property
    def rests_on(self) -> tuple[str, ...]:
        """As `MethodConfig.rests_on`."""
        return self.lora.rests_on


@dataclass(frozen=True)
class StudentRecord:
    """What came of the student, for whoever reads the artifact."""

    tuned: bool
    why_not: str = ""
    n_shots: int = 0
    n_reasons: int = 0
    """Pairs that were tuned on with a reason behind the label."""
    n_distilled: int = 0
    valid_auc: float | None = None
    """On the pairs that chose its epoch: optimistic."""
    tokens: int = 0
    """Trained on and read."""
    seconds: float = 0.0
    """Of tuning."""
    started_from: str = ""
    """Revision of the earlier adapter that the tuning began with; empty where it began with the model as it is."""


class Taught(NamedTuple):
    """Probabilities of liking that the student gave, NaN where it was not asked."""

    train: NDArray[np.float32]  # (N,)
    valid: NDArray[np.float32]
    record: StudentRecord

    @classmethod
    def nothing(cls, train: TrainingSet, valid: TrainingSet, record: StudentRecord) -> Taught:
        """Of a student that was asked nothing so far."""
        silent, mute = (np.full(len(part), np.nan, np.float32) for part in (train, valid))
        return cls(silent, mute, record)


@dataclass(frozen=True)
class Questions:
    """Makes a training set's rows into what a student is asked, and into what it learns."""

    texts: PromptTexts
    scale: RatingScale

    def cases(self, examples: TrainingSet, rows: NDArray[np.intp]) -> Sequence[Case]:
        """The chosen rows; nothing in them knows the outcome."""
        return cases_of(examples, rows, self.texts, self.scale)

    def lesson(self, examples: TrainingSet, rows: NDArray[np.intp]) -> Lesson:
        """The chosen rows with what came of them, and the text that was written for that side."""
        return lesson_of(examples, rows, self.texts, self.scale)

    def prompt(self, config: PromptConfig) -> PromptConfig:
        """The prompts that the questions need."""
        return config


class _Choice(NamedTuple):
    """Rows for each of a student's three uses."""

    shots: NDArray[np.intp]
    check: NDArray[np.intp]
    asked: NDArray[np.intp]


def teach(
    train: TrainingSet, valid: TrainingSet, questions: Questions | None, config: StudentConfig, run: RunContext
) -> Taught:
    """Tunes a student on K pairs and has it score others; says why not, where that cannot be.

    Args:
        train: rows to learn from, and to be asked about.
        valid: rows that choose the student's epoch, and are asked about.
        questions: None where no texts were given.
        config: of student and prompts.
        run: its ground holds the language model, its seed decides which rows are taken.
    """
    if run.ground is None or questions is None:
        return _untaught(train, valid, "no texts were given, so outcomes alone are learned")
    rows, checked = tellable(train, questions.texts), tellable(valid, questions.texts)
    k = min(config.n_shots or len(train), most_shots(train.liked[rows]))
    if k < 2 or not len(checked):
        why = f"{len(rows)} training and {len(checked)} validation rows have texts, which is too few of a kind"
        return _untaught(train, valid, why)
    chosen = _chosen(train, rows, checked, k - k % 2, config, run.seed)
    lesson = questions.lesson(train, chosen.shots)
    settings = TutorConfig(prompt=questions.prompt(config.prompt), lora=config.lora)
    student = tutor(
        run.ground.base(), lesson, questions.lesson(valid, chosen.check), settings, run.seed, run.ground.state,
        run.progress,
    )  # fmt: skip
    taught, prior = Taught.nothing(train, valid, StudentRecord(True)), float(train.liked.mean())
    taught.train[chosen.asked] = student.decide(questions.cases(train, chosen.asked), prior).soft
    taught.valid[chosen.check] = student.decide(questions.cases(valid, chosen.check), prior).soft
    return taught._replace(record=_record(student, lesson, len(chosen.asked)))


def _untaught(train: TrainingSet, valid: TrainingSet, why_not: str) -> Taught:
    logger.warning("No student is tuned: %s.", why_not)
    return Taught.nothing(train, valid, StudentRecord(False, why_not))


def _chosen(
    train: TrainingSet, rows: NDArray[np.intp], checked: NDArray[np.intp], k: int, config: StudentConfig, seed: int
) -> _Choice:
    """Balanced shots; what is asked is not among them, unless there is nothing else."""
    rng = np.random.default_rng(seed)
    shots = rows[balanced_shots(train.liked[rows], k, seed)]
    check = rng.permutation(checked)[: config.n_check]
    rest = np.setdiff1d(rows, shots)
    return _Choice(shots, check, rng.permutation(rest if len(rest) else rows)[: config.n_distil])


def _record(student: Tutored, lesson: Lesson, n_distilled: int) -> StudentRecord:
    report = student.report
    scores, tokens, seconds = (report.scores, report.tokens, report.seconds) if report else ((), 0, 0.0)
    return StudentRecord(
        tuned=True,
        n_shots=len(lesson.cases),
        n_reasons=sum(map(bool, lesson.rationales)),
        n_distilled=n_distilled,
        valid_auc=max(scores, default=None),
        tokens=tokens + student.n_tokens,
        seconds=seconds,
        started_from=student.student.started_from,
    )
