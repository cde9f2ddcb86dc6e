"""Products held for serving: what of a score does not depend on who asks is made once, when a release is opened."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from features.assemble import cross
from features.batch import ConsumerBlock, PairBlock, ProductBlock

if TYPE_CHECKING:
    from models.base import Recommender, Scores

Rows = NDArray[np.intp]


class Held(Protocol):
    """Scores any of P products for one consumer at a time, as `Recommender.score` would."""

    def score(self, consumer: ConsumerBlock, rows: Rows, pairs: PairBlock | None, as_of: datetime) -> Scores:
        """Scores of the products at these rows.

        Args:
            consumer: one row.
            rows: (N,) of the products that are held.
            pairs: codes of the N pairs; None if none has texts of its own.
            as_of: when the question is asked.
        """
        ...

    def guess(self, consumer: ConsumerBlock) -> NDArray[np.float32] | None:
        """(P,) a cheap guess of the scores' order over all products; None where a method has none."""
        ...


class Crossed:
    """Holds the products as they are, for methods that gain nothing from more."""

    def __init__(self, recommender: Recommender, products: ProductBlock) -> None:
        self._recommender, self._products = recommender, products

    def score(self, consumer: ConsumerBlock, rows: Rows, pairs: PairBlock | None, as_of: datetime) -> Scores:
        """As `Held`: one batch."""
        return self._recommender.score(cross(consumer, self._products.take(rows), pairs, as_of))

    def guess(self, consumer: ConsumerBlock) -> NDArray[np.float32] | None:
        """As `Held`: none."""
        return None
