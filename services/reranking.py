"""From the model's order to the shown one: boosts, diversity, pins; what moved a product is told.

Diversity is maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): the next product is the one with the
highest  lambda * relevance - (1 - lambda) * (its greatest similarity to one already chosen).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.base import Scores

Places = NDArray[np.intp]
"""Candidates by number, best first."""
Similarity = Callable[[Places, int], NDArray[np.float32]]
"""(candidates (N,), a chosen one) -> similarities (N,) from 0 to 1."""

POOL = 5
"""Diversity chooses from so many times as many candidates as are shown,"""
LEAST_POOL = 100
"""and from at least so many."""


@dataclass(frozen=True)
class Placed:
    """One shown product: its number among the candidates, and how it came to its place."""

    place: int
    model_rank: int
    """From 1: where the model alone would have put it."""
    moved_by: tuple[str, ...]
    """The steps that changed its rank, directly or by moving another past it."""


@dataclass(frozen=True)
class Pinned:
    """Puts the best of some candidates at a rank (from 1)."""

    among: NDArray[np.bool_]
    rank: int


@dataclass(frozen=True)
class Spread:
    """How much likeness costs: relevance counts lambda, likeness 1 - lambda."""

    lambda_: float
    similarity: Similarity

    def take(self, kept: Places) -> Spread:
        """The same over some of the candidates."""
        return Spread(self.lambda_, lambda places, one: self.similarity(kept[places], int(kept[one])))


def model_key(scores: Scores) -> NDArray[np.float64]:
    """(N,) what the model orders by: the log-odds of liking, or stars if a method gives no probability."""
    if np.isnan(scores.click).all():
        return scores.rating.astype(np.float64)
    share = np.clip(scores.click.astype(np.float64), 1e-12, 1 - 1e-12)
    odds: NDArray[np.float64] = np.log(share / (1 - share))
    return odds


def best_first(scores: Scores) -> Places:
    """Candidates from the most to the least likely liked.

    Equal or missing scores keep the order given, popularity, which is all there is when the model fails.
    """
    return _descending(model_key(scores))


def rerank(
    key: NDArray[np.float64],
    boost: NDArray[np.float64],
    spread: Spread | None,
    pins: Sequence[Pinned],
    k: int,
) -> tuple[Placed, ...]:
    """The k shown products, best first.

    Args:
        key: (N,) what the model orders by; NaN counts as the worst, equal keys keep the order given.
        boost: (N,) what is added to it.
        spread: diversity, if any.
        pins: applied last, in order of rank; one without a candidate does nothing.
        k: how many are shown.
    """
    by_model = _descending(key)
    steps = {"boost": _descending(key + boost) if boost.any() else by_model}
    steps["diversity"] = _spread_out(steps["boost"], key + boost, spread, k) if spread else steps["boost"]
    steps["pin"] = _pin(steps["diversity"], pins)
    ranks = [_ranks(order) for order in (by_model, *steps.values())]
    return tuple(
        Placed(
            place=int(place),
            model_rank=int(ranks[0][place]),
            moved_by=tuple(name for n, name in enumerate(steps) if ranks[n][place] != ranks[n + 1][place]),
        )
        for place in steps["pin"][:k]
    )


def _descending(key: NDArray[np.float64]) -> Places:
    return np.argsort(-np.nan_to_num(key, nan=-np.inf), kind="stable")


def _ranks(order: Places) -> NDArray[np.intp]:
    """Rank from 1 of each candidate."""
    ranks = np.empty(len(order), np.intp)
    ranks[order] = np.arange(1, len(order) + 1)
    return ranks


def _spread_out(order: Places, key: NDArray[np.float64], spread: Spread, k: int) -> Places:
    """The order with its first k chosen from a pool by maximal marginal relevance; the others keep theirs."""
    n_pool = min(len(order), max(POOL * k, LEAST_POOL))
    pool, rest = order[:n_pool], order[n_pool:]
    relevance = _relevance(key[pool])
    nearest, left = np.zeros(n_pool, np.float32), np.ones(n_pool, bool)
    chosen: list[int] = []
    for _ in range(min(k, n_pool)):
        worth = np.where(left, spread.lambda_ * relevance - (1 - spread.lambda_) * nearest, -np.inf)
        best = int(worth.argmax())
        chosen.append(best)
        left[best] = False
        nearest = np.maximum(nearest, spread.similarity(pool, int(pool[best])))
    return np.concatenate([pool[chosen], pool[left], rest])


def _relevance(key: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys in descending order as relevance from 1 to 0; by place alone where no key is known."""
    if not len(key) or not np.isfinite(key).all() or key[0] == key[-1]:
        return np.linspace(1, 0, len(key))
    scaled: NDArray[np.float64] = (key - key[-1]) / (key[0] - key[-1])
    return scaled


def _pin(order: Places, pins: Sequence[Pinned]) -> Places:
    for pin in sorted(pins, key=lambda pin: pin.rank):
        matching = np.flatnonzero(pin.among[order])
        if len(matching):
            rank = min(pin.rank, len(order))
            order = np.insert(np.delete(order, matching[0]), rank - 1, order[matching[0]])
    return order
