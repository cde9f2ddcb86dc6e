"""The tuned language model of ExplainRec: TALLRec's question, with a reason behind the label where attribution is on.

Source: ExplainRec (Ma et al., arXiv 2511.14770), preference attribution tuning on the recipe of TALLRec (Bao et al.,
RecSys 2023): K balanced pairs, liked and disliked titles, a target, Yes or No first. Where the paper's reference
reasons come from is not public; ours are worded by code from what was known before the pair, without its outcome, and
kept only where they lean to the side that came true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.batch import TrainingSet
from features.types import RatingScale
from models.explain_rec.knowledge import KnowledgeBase
from models.lora.low_rank import LoraConfig
from models.reasoning.cases import Case, PromptConfig
from models.reasoning.teaching import Questions, StudentConfig
from models.reasoning.tutor import Lesson

TALLREC = PromptConfig(profile=False, descriptions=False, history=10, rationale_tokens=0)
"""Titles alone, and a label alone."""
REASON_TOKENS = 32


class TallrecConfig(StudentConfig):
    """A student that is asked TALLRec's question."""

    prompt: PromptConfig = TALLREC
    lora: LoraConfig = LoraConfig(epochs=4, patience=2)
    n_shots: int = 64


@dataclass(frozen=True)
class ReasonedQuestions(Questions):
    """Titles, patterns of prototypes where there are some, and reasons to learn."""

    knowledge: KnowledgeBase | None
    """Prototypes whose patterns enter the prompt; None leaves them out."""
    reasons: bool
    """Whether reasons are learned behind the labels."""

    def cases(self, examples: TrainingSet, rows: NDArray[np.intp]) -> Sequence[Case]:
        """As `Questions`; a pattern takes the place of the profile."""
        cases = super().cases(examples, rows)
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
            reference_reason(examples, int(row), shelf, self.texts.titles, self.scale, bool(like))
            for row, like in zip(rows, liked, strict=True)
        ]
        return Lesson(self.cases(examples, rows), liked, texts)

    def prompt(self, config: PromptConfig) -> PromptConfig:
        """With room for patterns and reasons."""
        return config.model_copy(
            update={
                "profile": config.profile or self.knowledge is not None,
                "rationale_tokens": max(config.rationale_tokens, REASON_TOKENS * self.reasons),
            }
        )


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
