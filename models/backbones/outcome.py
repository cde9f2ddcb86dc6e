"""Stars and liking from what is counted of a pair, and how drawn the consumer is to the product.

A next-product model says what is chosen, not how it is rated. Two small regressions on rows that no weight was fitted
to turn its preference into the two outcomes, on top of what means or counts alone say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

from features.batch import TrainingSet
from features.types import RatingScale
from models.backbones.calibration import logistic
from models.base import Scores

LEAST_TRUST = 0.02
"""Least weight of the preference: a list stays in its order also where few rows say nothing about it."""
Doubles = NDArray[np.float64]


class Design(NamedTuple):
    """K numbers of N pairs from which each outcome is read: the first is one, the last the preference."""

    liking: Doubles  # (N, K)
    stars: Doubles  # (N, K)

    @classmethod
    def beside_means(cls, means: Scores, preference: NDArray[np.floating]) -> Self:
        """One, what a baseline says, and the preference (N,)."""
        ones = np.ones(len(means.click))
        columns = [(ones, told, preference) for told in (log_odds(means.click), means.rating)]
        return cls(*(np.column_stack(it).astype(np.float64) for it in columns))

    @classmethod
    def beside_counts(cls, counts: NDArray[np.floating], preference: NDArray[np.floating]) -> Self:
        """One, what is counted (N, K - 2), and the preference (N,); the same for both outcomes."""
        table = np.column_stack([np.ones(len(counts)), counts, preference]).astype(np.float64)
        return cls(table, table)


def means_at_rest() -> Design:
    """Weights (1, 3) that few rows fall back to beside means: the means as they are."""
    weights = np.array([[0.0, 1.0, LEAST_TRUST]])
    return Design(weights, weights)


def counts_at_rest(n_counts: int, scale: RatingScale) -> Design:
    """Weights (1, K) that few rows fall back to beside counts: even chances and the lowest stars."""
    liking = np.append(np.zeros(1 + n_counts), LEAST_TRUST)[None]
    stars = liking.copy()
    stars[0, 0] = scale.low
    return Design(liking, stars)


@dataclass(frozen=True, eq=False)
class Outcome:
    """Weights of a design's numbers, for liking (log odds) and for stars."""

    liking: Doubles  # (K,)
    stars: Doubles  # (K,)

    @classmethod
    def learn(cls, design: Design, examples: TrainingSet, at_rest: Design) -> Self:
        """Fits both on held-out rows, liking by a logistic and stars by a ridge regression.

        Args:
            design: of the rows.
            examples: the rows.
            at_rest: (1, K) weights that are pulled to, as by one row.
        """
        liking = logistic(
            torch.from_numpy(design.liking),
            torch.from_numpy(np.asarray(examples.liked, np.float64)),
            torch.from_numpy(at_rest.liking[0]),
        ).numpy()
        rest, gram, pull = at_rest.stars[0], design.stars.T @ design.stars, np.eye(design.stars.shape[1])
        stars = rest + np.linalg.solve(gram + pull, design.stars.T @ (examples.rating - design.stars @ rest))
        return cls(*(np.append(it[:-1], max(it[-1], LEAST_TRUST)).astype(np.float64) for it in (liking, stars)))

    def scores(self, design: Design, scale: RatingScale) -> Scores:
        """Stars within the scale and a probability."""
        stars = np.clip(design.stars @ self.stars, scale.low, scale.high)
        return Scores(stars.astype(np.float32), (1 / (1 + np.exp(-self.odds(design)))).astype(np.float32))

    def odds(self, design: Design) -> Doubles:
        """(N,) log odds of liking."""
        known: Doubles = design.liking @ self.liking
        return known

    @property
    def trust(self) -> float:
        """Log odds of liking that one unit of preference is worth."""
        return float(self.liking[-1])


def log_odds(click: NDArray[np.float32]) -> Doubles:
    """(N,) of probabilities."""
    share = np.clip(click.astype(np.float64), 1e-6, 1 - 1e-6)
    odds: Doubles = np.log(share / (1 - share))
    return odds
