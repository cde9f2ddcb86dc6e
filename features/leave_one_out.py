"""Rows of the feature views in which a training row sees all of train but itself, whatever the times.

For fixed splits at random, where time must not be used. The features are those of `features/states.py` but for
`days_active`, which is absent; the history is the first `HISTORY_LENGTH` events that the row sees of its consumer, in
a seeded order of its own (`features/rings.py`).

A mean without the row itself still tells the row's rating to whoever knows the mean of all: a model with ids can
learn to subtract. With `share` below 1 each training row sees another part of the others, which hides it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from features.as_of import TextTables, naive_times, with_texts
from features.batch import HISTORY_LENGTH
from features.errors import InputError
from features.rings import Arcs, Numbers, Places, Rings, rounded
from features.rows import CONSUMER_FEATURES, EVENT_TIMESTAMP, PRODUCT_FEATURES, VERSION, JoinedRows, ViewRows
from features.states import attribute_lists
from features.types import Snapshot

RATING_BITS, MEAN_BITS = 12, 24
"""Binary places kept of ratings (so that also their squares' sums are exact) and of consumers' means."""


def leave_one_out(
    snapshot: Snapshot,
    rows: pd.DataFrame,
    texts: TextTables,
    hidden: NDArray[np.bool_],
    seed: int = 0,
    share: float = 1.0,
) -> JoinedRows:
    """Features of rows from all training rows but themselves.

    Args:
        snapshot: training interactions and the catalog; its `as_of` is the time of every row.
        rows: `row`, `consumer_id`, `product_id`; those whose `row` is a training interaction's are left out of
            their own features.
        texts: what texts became; a row sees the latest.
        hidden: (N,) rows that see no facet and no pair code, because their own rating is behind them.
        seed: of the order in which events are seen.
        share: how much of the other events a training row sees; held-out rows see all.

    Raises:
        InputError: a share outside 0 to 1.
    """
    if not 0 < share <= 1:
        raise InputError(f"A share of {share} of the events was asked for.", "It lies above 0 and is at most 1.")
    events = _Events(snapshot)
    features = {
        CONSUMER_FEATURES.name: events.consumer_rows(events.arcs("consumer_id", rows, seed, share)),
        PRODUCT_FEATURES.name: events.product_rows(events.arcs("product_id", rows, seed, share)),
    }
    times = np.full(len(rows), naive_times(pd.Series([pd.Timestamp(snapshot.as_of)]))[0])
    joined = with_texts(rows, features, texts, times)
    return _without_texts(joined, hidden)


def _without_texts(rows: JoinedRows, hidden: NDArray[np.bool_]) -> JoinedRows:
    def unseen(found: ViewRows) -> ViewRows:
        return replace(found, index=np.where(hidden, -1, found.index).astype(np.int32))

    return replace(
        rows,
        consumers=replace(rows.consumers, facets=unseen(rows.consumers.facets)),
        products=replace(rows.products, facets=unseen(rows.products.facets)),
        pairs=replace(rows.pairs, codes=unseen(rows.pairs.codes)),
    )


class _Events:
    """A snapshot's E interactions as arrays, with exact values."""

    def __init__(self, snapshot: Snapshot) -> None:
        frame = snapshot.interactions.frame
        self.snapshot, self.row = snapshot, frame["row"].to_numpy(np.int64)
        listed = snapshot.catalog.products["product_id"]
        self.ids = {
            "consumer_id": pd.Index(frame["consumer_id"].unique()),
            "product_id": pd.Index(pd.concat([listed, frame["product_id"]]).unique()),
        }
        self.codes = {key: ids.get_indexer(pd.Index(frame[key])).astype(np.int64) for key, ids in self.ids.items()}
        rating = frame["rating"].to_numpy(np.float64)
        self.known = (~np.isnan(rating)).astype(np.float64)
        self.rating = rounded(np.nan_to_num(rating), RATING_BITS)
        self.liked = (rating >= snapshot.scale.like_from).astype(np.float64)

    @cached_property
    def rater_mean(self) -> Numbers:
        """(E,) the mean of all ratings of the event's consumer, 0 where the event has no rating."""
        consumer = self.codes["consumer_id"]
        total, count = (np.bincount(consumer, values) for values in (self.rating, self.known))
        return rounded((total / np.maximum(count, 1))[consumer], MEAN_BITS) * self.known

    def arcs(self, key: str, rows: pd.DataFrame, seed: int, share: float) -> Arcs:
        """The events of its consumer or product that each row sees."""
        codes, ids = self.codes[key], self.ids[key]
        own = pd.Index(self.row).get_indexer(rows["row"])
        rings = Rings(codes, len(ids), self.row, seed)
        return rings.arcs(ids.get_indexer(rows[key]), own, rows["row"].to_numpy(np.int64), share)

    def consumer_rows(self, arcs: Arcs) -> ViewRows:
        """One row of `CONSUMER_FEATURES` for each arc; absent where nothing is seen."""
        history = arcs.first_events(HISTORY_LENGTH)
        seen = history >= 0
        offsets = np.concatenate([[0], np.cumsum(seen.sum(1))]).astype(np.int32)
        products = pa.array(self.ids["product_id"].to_numpy(object), pa.string())
        columns = self._numeric(arcs) | {
            "days_active": pa.nulls(len(history), pa.float32()),
            "attributes": self._attributes(arcs, "consumer_id", self.snapshot.catalog.consumers),
            "history_ids": pa.ListArray.from_arrays(
                offsets, products.take(pa.array(self.codes["product_id"][history[seen]]))
            ),
            "history_ratings": pa.ListArray.from_arrays(offsets, self._stars(history[seen])),
        }
        index = np.where(arcs.length > 0, np.arange(len(history)), -1).astype(np.int32)
        return ViewRows(pa.table(columns, schema=CONSUMER_FEATURES.columns), index)

    def product_rows(self, arcs: Arcs) -> ViewRows:
        """One row of `PRODUCT_FEATURES` for each arc; absent where the product is unknown."""
        columns = self._numeric(arcs) | {
            "mean_consumer_rating": _floats(_mean(arcs.sums(self.rater_mean), arcs.sums(self.known))),
            "attributes": self._attributes(arcs, "product_id", self.snapshot.catalog.attributes),
        }
        index = np.where(arcs.entity >= 0, np.arange(len(arcs.entity)), -1).astype(np.int32)
        return ViewRows(pa.table(columns, schema=PRODUCT_FEATURES.columns), index)

    def _attributes(self, arcs: Arcs, key: str, told: pd.DataFrame) -> pa.Array:
        """(N,) what is told of each arc's entity."""
        lists, _ = attribute_lists(told, pd.Series(self.ids[key]))
        return pa.array(lists, pa.list_(pa.string())).take(pa.array(np.maximum(arcs.entity, 0)))

    def _numeric(self, arcs: Arcs) -> dict[str, pa.Array]:
        """What consumers and products have in common."""
        n, count = len(arcs.length), arcs.sums(self.known)
        mean, squares = _mean(arcs.sums(self.rating), count), _mean(arcs.sums(self.rating**2), count)
        several = np.where(count > 1, count, np.nan)
        variance = np.maximum(squares - mean**2, 0.0) * several / (several - 1.0)
        time = pa.scalar(self.snapshot.as_of, pa.timestamp("us", tz="UTC"))
        return {
            EVENT_TIMESTAMP: pa.repeat(time, n),
            VERSION: pa.repeat(pa.scalar("", pa.string()), n),
            "n_interactions": pa.array(arcs.length),
            "mean_rating": _floats(mean),
            "sd_rating": _floats(np.sqrt(variance)),
            "liked_share": _floats(_mean(arcs.sums(self.liked), count)),
        }

    def _stars(self, events: Places) -> pa.Array:
        return _floats(np.where(self.known[events] > 0, self.rating[events], np.nan))


def _mean(total: Numbers, count: Numbers) -> Numbers:
    return np.asarray(total / np.where(count > 0, count, np.nan))


def _floats(values: Numbers) -> pa.Array:
    return pa.array(values.astype(np.float32))
