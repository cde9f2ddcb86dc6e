"""How well scores order things: AUC over pooled rows and within consumers, NDCG@k and hit rate@k."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def auc(liked: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Probability that a random liked row outscores a random not-liked one; ties count half.

    Args:
        liked: 0 or 1 per row.
        score: more is better.
        weight: how often each row counts (for resampling); once if not given.

    Returns:
        0..1, or NaN unless both classes are present.
    """
    label, value = np.asarray(liked, float), np.asarray(score, float)
    each = np.ones(label.size) if weight is None else np.asarray(weight, float)
    _, group = np.unique(value, return_inverse=True)
    return auc_of_groups(label, group, each)


def auc_of_groups(liked: NDArray[np.float64], group: NDArray[np.intp], weight: NDArray[np.float64]) -> float:
    """AUC when the scores are already ranks (`group`, 0 = lowest, equal scores share one); see `auc`."""
    positive = np.bincount(group, weights=weight * liked)
    negative = np.bincount(group, weights=weight * (1 - liked))
    pairs = positive.sum() * negative.sum()
    if pairs == 0:
        return float("nan")
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum() / pairs)


def user_auc(consumers: ArrayLike, liked: ArrayLike, score: ArrayLike) -> float:
    """Mean of the AUC within each consumer that has both liked and not-liked rows; NaN if none has."""
    values = by_consumer_auc(consumers, liked, score)
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def by_consumer_auc(consumers: ArrayLike, liked: ArrayLike, score: ArrayLike) -> NDArray[np.float64]:
    """AUC of each consumer in the order of `np.unique(consumers)`; NaN where one class is missing."""
    label, value = np.asarray(liked, float), np.asarray(score, float)
    return np.array([auc(label[rows], value[rows]) for rows in rows_by_consumer(consumers)])


def by_consumer_ndcg(consumers: ArrayLike, gain: ArrayLike, score: ArrayLike, k: int) -> NDArray[np.float64]:
    """NDCG@k of each consumer in the order of `np.unique(consumers)`; NaN where nothing is relevant."""
    relevance, value = np.asarray(gain, float), np.asarray(score, float)
    return np.array([ndcg(relevance[rows], value[rows], k) for rows in rows_by_consumer(consumers)])


def rows_by_consumer(consumers: ArrayLike) -> list[NDArray[np.intp]]:
    """Row numbers of each consumer, consumers in the order of `np.unique`."""
    _, group, counts = np.unique(np.asarray(consumers), return_inverse=True, return_counts=True)
    return np.split(np.argsort(group, kind="stable"), np.cumsum(counts)[:-1]) if counts.size else []


def ndcg(gain: ArrayLike, score: ArrayLike, k: int) -> float:
    """Normalised discounted cumulative gain of one list: sum of gain/log2(rank+1) over the best possible one.

    Rows with equal scores keep their order. NaN if no row has a gain.
    """
    relevance = np.asarray(gain, float)
    best = _dcg(np.sort(relevance)[::-1], k)
    if best == 0:
        return float("nan")
    return _dcg(relevance[np.argsort(-np.asarray(score, float), kind="stable")], k) / best


def hit_rate(relevant: ArrayLike, score: ArrayLike, k: int) -> float:
    """1 if a relevant row is among the k highest scores of one list, else 0; NaN if none is relevant."""
    label = np.asarray(relevant, float)
    if not label.any():
        return float("nan")
    return float(label[np.argsort(-np.asarray(score, float), kind="stable")[:k]].any())


def _dcg(gain: NDArray[np.float64], k: int) -> float:
    """Discounted gain of the first k rows, in order."""
    first = gain[:k]
    return float((first / np.log2(np.arange(2, first.size + 2))).sum())
