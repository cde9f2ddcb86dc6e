"""The tuned language model of ExplainRec: TALLRec's question, with a reason behind the label where attribution is on.

Source: ExplainRec (Ma et al., arXiv 2511.14770), preference attribution tuning on the recipe of TALLRec (Bao et al.,
RecSys 2023): K balanced pairs, liked and disliked titles, a target, Yes or No first. Where the paper's reference
reasons come from is not public; ours are worded by code from what was known before the pair, without its outcome, and
kept only where they lean to the side that came true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.batch import TrainingSet
from features.types import RatingScale
from models.base import RunContext, TextGround
from models.explain_rec.knowledge import KnowledgeBase
from models.lora.low_rank import LoraConfig
from models.lora.shots import balanced_shots, most_shots
from models.reasoning.cases import Case, PromptConfig
from models.reasoning.examples import cases_of, tellable
from models.reasoning.tutor import Lesson, TutorConfig, Tutored, tutor

TALLREC = PromptConfig(profile=False, descriptions=False, history=10, rationale_tokens=0)
"""Titles alone, and a label alone."""
REASON_TOKENS = 32


class StudentConfig(TutorConfig):
    """How a student is tuned, on how many pairs, and how many it is asked about."""

    prompt: PromptConfig = TALLREC
    lora: LoraConfig = LoraConfig(epochs=4, patience=2)
    n_shots: int = 64
    """K, half of them liked; fewer where there are not so many."""
    n_check: int = 100
    """Validation pairs by whose AUC the epoch is chosen."""
    n_distil: int = 1000
    """Training pairs it scores for the fast head."""


@dataclass(frozen=True)
class StudentRecord:
    """What came of the student."""

    tuned: bool
    why_not: str = ""
    n_shots: int = 0
    n_reasons: int = 0
    """Pairs that were tuned on with a reason."""
    n_distilled: int = 0
    valid_auc: float | None = None
    """On the pairs that chose its epoch: optimistic."""
    tokens: int = 0
    """Trained on and read."""
    seconds: float = 0.0
    """Of tuning."""


class Taught(NamedTuple):
    """Probabilities of liking that the student gave, NaN where it was not asked."""

    train: NDArray[np.float32]  # (N,)
    valid: NDArray[np.float32]
    record: StudentRecord

    @classmethod
    def nothing(cls, train: TrainingSet, valid: TrainingSet, why_not: str) -> Taught:
        """Of a student that was not tuned."""
        silent, mute = (np.full(len(part), np.nan, np.float32) for part in (train, valid))
        return cls(silent, mute, StudentRecord(False, why_not))


@dataclass(frozen=True)
class Questions:
    """Makes a training set's rows into what a student is asked."""

    ground: TextGround
    scale: RatingScale
    knowledge: KnowledgeBase | None
    """Prototypes whose patterns enter the prompt; None leaves them out."""
    reasons: bool
    """Whether reasons are learned behind the labels."""

    def cases(self, examples: TrainingSet, rows: NDArray[np.intp]) -> list[Case]:
        """The chosen rows; nothing in them knows the outcome."""
        cases = cases_of(examples, rows, self.ground.texts, self.scale)
        if self.knowledge is None:
            return cases
        patterns = self.knowledge.pattern(examples.batch.consumers.take(rows))
        return [replace(case, profile=pattern) for case, pattern in zip(cases, patterns, strict=True)]

    def lesson(self, examples: TrainingSet, rows: NDArray[np.intp]) -> Lesson:
        """The chosen rows with what came of them, and a reason where the evidence leans to that side."""
        liked = examples.liked[rows] > 0.5
        if not self.reasons:
            return Lesson.of(self.cases(examples, rows), liked)
        shelf = attributes_by_product(examples)
        texts = [
            reference_reason(examples, int(row), shelf, self.ground.texts.titles, self.scale, bool(like))
            for row, like in zip(rows, liked, strict=True)
        ]
        return Lesson(self.cases(examples, rows), liked, texts)


def teach(train: TrainingSet, valid: TrainingSet, asked: Questions, config: StudentConfig, run: RunContext) -> Taught:
    """Tunes a student on K pairs and has it score others; says why not, where there are too few with words."""
    rows, checked = tellable(train, asked.ground.texts), tellable(valid, asked.ground.texts)
    k = min(config.n_shots, most_shots(train.liked[rows]))
    if k < 2 or not len(checked):
        why = f"{len(rows)} training and {len(checked)} validation rows have words, too few of a kind"
        return Taught.nothing(train, valid, why)
    rng = np.random.default_rng(run.seed)
    shots = rows[balanced_shots(train.liked[rows], k - k % 2, run.seed)]
    check = rng.permutation(checked)[: config.n_check]
    prompt = config.prompt.model_copy(
        update={
            "profile": config.prompt.profile or asked.knowledge is not None,
            "rationale_tokens": max(config.prompt.rationale_tokens, REASON_TOKENS * asked.reasons),
        }
    )
    settings = TutorConfig(prompt=prompt, lora=config.lora)
    lesson = asked.lesson(train, shots)
    base, state = asked.ground.base(), asked.ground.state
    student = tutor(base, lesson, asked.lesson(valid, check), settings, run.seed, state, run.progress)
    rest = np.setdiff1d(rows, shots)
    chosen = rng.permutation(rest if len(rest) else rows)[: config.n_distil]
    prior = float(train.liked.mean())
    taught = Taught.nothing(train, valid, "")
    taught.train[chosen] = student.decide(asked.cases(train, chosen), prior).soft
    taught.valid[check] = student.decide(asked.cases(valid, check), prior).soft
    return taught._replace(record=_record(student, lesson, len(chosen)))


def attributes_by_product(examples: TrainingSet) -> dict[str, tuple[str, ...]]:
    """What the rows' products are."""
    what = examples.batch.products
    return dict(zip(what.product_ids, what.attributes, strict=True))


def reference_reason(
    examples: TrainingSet,
    row: int,
    shelf: Mapping[str, Sequence[str]],
    titles: Mapping[str, str],
    scale: RatingScale,
    liked: bool,
) -> str:
    """A reason to learn: the attribute of the target on which the history leans most, with up to two products.

    Chosen without the outcome; empty where it leans to the other side, since a reason must not justify what the
    evidence speaks against.
    """
    history, stars = examples.batch.consumers.history_ids[row], examples.batch.consumers.history_ratings[row]
    best: tuple[float, str, list[str]] = (0.0, "", [])
    for attribute in examples.batch.products.attributes[row]:
        sharing = [
            (product, bool(rating >= scale.like_from))
            for product, rating in zip(history, stars, strict=True)
            if product in titles and attribute in shelf.get(product, ())
        ]
        lean = float(sum(1 if like else -1 for _, like in sharing))
        if abs(lean) > abs(best[0]):
            best = (lean, attribute, [titles[product] for product, like in sharing if like == (lean > 0)])
    lean, attribute, evidence = best
    if not lean or (lean > 0) != liked:
        return ""
    name, _, value = attribute.partition("=")
    return f"Because you {'liked' if liked else 'disliked'} {' and '.join(evidence[:2])} ({name} {value})."


def _record(student: Tutored, lesson: Lesson, n_distilled: int) -> StudentRecord:
    report = student.report
    scores, tokens, seconds = (report.scores, report.tokens, report.seconds) if report else ((), 0, 0.0)
    return StudentRecord(
        tuned=True,
        n_shots=len(lesson.cases),
        n_reasons=sum(bool(text) for text in lesson.rationales),
        n_distilled=n_distilled,
        valid_auc=max(scores, default=None),
        tokens=tokens + student.n_tokens,
        seconds=seconds,
    )
