"""Rows found in tables at hand are the feature store's, to the byte."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass

import numpy as np
import pandas as pd
import pytest

from features.as_of import TextTables, point_in_time
from features.assemble import joined_batch
from features.rows import CONSUMER_FACETS, PAIR_CODES, PRODUCT_CONTENT, PRODUCT_FACETS
from features.store import FeatureRows


def same(one: object, other: object) -> bool:
    """Whether two nests of arrays mean the same; repeated rows may be stored in another order."""
    if is_dataclass(one) and not isinstance(one, type):
        names = [item.name for item in fields(one)]
        if names == ["table", "index"]:
            return same(*(np.where(x.index < 0, np.nan, 1)[:, None] * _flat(x) for x in (one, other)))
        return all(same(getattr(one, name), getattr(other, name)) for name in names)
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def _flat(stored) -> np.ndarray:
    rows = stored.table.reshape(len(stored.table), int(np.prod(stored.table.shape[1:])))
    return np.concatenate([rows, np.zeros((1, rows.shape[1]))])[stored.index]


@pytest.mark.slow
def test_point_in_time_rows_are_those_of_the_feature_store(make_world: Callable) -> None:
    world = make_world()
    store = FeatureRows(world.settings)
    store.apply()
    frame = world.snapshot.interactions.frame
    last = frame.head(2).assign(timestamp=pd.Timestamp(world.snapshot.as_of))
    rows = pd.concat([frame, last.assign(consumer_id="new"), last.assign(consumer_id="c0", product_id="p2")])
    views = (CONSUMER_FACETS, PRODUCT_FACETS, PRODUCT_CONTENT, PAIR_CODES)
    texts = TextTables(*(world.lake.read(view.table) for view in views))
    asked = rows[["consumer_id", "product_id"]].assign(row_id=rows["row"], event_timestamp=rows["timestamp"])
    stored = joined_batch(store.historical(asked.reset_index(drop=True)))
    found = joined_batch(point_in_time(world.snapshot, rows, texts))
    assert same(stored, found)
    assert (found.consumers.facet_codes.index >= 0).any()  # the comparison has something to compare
    assert (found.pairs.codes.index >= 0).any()
