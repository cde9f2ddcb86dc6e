"""Rows of the feature store: which views there are, and what a read of them gives, offline or online.

`VIEWS` is the one description of the views. Feast's objects (`features/definitions.py`), the reads
(`features/store.py`) and the arrays (`features/assemble.py`) are all derived from it, so that both sides of the
store have the same columns of the same types. Every row has a `version`, unique per entity and
content: it changes whenever the row does, so that only what changed is written to the online store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.batch import Ids, Index, Times
from features.errors import StoreError

EVENT_TIMESTAMP = "event_timestamp"
VERSION = "version"
TIME_TYPE = pa.timestamp("us", tz="UTC")

_STRINGS, _FLOATS = pa.list_(pa.string()), pa.list_(pa.float32())
_PROTO_FIELDS = {pa.string(): "string_val", pa.int64(): "int64_val", pa.float32(): "float_val"}
_PROTO_LISTS = {_STRINGS: "string_list_val", _FLOATS: "float_list_val"}


@dataclass(frozen=True)
class View:
    """One feature view: the lake table it reads, the ids that find its rows, and its features with their types."""

    name: str
    table: str
    keys: tuple[str, ...]
    features: tuple[tuple[str, pa.DataType], ...]

    @cached_property
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
        ("attributes", _STRINGS),
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
        known = self.table[EVENT_TIMESTAMP].to_numpy().astype("datetime64[us]")
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

    @classmethod
    def of(cls, asked: pd.DataFrame, rows: Mapping[str, ViewRows], as_of: Times) -> JoinedRows:
        """The rows asked for (`row_id`, `consumer_id`, `product_id`), given those of every view by its name."""
        consumer_ids, product_ids = (asked[key].to_numpy(object) for key in ("consumer_id", "product_id"))
        return cls(
            row_id=asked["row_id"].to_numpy(np.int64),
            consumers=ConsumerRows(consumer_ids, rows[CONSUMER_FEATURES.name], rows[CONSUMER_FACETS.name]),
            products=ProductRows(
                product_ids, rows[PRODUCT_FEATURES.name], rows[PRODUCT_CONTENT.name], rows[PRODUCT_FACETS.name]
            ),
            pairs=PairRows(rows[PAIR_CODES.name]),
            as_of=as_of,
        )

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


def row_keys(frame: pd.DataFrame, view: View, versions: pd.Series) -> pd.Series:
    """One text per row: its ids and version, with a separator that ids do not contain."""
    texts = versions.astype(object).reset_index(drop=True)
    for key in view.keys:
        texts = frame[key].astype(object).reset_index(drop=True) + "\x1f" + texts
    return texts


def keep_rows(view: View, before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """The newer table of a view, with the rows of versions that were there before as they were, bit for bit.

    The same text coded in a batch of another size may differ in its last bits; a row that did not change must not.
    """
    if before.empty or after.empty:
        return after
    known = before.assign(key=row_keys(before, view, before[VERSION]).to_numpy()).drop_duplicates("key")
    keys = pd.Index(row_keys(after, view, after[VERSION]))
    kept = keys.isin(known["key"])
    older = known.set_index("key").loc[keys[kept], list(after.columns)]
    return pd.concat([older.set_index(after.index[kept]), after[~kept]]).sort_index()


def unambiguous(keys: pd.Series, table: pa.Table, view: View) -> tuple[pd.Series, pa.Table]:
    """Keeps the earliest of an id's rows with one version, so that none looks later than it was known.

    Raises StoreError if rows of one id and version have different features.
    """
    repeated = keys.duplicated(keep=False).to_numpy()
    if not repeated.any():
        return keys, table
    values = table.drop_columns([EVENT_TIMESTAMP]).filter(repeated).to_pandas().map(_text)
    clashing = values.assign(key=keys[repeated].to_numpy()).drop_duplicates()["key"].duplicated()
    if clashing.any():
        raise StoreError(
            f"The lake table {view.table!r} has {int(clashing.sum())} rows with the version of another row of the "
            "same entity but other features.",
            "A version must change whenever a feature does.",
        )
    order = np.argsort(table[EVENT_TIMESTAMP].to_numpy(), kind="stable")
    earliest = np.sort(order[~keys.iloc[order].duplicated().to_numpy()])
    return keys.iloc[earliest].reset_index(drop=True), table.take(earliest)


def _text(value: Any) -> Any:
    return value.tobytes() if isinstance(value, np.ndarray) and value.dtype != object else str(value)


def answered_rows(view: View, vectors: dict[str, Any]) -> ViewRows:
    """The rows of one view out of Feast's answer to an online read; without a version, nothing is known."""
    versions = vectors[f"{view.name}__{VERSION}"]
    present = [n for n, value in enumerate(versions.values) if value.string_val]
    index = np.full(len(versions.values), -1, np.int32)
    index[present] = np.arange(len(present))
    times = [versions.event_timestamps[n].ToMicroseconds() for n in present]
    columns = [pa.array(times, TIME_TYPE)]
    for name, kind in view.features:
        values, read = vectors[f"{view.name}__{name}"].values, _reader(kind)
        columns.append(pa.array([read(values[n]) for n in present], kind))
    return ViewRows(pa.table(columns, schema=view.columns), index)


def _reader(kind: pa.DataType) -> Callable[[Any], Any]:
    """Gives a protobuf value of this kind as Arrow takes it; None where the field is not set."""
    if kind in _PROTO_LISTS:  # looked up once a column: Arrow's types are slow to hash
        of_list = attrgetter(f"{_PROTO_LISTS[kind]}.val")
        return lambda value: list(of_list(value))
    field = _PROTO_FIELDS[kind]
    return lambda value: getattr(value, field) if value.HasField(field) else None
