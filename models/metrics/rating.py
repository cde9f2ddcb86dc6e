"""How far predicted stars are from the given ones, and how honest predicted probabilities are."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

ECE_BINS = 15
_DRAWS, _SEED = 400, 17


def rmse(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Root mean squared error, in the unit of the inputs; NaN for no rows."""
    error = np.asarray(prediction, float) - np.asarray(truth, float)
    return float(np.sqrt(np.mean(error**2))) if error.size else float("nan")


def mae(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Mean absolute error, in the unit of the inputs; NaN for no rows."""
    error = np.asarray(prediction, float) - np.asarray(truth, float)
    return float(np.mean(np.abs(error))) if error.size else float("nan")


def logloss(liked: ArrayLike, probability: ArrayLike) -> float:
    """Mean negative log likelihood (natural log) of 0/1 labels, probabilities clipped to 1e-6..1-1e-6."""
    label = np.asarray(liked, float)
    p = np.clip(np.asarray(probability, float), 1e-6, 1 - 1e-6)
    return float(-np.mean(label * np.log(p) + (1 - label) * np.log(1 - p))) if label.size else float("nan")


def ece(liked: ArrayLike, probability: ArrayLike, bins: int = ECE_BINS) -> float:
    """Expected calibration error: distance of mean probability and liked share per bin, weighted by bin size.

    Bins have equal width over 0..1. NaN for no rows.
    """
    label, p = np.asarray(liked, float), np.asarray(probability, float)
    if not label.size:
        return float("nan")
    which = np.minimum((p * bins).astype(int), bins - 1)
    gap = np.bincount(which, weights=p - label, minlength=bins)
    return float(np.abs(gap).sum() / label.size)


def ece_by_chance(probability: ArrayLike, bins: int = ECE_BINS) -> float:
    """The `ece` that chance alone leaves: its mean over labels that are drawn as the probabilities say.

    Few rows never match their probabilities bin by bin, so an ECE near this is as low as it can be told to be. NaN for
    no rows.
    """
    p, rng = np.asarray(probability, float), np.random.default_rng(_SEED)
    return float(np.mean([ece(rng.random(p.size) < p, p, bins) for _ in range(_DRAWS)]))
