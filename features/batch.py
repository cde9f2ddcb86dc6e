"""The arrays a model sees: blocks of consumer, product and pair features, and the batch they make.

Training and serving build the same blocks through `features/assemble.py`; nobody else does. N is the number of
rows, M = `N_FACETS`, W = `CODE_WIDTH`, L = `HISTORY_LENGTH`. What is absent has index -1, NaN or an empty id;
it is never a zero. The two-wide stance axis follows `features.types.STANCES` (for, against).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

HISTORY_LENGTH = 20
"""L: a consumer's last products and ratings that are features."""
N_FACETS = 4
"""M: facets kept per entity and stance."""
CODE_WIDTH = 64
"""W: width d_e of an explanation code."""
CONTENT_WIDTH = 384
"""Width d_t of the text encoder's vectors."""

CONSUMER_NUMERIC = ("n_interactions", "mean_rating", "sd_rating", "liked_share", "days_active")
PRODUCT_NUMERIC = ("n_interactions", "mean_rating", "sd_rating", "liked_share", "mean_consumer_rating")

Floats = NDArray[np.float32]
Index = NDArray[np.int32]
Ids = NDArray[np.object_]
Times = NDArray[np.datetime64]


@dataclass(frozen=True, eq=False)
class Indexed:
    """Rows that repeat, stored once: row n is `table[index[n]]`, or absent where `index[n]` is -1."""

    table: Floats
    index: Index

    def take(self, rows: NDArray[np.intp]) -> Indexed:
        """The chosen rows; the table is shared."""
        return replace(self, index=self.index[rows])

    @classmethod
    def joined(cls, parts: Sequence[Indexed]) -> Indexed:
        """All rows, part after part."""
        starts = np.cumsum([0, *(len(part.table) for part in parts[:-1])])
        index = [np.where(it.index < 0, -1, it.index + start) for it, start in zip(parts, starts, strict=True)]
        return cls(np.concatenate([part.table for part in parts]), np.concatenate(index).astype(np.int32))


def tuples(values: Sequence[Sequence[str]]) -> Ids:
    """(N,) an array whose elements are tuples."""
    array = np.empty(len(values), object)
    array[:] = [tuple(texts) for texts in values]
    return array


class _Block:
    """Shared by the blocks: choosing rows, and putting rows behind others."""

    def take(self, rows: NDArray[np.intp]) -> Self:
        """The chosen rows of every field, in the given order (repeats allowed)."""
        chosen = {}
        for item in fields(self):  # type: ignore[arg-type]
            value = getattr(self, item.name)
            chosen[item.name] = value.take(rows) if isinstance(value, Indexed | _Block) else value[rows]
        return type(self)(**chosen)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """All rows of at least one block, part after part."""
        put = {}
        for item in fields(cls):  # type: ignore[arg-type]
            values = [getattr(part, item.name) for part in parts]
            nested = isinstance(values[0], Indexed | _Block)
            put[item.name] = type(values[0]).joined(values) if nested else np.concatenate(values)
        return cls(**put)


@dataclass(frozen=True, eq=False)
class ConsumerBlock(_Block):
    """What is known of a consumer strictly before a time."""

    consumer_ids: Ids  # (N,)
    numeric: Floats  # (N, len(CONSUMER_NUMERIC)), NaN where absent
    attributes: Ids  # (N,) of tuple[str, ...]: "name=value"
    history_ids: Ids  # (N, L), latest first, "" where absent
    history_ratings: Floats  # (N, L), NaN where absent
    facet_codes: Indexed  # (., 2, M, W): attractors, aversions
    facet_weights: Indexed  # (., 2, M): 0 where there is no facet

    def __len__(self) -> int:
        return len(self.consumer_ids)


@dataclass(frozen=True, eq=False)
class ProductBlock(_Block):
    """What is known of a product strictly before a time."""

    product_ids: Ids  # (N,)
    numeric: Floats  # (N, len(PRODUCT_NUMERIC)), NaN where absent
    attributes: Ids  # (N,) of tuple[str, ...]: "name=value"
    content: Indexed  # (., CONTENT_WIDTH)
    facet_codes: Indexed  # (., 2, M, W): strengths, weaknesses
    facet_weights: Indexed  # (., 2, M)

    def __len__(self) -> int:
        return len(self.product_ids)


@dataclass(frozen=True, eq=False)
class PairBlock(_Block):
    """Codes of the texts written for a pair, where they were bought."""

    codes: Indexed  # (., 2, W)

    def __len__(self) -> int:
        return len(self.codes.index)


@dataclass(frozen=True, eq=False)
class FeatureBatch(_Block):
    """N pairs to score."""

    consumers: ConsumerBlock
    products: ProductBlock
    pairs: PairBlock
    as_of: Times  # (N,) datetime64[us]: features are from strictly before

    def __len__(self) -> int:
        return len(self.consumers)


@dataclass(frozen=True, eq=False)
class TrainingSet(_Block):
    """Pairs with their outcomes; `row` is the source row of the interaction."""

    batch: FeatureBatch
    rating: Floats  # (N,) on the dataset's scale
    liked: Floats  # (N,) 0 or 1
    row: NDArray[np.int64]  # (N,)

    def __len__(self) -> int:
        return len(self.row)
