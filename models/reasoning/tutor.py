"""Tunes a student on few labelled pairs and asks it: the part that needs a language model, and only while fitting.

Source: ReasoningRec (Bismay, Dong, Caverlee, arXiv 2410.23180), authors' code: half of K examples liked, half not;
loss on the answer alone; the epoch with the best validation AUC is kept. Ours: the decision's token has a fixed share
of the loss (`LoraConfig.decision_share`), since a rationale of 80 tokens would drown it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from models.base import Progress, silent
from models.lora.labels import Decisions, with_prior
from models.lora.low_rank import LoraConfig
from models.lora.scoring import LabelScorer, Writer
from models.lora.student import Student
from models.lora.training import Trainer, TrainingReport
from models.metrics.ranking import auc
from models.reasoning.cases import Case, PromptConfig, Prompter, read_answer

WRITTEN_LEAD = 6
"""Tokens of an answer before its rationale, with some to spare."""


class TutorConfig(BaseModel):
    """How a student is tuned."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: PromptConfig = PromptConfig()
    lora: LoraConfig = LoraConfig(epochs=6, patience=2)


@dataclass(frozen=True)
class Lesson:
    """Cases with what came of them; rationales are empty where none was written or kept."""

    cases: Sequence[Case]
    liked: NDArray[np.bool_]
    rationales: Sequence[str]

    @classmethod
    def of(cls, cases: Sequence[Case], liked: Sequence[bool] | NDArray[np.bool_]) -> Lesson:
        """Without rationales."""
        return cls(cases, np.asarray(liked, bool), [""] * len(cases))


@dataclass(frozen=True)
class Answer:
    """What a student writes of a case."""

    liked: bool | None
    """None where it wrote no decision."""
    rationale: str


class Tutored:
    """A student that can be asked; tuned, or as it was."""

    def __init__(self, student: Student, prompter: Prompter, report: TrainingReport | None) -> None:
        self.student, self.prompter, self.report = student, prompter, report
        self._scorer = LabelScorer(student.shape, student.weights(), prompter.labels, student.dtype)

    @property
    def n_tokens(self) -> int:
        """Tokens read while scoring."""
        return self._scorer.n_tokens

    def decide(self, cases: Sequence[Case], prior: float = 0.5) -> Decisions:
        """Decisions, their probabilities moved to a share of liked pairs; hard ones are those of the balanced model."""
        decided = self._scorer.score([self.prompter.prompt(case) for case in cases])
        return Decisions(with_prior(decided.soft, prior), decided.hard)

    def write(self, cases: Sequence[Case]) -> list[Answer]:
        """What it writes by itself, decision and rationale, greedily."""
        student = self.student
        writer = Writer(student.shape, student.weights(), student.dtype, student.end)
        prompts = [self.prompter.prompt(case) for case in cases]
        written = writer.write(prompts, WRITTEN_LEAD + self.prompter.config.rationale_tokens)
        return [Answer(*read_answer(student.decode(tokens))) for tokens in written]


def untutored(base: Path, config: TutorConfig) -> Tutored:
    """The student as it is: what tuning must beat."""
    student = Student(base, config.lora)
    return Tutored(student, Prompter(student, config.prompt), None)


def tutor(
    base: Path,
    lesson: Lesson,
    check: Lesson,
    config: TutorConfig,
    seed: int = 0,
    part: Path | None = None,
    progress: Progress = silent,
) -> Tutored:
    """Tunes a student and keeps its best epoch.

    Args:
        base: folder with the converted weights.
        lesson: what is learned; balanced (`models/lora/shots.py`).
        check: other pairs, by whose AUC epochs are compared; where they hold one kind only, the last epoch is kept.
        config: prompts and training.
        seed: of everything random.
        part: folder of the half-done state; None keeps none.
        progress: called with ("tuning", steps done, steps).

    Raises:
        TrainingError: there is nothing to learn from, or the loss is not finite.
    """
    student = Student(base, config.lora, seed)
    prompter = Prompter(student, config.prompt)
    rows = [
        prompter.row(case, bool(liked), rationale)
        for case, liked, rationale in zip(lesson.cases, lesson.liked, lesson.rationales, strict=True)
    ]
    asked, trainer = [prompter.row(case, True) for case in check.cases], Trainer(student, rows, seed, part)

    def validate() -> float:
        return auc(check.liked, student.decide(asked, prompter.labels).soft)

    both = 0 < check.liked.sum() < len(check.liked)
    report = trainer.run(progress, validate if both else None)
    return Tutored(student, prompter, report)
