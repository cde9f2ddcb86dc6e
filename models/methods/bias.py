"""Baseline: overall mean plus damped consumer and product biases.

Source: the baseline predictor of Koren, "Factor in the Neighbors" (TKDD 2010), section 2.1:
b_ui = mu + b_i + b_u with b_i = sum(r - mu) / (k_i + n_i), b_u = sum(r - mu - b_i) / (k_u + n_u). Fitted once for stars
and once for liking. Unknown consumers and products have bias 0.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from features.batch import FeatureBatch, TrainingSet
from features.errors import ReleaseError, TrainingError
from features.types import RatingScale
from models.base import FitReport, MethodConfig, Recommender, RunContext, Scores, register
from models.metrics.rating import rmse


class BiasConfig(MethodConfig):
    """Strength of the damping."""

    product_damping: float = 10.0
    """k_i: prior ratings of a product."""
    consumer_damping: float = 5.0
    """k_u: prior ratings of a consumer."""


@register("bias", BiasConfig)
class Bias(Recommender):
    """mu + b_u + b_i for stars, the same for the probability of liking."""

    config: BiasConfig

    def __init__(self, config: MethodConfig, scale: RatingScale) -> None:
        super().__init__(config, scale)
        self._mean = (0.0, 0.0)
        self._consumers: dict[str, tuple[float, float]] = {}
        self._products: dict[str, tuple[float, float]] = {}

    def fit(self, train: TrainingSet, valid: TrainingSet, run: RunContext) -> FitReport:
        """Closed form; `valid` is only measured."""
        if not len(train):
            raise TrainingError("There is no row to train on.", remedy="Check the split.")
        targets = np.stack([train.rating, train.liked], axis=1).astype(np.float64)  # (N, 2)
        self._mean = (float(targets[:, 0].mean()), float(targets[:, 1].mean()))
        rest = targets - np.array(self._mean)
        products = train.batch.products.product_ids
        self._products = _damped_means(products, rest, self.config.product_damping)
        rest = rest - _look_up(self._products, products)
        self._consumers = _damped_means(train.batch.consumers.consumer_ids, rest, self.config.consumer_damping)
        loss = rmse(valid.rating, self.score(valid.batch).rating)
        return FitReport(1, 1, (loss,), 0.0, 2 * (1 + len(self._products) + len(self._consumers)))

    def score(self, batch: FeatureBatch) -> Scores:
        """Stars within the scale and a probability."""
        values = np.array(self._mean) + _look_up(self._products, batch.products.product_ids)
        values = values + _look_up(self._consumers, batch.consumers.consumer_ids)
        rating = np.clip(values[:, 0], self.scale.low, self.scale.high)
        return Scores(rating.astype(np.float32), np.clip(values[:, 1], 0.01, 0.99).astype(np.float32))

    def save(self, folder: Path) -> None:
        """Writes weights.safetensors (biases) and vocabularies.json (ids)."""
        from safetensors.numpy import save_file

        weights = {
            "mean": np.array(self._mean),
            "consumers": np.array(list(self._consumers.values())).reshape(-1, 2),
            "products": np.array(list(self._products.values())).reshape(-1, 2),
        }
        save_file(weights, folder / "weights.safetensors")
        ids = {"consumers": list(self._consumers), "products": list(self._products)}
        (folder / "vocabularies.json").write_text(json.dumps(ids, ensure_ascii=False))

    @classmethod
    def load(cls, folder: Path, config: MethodConfig, scale: RatingScale) -> Self:
        """Reads what `save` wrote. Raises ReleaseError."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        method = cls(config, scale)
        try:
            weights = load_file(folder / "weights.safetensors")
            ids = json.loads((folder / "vocabularies.json").read_text())
            mean = weights["mean"].tolist()
            method._mean = (mean[0], mean[1])
            for name in ("consumers", "products"):
                rows = map(tuple, weights[name].tolist())
                setattr(method, f"_{name}", dict(zip(ids[name], rows, strict=True)))
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise ReleaseError(f"The biases in {folder} cannot be loaded: {error}.") from error
        return method


def _damped_means(
    ids: NDArray[np.object_], rest: NDArray[np.float64], damping: float
) -> dict[str, tuple[float, float]]:
    """Sum of what is left (N, 2) over (damping + number of rows), by id."""
    keys, group = np.unique(ids.astype(str), return_inverse=True)
    count = np.bincount(group) + damping
    means = [np.bincount(group, weights=rest[:, column]) / count for column in range(2)]
    pairs = zip(means[0].tolist(), means[1].tolist(), strict=True)
    return dict(zip(keys.tolist(), pairs, strict=True))


def _look_up(biases: dict[str, tuple[float, float]], ids: NDArray[np.object_]) -> NDArray[np.float64]:
    return np.array([biases.get(key, (0.0, 0.0)) for key in ids.tolist()]).reshape(-1, 2)
