"""Stars and liking from two things: what means alone say of a pair, and how drawn the consumer is to the product.

A next-product model says what is chosen, not how it is rated. Two small regressions on rows that no weight was fitted
to turn its preference into the two outcomes, on top of the baseline predictor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from features.batch import TrainingSet
from features.types import RatingScale
from models.backbones.calibration import logistic
from models.base import Scores

LEAST_TRUST = 0.02
"""Least weight of the preference: a list stays in its order also where few rows say nothing about it."""
_AT_REST = (0.0, 1.0, LEAST_TRUST)
"""What few rows fall back to: the means as they are."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """Weights of a constant, the means and the preference, for liking (log odds) and for stars."""

    liking: NDArray[np.float64]  # (3,)
    stars: NDArray[np.float64]  # (3,)

    @classmethod
    def learn(cls, means: Scores, preference: NDArray[np.float32], examples: TrainingSet) -> Self:
        """Fits both on held-out rows.

        Args:
            means: the baseline's scores of the rows.
            preference: (N,).
            examples: the rows.
        """
        liking = logistic(
            torch.from_numpy(_design(log_odds(means.click), preference)),
            torch.from_numpy(np.asarray(examples.liked, np.float64)),
            torch.tensor(_AT_REST),
        ).numpy()
        design = _design(means.rating, preference)
        rest = np.array(_AT_REST)
        gram, pull = design.T @ design, np.eye(3)
        stars = rest + np.linalg.solve(gram + pull, design.T @ (examples.rating - design @ rest))
        return cls(*(np.append(it[:2], max(it[2], LEAST_TRUST)).astype(np.float64) for it in (liking, stars)))

    def scores(self, means: Scores, preference: NDArray[np.float32], scale: RatingScale) -> Scores:
        """Stars within the scale and a probability."""
        odds = _design(log_odds(means.click), preference) @ self.liking
        stars = np.clip(_design(means.rating, preference) @ self.stars, scale.low, scale.high)
        return Scores(stars.astype(np.float32), (1 / (1 + np.exp(-odds))).astype(np.float32))

    def base_odds(self, means: Scores) -> NDArray[np.float64]:
        """(N,) log odds of liking without any preference."""
        known: NDArray[np.float64] = _design(log_odds(means.click), np.zeros(len(means.click))) @ self.liking
        return known

    @property
    def trust(self) -> float:
        """Log odds of liking that one unit of preference is worth."""
        return float(self.liking[2])


def log_odds(click: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N,) of probabilities."""
    share = np.clip(click.astype(np.float64), 1e-6, 1 - 1e-6)
    odds: NDArray[np.float64] = np.log(share / (1 - share))
    return odds


def _design(means: NDArray[np.floating], preference: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N, 3)."""
    return np.column_stack([np.ones(len(means)), means, preference]).astype(np.float64)
