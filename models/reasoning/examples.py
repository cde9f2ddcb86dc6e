"""Rows of a training set as cases: the words behind the numbers, each as it was known strictly before its row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features.batch import TrainingSet
from features.prompt_texts import PromptTexts
from features.types import RatingScale, Stance
from models.reasoning.cases import Case, Described
from models.reasoning.tutor import Lesson

MIN_HISTORY = 2
"""Events without which a student has nothing to go by."""


def tellable(examples: TrainingSet, texts: PromptTexts) -> NDArray[np.intp]:
    """Rows that words can be made of: the product has a title, and some of the history has."""
    titled = np.array([product in texts.titles for product in examples.batch.products.product_ids], bool)
    known = (examples.batch.consumers.history_ids != "").sum(1) >= MIN_HISTORY
    return np.flatnonzero(titled & known)


def lesson_of(examples: TrainingSet, rows: NDArray[np.intp], texts: PromptTexts, scale: RatingScale) -> Lesson:
    """Chosen rows with what came of them; the rationale is the text that was written for the side that came true."""
    liked = examples.liked[rows] > 0.5
    who, what = examples.batch.consumers.consumer_ids[rows], examples.batch.products.product_ids[rows]
    sides = [Stance.FOR if like else Stance.AGAINST for like in liked]
    rationales = [texts.rationales.get(key, "") for key in zip(who, what, sides, strict=True)]
    return Lesson(cases_of(examples, rows, texts, scale), liked, rationales)


def cases_of(examples: TrainingSet, rows: NDArray[np.intp], texts: PromptTexts, scale: RatingScale) -> list[Case]:
    """What a student is asked of chosen rows; nothing in it knows the row's own outcome."""
    consumers, products, times = examples.batch.consumers, examples.batch.products, examples.batch.as_of
    return [
        Case(
            texts.profile(consumers.consumer_ids[row], times[row]),
            _history(consumers.history_ids[row], consumers.history_ratings[row], texts, times[row], scale),
            _described(products.product_ids[row], texts, times[row]),
        )
        for row in rows
    ]


def _history(
    ids: Sequence[str], ratings: Sequence[float], texts: PromptTexts, as_of: np.datetime64, scale: RatingScale
) -> tuple[tuple[Described, bool], ...]:
    """Oldest first; products without a title have no words."""
    events = [
        (_described(product, texts, as_of), bool(stars >= scale.like_from))
        for product, stars in zip(ids, ratings, strict=True)
        if product in texts.titles
    ]
    return tuple(events[::-1])


def _described(product_id: str, texts: PromptTexts, as_of: np.datetime64) -> Described:
    return Described(texts.titles[product_id], texts.describe(product_id, as_of))
