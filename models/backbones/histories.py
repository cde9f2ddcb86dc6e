"""Who had what, in order of time: the input of every expert on the next product.

A history can be read as ragged arrays, as a sparse matrix of consumers by products, or as padded rows of product
numbers for sequence models. Products are numbered from 0; padded rows shift them by 1, so that 0 is "nothing".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from features.errors import TrainingError

Numbers = NDArray[np.int64]
Reals = NDArray[np.float64]
Scores = NDArray[np.float32]
Weight = Callable[[Numbers, Reals], Reals]
"""Weight of events from (events in between plus 1, seconds in between)."""


@dataclass(frozen=True, eq=False)
class Histories:
    """Events of U consumers over a catalogue of P products, each consumer's in order of time."""

    n_products: int
    start: Numbers  # (U + 1,): events of consumer u are start[u] to start[u + 1]
    product: Numbers  # (E,) 0..P-1
    time: Reals  # (E,) seconds
    who: Numbers  # (U,) each consumer's number in the histories that these are a part of

    @classmethod
    def of(cls, consumer: Numbers, product: Numbers, time: Reals, n_consumers: int, n_products: int) -> Histories:
        """Sorts events (N,) by consumer and time; equal times keep their order.

        Raises:
            TrainingError: a number lies outside the consumers or the catalogue.
        """
        for name, values, end in (("consumer", consumer, n_consumers), ("product", product, n_products)):
            if len(values) and not 0 <= values.min() <= values.max() < end:
                raise TrainingError(
                    f"The {name} numbers run from {values.min()} to {values.max()}.",
                    f"They must lie in 0..{end - 1}.",
                    "Number them again.",
                )
        order = np.lexsort((time, consumer))
        sizes = np.bincount(consumer, minlength=n_consumers)
        start, who = np.concatenate([[0], np.cumsum(sizes)]), np.arange(n_consumers)
        return cls(n_products, start, product[order], np.asarray(time, float)[order], who)

    def __len__(self) -> int:
        return len(self.start) - 1

    @cached_property
    def consumer(self) -> Numbers:
        """(E,) whose event it is."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))

    @cached_property
    def place(self) -> Numbers:
        """(E,) how many events of the same consumer came before."""
        return np.arange(len(self.product)) - self.start[self.consumer]

    @cached_property
    def now(self) -> Reals:
        """(U,) time of each consumer's last event; the latest of all where there is none."""
        latest = self.time.max(initial=0.0)
        last = np.append(self.time, latest)[np.maximum(self.start[1:] - 1, 0)]
        return np.where(np.diff(self.start) > 0, last, latest)

    @cached_property
    def counts(self) -> Numbers:
        """(P,) events of each product."""
        return np.bincount(self.product, minlength=self.n_products)

    def matrix(self, weight: Weight | None = None) -> csr_matrix:
        """(U, P): the weight of each event by its distance from the consumer's last one, or 1."""
        if weight is None:
            values = np.ones(len(self.product))
        else:
            back = self.start[self.consumer + 1] - np.arange(len(self.product))  # 1 for the last
            values = weight(back, self.now[self.consumer] - self.time)
        return csr_matrix((values, (self.consumer, self.product)), shape=(len(self), self.n_products))

    def without_last(self, n: int = 1) -> tuple[Histories, Numbers]:
        """Histories less their last n events, and the first event taken (U,); -1 where fewer than one would be left.

        Such short histories stay whole.
        """
        sizes = np.diff(self.start)
        cut = sizes > n
        target = np.where(cut, np.append(self.product, -1)[np.maximum(self.start[1:] - n, 0)], -1)
        kept = self.place < np.where(cut, sizes - n, sizes)[self.consumer]
        start = np.concatenate([[0], np.cumsum(np.where(cut, sizes - n, sizes))])
        return Histories(self.n_products, start, self.product[kept], self.time[kept], self.who), target

    def rows(self, first: int, end: int) -> Histories:
        """The consumers first..end-1."""
        events = slice(self.start[first], self.start[end])
        start = self.start[first : end + 1] - self.start[first]
        return Histories(self.n_products, start, self.product[events], self.time[events], self.who[first:end])

    def padded(self, length: int) -> Numbers:
        """(U, length): the last products of each, latest at the right, as number + 1; 0 where there is none."""
        table = np.zeros((len(self), length), np.int64)
        back = self.start[self.consumer + 1] - np.arange(len(self.product))
        recent = back <= length
        table[self.consumer[recent], length - back[recent]] = self.product[recent] + 1
        return table
