"""Rows of the feature views as they were before a time, found in tables at hand instead of a feature store.

For fixed benchmark splits by time: the states are the store's (`features/states.py`), the rule is the store's (the
latest row strictly before), and so are the rows that come out; only where they lie differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from features.batch import Times
from features.rows import (
    CONSUMER_FACETS,
    CONSUMER_FEATURES,
    EVENT_TIMESTAMP,
    PAIR_CODES,
    PRODUCT_CONTENT,
    PRODUCT_FACETS,
    PRODUCT_FEATURES,
    JoinedRows,
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
    times = naive_times(rows["timestamp"])
    states = ((CONSUMER_FEATURES, consumer_states(snapshot)), (PRODUCT_FEATURES, product_states(snapshot)))
    found = {view.name: latest_rows(view, table, rows, times) for view, table in states}
    return with_texts(rows, found, texts, times)


def with_texts(rows: pd.DataFrame, features: Mapping[str, ViewRows], texts: TextTables, times: Times) -> JoinedRows:
    """Rows of the views of numbers, by name, with those of all views of texts as they were before the times."""
    tables = (
        (CONSUMER_FACETS, texts.consumer_facets),
        (PRODUCT_FACETS, texts.product_facets),
        (PRODUCT_CONTENT, texts.product_content),
        (PAIR_CODES, texts.pair_codes),
    )
    found = {view.name: latest_rows(view, table, rows, times) for view, table in tables}
    return JoinedRows.of(rows.assign(row_id=rows["row"]), {**features, **found}, times)


def latest_rows(view: View, table: pd.DataFrame, ids: pd.DataFrame, times: Times) -> ViewRows:
    """The latest row of each id strictly before its time.

    Args:
        view: says which columns identify a row.
        table: rows of the view.
        ids: (N,) rows with the view's keys.
        times: (N,).
    """
    asked = ids[list(view.keys)].assign(asked=times, place=np.arange(len(ids)))
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
