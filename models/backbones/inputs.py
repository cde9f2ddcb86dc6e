"""Feature batches as the tensors a network sees, and what repeats in them, so that it is made once.

What is absent stays visible as a mask bit or as row 0; it is never a plain zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.backbones.incidence import Incidence

RATING_BUCKETS = 11
SPARSE = 16
"""Marks for each number from which on numbers are sorted instead."""


class Distinct(NamedTuple):
    """Values that rows share: row n has `values[place[n]]`, so that what is made of a value is made once."""

    values: Tensor  # (D, ...)
    place: Tensor  # (N,) 0..D-1

    def each(self, made: Tensor) -> Tensor:
        """What was made of the values (D, ...), for every row: (N, ...)."""
        return made.index_select(0, self.place)  # several times as fast as made[self.place]


class Events(NamedTuple):
    """Histories by what repeats in them: E different events, that is products with ratings, of P products."""

    products: Tensor  # (P,) numbers
    product: Tensor  # (E,) place among `products`
    rating: Tensor  # (E,) bucket
    seen: Incidence  # which (N, L) each row has


class Meetings(NamedTuple):
    """Facets of both sides of N pairs, as slots of the distinct ones; the last of M + 1 slots says "no facet"."""

    consumer: Incidence  # (N 2, M + 1): slots of the row's consumer, by stance
    product: Incidence  # likewise; M may be another
    pairs: Incidence  # (N 2 (M + 1), M + 1): slots of the product that each slot of the consumer meets


@dataclass(frozen=True, eq=False)
class Inputs:
    """A batch as tensors. Row tensors are (N, ...); tables are (T, ...) with row 0 for "absent".

    What is about the consumer and the time has one row where all N pairs have the same: it is computed once, and
    broadcasts. The same goes for `pair_row` where no pair has a code.
    """

    consumer: Tensor  # (N,) 0 = unknown
    product: Tensor  # (N,) 0 = unknown
    consumer_numeric: Tensor  # (N, 10): standardised values (0 where absent), then mask bits
    product_numeric: Tensor  # (N, 10)
    belief: Tensor  # (N, 3): what ratings alone say: logits of stars and of liking, and how sure (stars)
    history: Tensor  # (N, L) products, 0 = unknown
    history_rating: Tensor  # (N, L) bucket
    history_mask: Tensor  # (N, L) bool, True where there is an event
    closeness: Tensor  # (N, 2, K): how many facets of both sides come how near, by stance
    time: Tensor  # (N, 6): weekday, hour, month as sine and cosine
    told: Tensor  # (N, F, 2): what F methods beneath the network tell, log odds of stars and of liking; often none
    attribute_row: Tensor  # (N,) into attributes
    content_row: Tensor
    consumer_codes_row: Tensor
    consumer_weights_row: Tensor
    product_codes_row: Tensor
    product_weights_row: Tensor
    pair_row: Tensor
    attributes: Tensor  # (T, A), 0 = none
    content: Tensor  # (T, 384)
    consumer_codes: Tensor  # (T, 2, M, W)
    consumer_weights: Tensor  # (T, 2, M)
    product_codes: Tensor
    product_weights: Tensor
    pair_codes: Tensor  # (T, 2, W), NaN where absent
    compact: bool = False
    """Whether the tables hold little else than what the rows use."""

    TABLES = {  # noqa: RUF012 - a constant of the class, not a field
        "attribute_row": "attributes",
        "content_row": "content",
        "consumer_codes_row": "consumer_codes",
        "consumer_weights_row": "consumer_weights",
        "product_codes_row": "product_codes",
        "product_weights_row": "product_weights",
        "pair_row": "pair_codes",
    }

    def to(self, device: str) -> Inputs:
        """The same on a device."""
        moved: dict[str, Any] = {name: value.to(device) for name, value in self._tensors()}
        return replace(self, **moved)

    def __len__(self) -> int:
        return len(self.product)

    @property
    def of_one(self) -> bool:
        """Whether all pairs are of one consumer, whose tensors have one row."""
        return len(self.consumer) == 1

    def rows(self, rows: Tensor) -> Inputs:
        """Chosen rows; tables are shared, and so are rows that all pairs have in common."""
        tables, n = set(self.TABLES.values()), len(self)
        chosen = {name: it[rows] for name, it in self._tensors() if name not in tables and len(it) == n}
        return replace(self, **chosen, compact=False)

    def chunks(self, size: int) -> list[Inputs]:
        """All rows in order, at most so many at a time."""
        if len(self) <= size:
            return [self]
        return [self.rows(rows) for rows in torch.split(torch.arange(len(self), device=self.product.device), size)]

    def each(self) -> Inputs:
        """The same with N rows of everything."""
        n, tables = len(self), self.TABLES.values()
        whole: dict[str, Any] = {k: it.expand(n, *it.shape[1:]) for k, it in self._tensors() if k not in tables}
        return replace(self, **whole)

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        return ((item.name, getattr(self, item.name)) for item in fields(self) if item.name != "compact")

    def table(self, row: str) -> Tensor:
        """Rows of a table, one per row of the batch: `table("content_row")` is (N, 384)."""
        values: Tensor = getattr(self, self.TABLES[row])
        return values[getattr(self, row)]

    @cached_property
    def distinct(self) -> dict[str, Distinct]:
        """The rows of each table that the batch uses, once each, by the name of the row: `distinct["content_row"]`."""
        if self.compact:
            return {row: Distinct(getattr(self, table), getattr(self, row)) for row, table in self.TABLES.items()}
        used = {row: _distinct(getattr(self, row)) for row in self.TABLES}
        return {row: Distinct(getattr(self, self.TABLES[row])[rows], place) for row, (rows, place) in used.items()}

    @cached_property
    def events(self) -> Events:
        """The events of the batch's histories."""
        codes, place = _distinct(self.history * RATING_BUCKETS + self.history_rating)
        products, product = _distinct(codes // RATING_BUCKETS)
        return Events(products, product, codes % RATING_BUCKETS, Incidence(place, len(codes)))

    @cached_property
    def meetings(self) -> Meetings:
        """The facets that meet in the batch's pairs."""
        consumer, product = self._slots("consumer_codes_row"), self._slots("product_codes_row")
        met = product.place.repeat_interleave(consumer.place.shape[1], 0)
        return Meetings(consumer, product, Incidence(met, product.n_things))

    def _slots(self, row: str) -> Incidence:
        codes, place = self.distinct[row]
        n_slots = codes.shape[2] + 1
        slots = torch.arange(len(codes) * 2 * n_slots, device=place.device).view(-1, 2 * n_slots)
        return Incidence(slots[place].view(-1, n_slots), slots.numel())


def nothing_told(n: int) -> Tensor:
    """The field `told` of N rows where no method is beneath."""
    return torch.zeros(n, 0, 2)


def _distinct(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """The numbers from 0 that occur, in order, and the place of each among them.

    Marking those that occur is quicker than sorting, unless there are few numbers and they are large.
    """
    flat = numbers.flatten()
    n_marks = int(flat.max()) + 1
    if n_marks > SPARSE * len(flat):
        values, place = torch.unique(numbers, return_inverse=True)
        return values, place
    used = torch.zeros(n_marks, dtype=torch.bool, device=flat.device).index_fill_(0, flat, True)
    place = (used.cumsum(0) - 1).index_select(0, flat)
    return used.nonzero().squeeze(1), place.view(numbers.shape)
