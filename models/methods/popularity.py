"""Baseline: the more interactions a product has had, the better; the same for every consumer.

Stars and the probability of liking are straight lines in log(1 + number of interactions before the time of the
question), fitted by least squares. It answers for every product and is the last rung of the fallback ladder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from features.batch import PRODUCT_NUMERIC, FeatureBatch, TrainingSet
from features.errors import ReleaseError, TrainingError
from features.types import RatingScale
from models.base import FitReport, MethodConfig, Recommender, RunContext, Scores, register
from models.metrics.rating import rmse

_COUNT = PRODUCT_NUMERIC.index("n_interactions")
MIN_SLOPE = 1e-4
"""Keeps the order "more popular is better" where the fit would say otherwise."""


class PopularityConfig(MethodConfig):
    """Popularity has nothing to tune."""


@register("popularity", PopularityConfig)
class Popularity(Recommender):
    """Two lines in the logarithm of the number of interactions."""

    def __init__(self, config: MethodConfig, scale: RatingScale) -> None:
        super().__init__(config, scale)
        self._lines: NDArray[np.float64] = np.zeros((2, 2))  # (intercept, slope) x (stars, liking)

    def fit(self, train: TrainingSet, valid: TrainingSet, run: RunContext) -> FitReport:
        """Least squares; `valid` is only measured."""
        if not len(train):
            raise TrainingError("There is no row to train on.", remedy="Check the split.")
        targets = np.stack([train.rating, train.liked], axis=1).astype(np.float64)
        self._lines = np.asarray(np.linalg.lstsq(_design(train.batch), targets, rcond=None)[0], np.float64)
        if (flat := self._lines[1] < MIN_SLOPE).any():
            self._lines[1, flat] = MIN_SLOPE
            rest = targets - _design(train.batch)[:, 1:] * self._lines[1]
            self._lines[0, flat] = rest.mean(0)[flat]
        loss = rmse(valid.rating, self.score(valid.batch).rating)
        return FitReport(1, 1, (loss,), 0.0, 4)

    def score(self, batch: FeatureBatch) -> Scores:
        """Stars within the scale and a probability."""
        values = _design(batch) @ self._lines
        rating = np.clip(values[:, 0], self.scale.low, self.scale.high)
        return Scores(rating.astype(np.float32), np.clip(values[:, 1], 0.01, 0.99).astype(np.float32))

    def save(self, folder: Path) -> None:
        """Writes weights.safetensors."""
        from safetensors.numpy import save_file

        save_file({"lines": self._lines}, folder / "weights.safetensors")

    @classmethod
    def load(cls, folder: Path, config: MethodConfig, scale: RatingScale) -> Self:
        """Reads what `save` wrote. Raises ReleaseError."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        method = cls(config, scale)
        try:
            method._lines = load_file(folder / "weights.safetensors")["lines"]
        except (OSError, KeyError, SafetensorError) as error:
            raise ReleaseError(f"The weights in {folder} cannot be loaded: {error}.") from error
        return method


def _design(batch: FeatureBatch) -> NDArray[np.float64]:
    """(N, 2): one, and the logarithm of 1 + interactions; an unknown product has none."""
    count = np.nan_to_num(batch.products.numeric[:, _COUNT]).astype(np.float64)
    return np.stack([np.ones(len(count)), np.log1p(count)], axis=1)
