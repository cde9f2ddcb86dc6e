"""Whether evidence matters: what a score loses without the product that is named first, and without another one.

The protocol is that of erasure (DeYoung et al., ERASER, ACL 2020, comprehensiveness): a faithful attribution's top
evidence moves the decision more than evidence drawn at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from features.batch import FeatureBatch
from models.base import Scores
from models.explain_rec.attribution import Attributed


class Attributes(Protocol):
    """A method that scores and says why."""

    def score(self, batch: FeatureBatch) -> Scores:
        """As `Recommender.score`."""
        ...

    def attribute(self, batch: FeatureBatch) -> list[Attributed]:
        """Why each pair was decided as it was."""
        ...


@dataclass(frozen=True)
class Deletion:
    """Mean loss of the probability of liking over the pairs that have two products of evidence or more."""

    pairs: int
    top: float
    random: float
    difference: float
    low: float
    """Lower end of the difference's 95 % interval, normal approximation over pairs."""


def deletion_effects(method: Attributes, batch: FeatureBatch, seed: int) -> dict[str, float]:
    """Deletes the strongest evidence that speaks for each pair, and one other product at random."""
    named = [_strongest_for(it) for it in method.attribute(batch)]
    history = batch.consumers.history_ids
    rows = np.array([n for n, top in enumerate(named) if top and len({*history[n]} - {"", top}) >= 1], np.intp)
    if not len(rows):
        return asdict(Deletion(0, 0.0, 0.0, 0.0, 0.0))
    rng, some = np.random.default_rng(seed), batch.take(rows)
    top = [named[n] for n in rows]
    other = [str(rng.choice(sorted({*history[n]} - {"", named[n]}))) for n in rows]
    whole = method.score(some).click
    lost = [whole - method.score(without_products(some, gone)).click for gone in (top, other)]
    difference = lost[0] - lost[1]
    margin = 1.96 * float(difference.std()) / np.sqrt(len(rows))
    mean = float(difference.mean())
    made = Deletion(len(rows), float(lost[0].mean()), float(lost[1].mean()), mean, mean - margin)
    return {name: round(value, 5) for name, value in asdict(made).items()}


def without_products(batch: FeatureBatch, gone: Sequence[str]) -> FeatureBatch:
    """The batch with one product (N,) taken out of each row's history."""
    who = batch.consumers
    taken: NDArray[np.bool_] = who.history_ids == np.array(gone, object)[:, None]
    ids = np.where(taken, "", who.history_ids)
    ratings = np.where(taken, np.nan, who.history_ratings).astype(np.float32)
    return replace(batch, consumers=replace(who, history_ids=ids, history_ratings=ratings))


def _strongest_for(made: Attributed) -> str:
    """The product whose evidence speaks most for the pair, over all reasons; empty where none does."""
    product, added = made.evidence[0] if made.evidence else ("", 0.0)
    return product if added > 0 else ""
