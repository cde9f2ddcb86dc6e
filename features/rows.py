"""Rows of the feature store: which views there are, and what a read of them gives, offline or online.

`VIEWS` is the one description of the views. Feast's objects (`features/definitions.py`), the reads
(`features/store.py`) and the arrays (`features/assemble.py`) are all derived from it, so that both sides of the
store have the same columns of the same types. Every row has a `version`, unique per entity and content.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.batch import Ids, Index, Times

EVENT_TIMESTAMP = "event_timestamp"
VERSION = "version"
TIME_TYPE = pa.timestamp("us", tz="UTC")

_STRINGS, _FLOATS = pa.list_(pa.string()), pa.list_(pa.float32())


@dataclass(frozen=True)
class View:
    """One feature view: the lake table it reads, the ids that find its rows, and its features with their types."""

    name: str
    table: str
    keys: tuple[str, ...]
    features: tuple[tuple[str, pa.DataType], ...]

    @property
    def columns(self) -> pa.Schema:
        """What a read gives for a row, besides its keys: the event time, then the features."""
        return pa.schema([(EVENT_TIMESTAMP, TIME_TYPE), *self.features])

    @property
    def schema(self) -> pa.Schema:
        """The columns of the lake table."""
        return pa.schema([*((key, pa.string()) for key in self.keys), *self.columns])


CONSUMER_FEATURES = View(
    "consumer_features",
    "features/consumer",
    ("consumer_id",),
    (
        (VERSION, pa.string()),
        ("n_interactions", pa.int64()),
        ("mean_rating", pa.float32()),
        ("sd_rating", pa.float32()),
        ("liked_share", pa.float32()),
        ("days_active", pa.float32()),
        ("history_ids", _STRINGS),
        ("history_ratings", _FLOATS),
    ),
)
PRODUCT_FEATURES = View(
    "product_features",
    "features/product",
    ("product_id",),
    (
        (VERSION, pa.string()),
        ("n_interactions", pa.int64()),
        ("mean_rating", pa.float32()),
        ("sd_rating", pa.float32()),
        ("liked_share", pa.float32()),
        ("mean_consumer_rating", pa.float32()),
        ("attributes", _STRINGS),
    ),
)
PRODUCT_CONTENT = View(
    "product_content", "features/product_content", ("product_id",), ((VERSION, pa.string()), ("vector", _FLOATS))
)
CONSUMER_FACETS = View(
    "consumer_facets",
    "features/consumer_facets",
    ("consumer_id",),
    ((VERSION, pa.string()), ("codes", _FLOATS), ("weights", _FLOATS)),
)
PRODUCT_FACETS = View(
    "product_facets",
    "features/product_facets",
    ("product_id",),
    ((VERSION, pa.string()), ("codes", _FLOATS), ("weights", _FLOATS)),
)
PAIR_CODES = View(
    "pair_codes",
    "features/pair_codes",
    ("consumer_id", "product_id"),
    ((VERSION, pa.string()), ("codes", _FLOATS)),
)
VIEWS = (CONSUMER_FEATURES, PRODUCT_FEATURES, PRODUCT_CONTENT, CONSUMER_FACETS, PRODUCT_FACETS, PAIR_CODES)


@dataclass(frozen=True, eq=False)
class ViewRows:
    """N rows of one view, repeats stored once: row n is row `index[n]` of `table`, or absent where that is -1."""

    table: pa.Table  # columns of `View.columns`
    index: Index  # (N,)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def event_time(self) -> Times:
        """(N,) time of the last event in each row, NaT where absent: what a caller's age limit looks at."""
        known = self.table[EVENT_TIMESTAMP].cast(pa.timestamp("us")).to_numpy().astype("datetime64[us]")
        return np.append(known, np.datetime64("NaT", "us"))[self.index]


@dataclass(frozen=True, eq=False)
class ConsumerRows:
    """Rows of N consumers."""

    consumer_ids: Ids
    features: ViewRows
    facets: ViewRows

    def __len__(self) -> int:
        return len(self.consumer_ids)


@dataclass(frozen=True, eq=False)
class ProductRows:
    """Rows of N products."""

    product_ids: Ids
    features: ViewRows
    content: ViewRows
    facets: ViewRows

    def __len__(self) -> int:
        return len(self.product_ids)


@dataclass(frozen=True, eq=False)
class PairRows:
    """Rows of N pairs."""

    codes: ViewRows

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True, eq=False)
class JoinedRows:
    """N rows of consumers, products and pairs as they were strictly before `as_of`, in the order asked for."""

    row_id: NDArray[np.int64]
    consumers: ConsumerRows
    products: ProductRows
    pairs: PairRows
    as_of: Times

    def __len__(self) -> int:
        return len(self.row_id)


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns of a schema in its order and exact types; missing numbers within lists become NaN.

    Parquet written from a frame without rows has no types, and float lists may be wider than float32; after
    this, what is joined offline and what is written online are the same values.
    """
    columns = [_conform_column(table[item.name].combine_chunks(), item.type) for item in schema]
    return pa.table(columns, schema=schema)


def _conform_column(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if len(column) == column.null_count:
        return pa.nulls(len(column), kind)
    column = column.cast(kind)
    if kind != _FLOATS or column.values.null_count == 0:
        return column
    values = pc.fill_null(column.values, float("nan"))
    return pa.ListArray.from_arrays(column.offsets, values, mask=column.is_null() if column.null_count else None)
