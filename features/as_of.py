"""Rows of the feature views as they were before a time, found in tables at hand instead of a feature store.

For fixed benchmark splits by time: the states are the store's (`features/states.py`), the rule is the store's (the
latest row strictly before), and so are the rows that come out; only where they lie differs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from features.batch import Ids, Times
from features.rows import (
    CONSUMER_FACETS,
    CONSUMER_FEATURES,
    EVENT_TIMESTAMP,
    PAIR_CODES,
    PRODUCT_CONTENT,
    PRODUCT_FACETS,
    PRODUCT_FEATURES,
    ConsumerRows,
    JoinedRows,
    PairRows,
    ProductRows,
    View,
    ViewRows,
    conform,
)
from features.states import consumer_states, product_states
from features.types import Snapshot


@dataclass(frozen=True, eq=False)
class TextTables:
    """What texts became: tables of the views of that name."""

    consumer_facets: pd.DataFrame
    product_facets: pd.DataFrame
    product_content: pd.DataFrame
    pair_codes: pd.DataFrame


def point_in_time(snapshot: Snapshot, rows: pd.DataFrame, texts: TextTables) -> JoinedRows:
    """Each row with what the snapshot knew strictly before its time.

    Args:
        snapshot: training interactions and the catalog.
        rows: `row`, `consumer_id`, `product_id`, `timestamp`.
        texts: looked up likewise.
    """
    ids, times = rows[["consumer_id", "product_id"]].reset_index(drop=True), naive_times(rows["timestamp"])
    return with_texts(
        rows,
        latest_rows(CONSUMER_FEATURES, consumer_states(snapshot), ids, times),
        latest_rows(PRODUCT_FEATURES, product_states(snapshot), ids, times),
        texts,
        times,
    )


def with_texts(
    rows: pd.DataFrame, consumers: ViewRows, products: ViewRows, texts: TextTables, times: Times
) -> JoinedRows:
    """Rows of the two feature views with those of all views of texts, as they were before the times."""
    ids = rows[["consumer_id", "product_id"]].reset_index(drop=True)
    consumer_ids, product_ids = (_objects(ids[name]) for name in ids)
    content = latest_rows(PRODUCT_CONTENT, texts.product_content, ids, times)
    consumer_facets = latest_rows(CONSUMER_FACETS, texts.consumer_facets, ids, times)
    product_facets = latest_rows(PRODUCT_FACETS, texts.product_facets, ids, times)
    return JoinedRows(
        row_id=rows["row"].to_numpy(np.int64),
        consumers=ConsumerRows(consumer_ids, consumers, consumer_facets),
        products=ProductRows(product_ids, products, content, product_facets),
        pairs=PairRows(latest_rows(PAIR_CODES, texts.pair_codes, ids, times)),
        as_of=times,
    )


def latest_rows(view: View, table: pd.DataFrame, ids: pd.DataFrame, times: Times) -> ViewRows:
    """The latest row of each id strictly before its time.

    Args:
        view: says which columns identify a row.
        table: rows of the view.
        ids: (N,) rows with the view's keys, index 0 to N - 1.
        times: (N,).
    """
    asked = ids[list(view.keys)].assign(asked=pd.Series(times).astype("datetime64[us]"), place=np.arange(len(ids)))
    known = table[list(view.keys)].assign(
        known=naive_times(table[EVENT_TIMESTAMP]), found=np.arange(len(table), dtype=np.int64)
    )
    joined = pd.merge_asof(
        asked.sort_values("asked", kind="stable"),
        known.sort_values("known", kind="stable"),
        left_on="asked",
        right_on="known",
        by=list(view.keys),
        allow_exact_matches=False,
    )
    index = np.full(len(ids), -1, np.int32)
    index[joined["place"]] = joined["found"].fillna(-1).astype(np.int32)
    columns = pa.Table.from_pandas(table[view.columns.names], preserve_index=False)
    return ViewRows(conform(columns, view.columns), index)


def naive_times(times: pd.Series) -> Times:
    """UTC times as numpy has them."""
    return times.dt.tz_convert(None).to_numpy("datetime64[us]")


def _objects(column: pd.Series) -> Ids:
    return column.to_numpy(object)
