"""The one path from feature rows to the arrays a model sees; training and serving both go through here.

Rows read offline and online have the same columns, so every function below serves both. What is absent stays
absent: index -1, NaN, an empty id.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from features.batch import (
    CODE_WIDTH,
    CONSUMER_NUMERIC,
    CONTENT_WIDTH,
    HISTORY_LENGTH,
    N_FACETS,
    PRODUCT_NUMERIC,
    ConsumerBlock,
    FeatureBatch,
    Floats,
    Ids,
    Indexed,
    PairBlock,
    ProductBlock,
    TrainingSet,
    tuples,
)
from features.errors import StoreError
from features.rows import ConsumerRows, JoinedRows, PairRows, ProductRows, ViewRows
from features.store import FeatureRows
from features.types import STANCES, RatingScale

_FACETS = (len(STANCES), N_FACETS)


def consumer_block(rows: ConsumerRows) -> ConsumerBlock:
    """Arrays of N consumers."""
    return ConsumerBlock(
        consumer_ids=rows.consumer_ids,
        numeric=_numeric(rows.features, CONSUMER_NUMERIC),
        attributes=_attributes(rows.features),
        history_ids=_history_ids(rows.features),
        history_ratings=_history_ratings(rows.features),
        facet_codes=_indexed(rows.facets, "codes", (*_FACETS, CODE_WIDTH)),
        facet_weights=_indexed(rows.facets, "weights", _FACETS),
    )


def product_block(rows: ProductRows) -> ProductBlock:
    """Arrays of N products."""
    return ProductBlock(
        product_ids=rows.product_ids,
        numeric=_numeric(rows.features, PRODUCT_NUMERIC),
        attributes=_attributes(rows.features),
        content=_indexed(rows.content, "vector", (CONTENT_WIDTH,)),
        facet_codes=_indexed(rows.facets, "codes", (*_FACETS, CODE_WIDTH)),
        facet_weights=_indexed(rows.facets, "weights", _FACETS),
    )


def pair_block(rows: PairRows) -> PairBlock:
    """Arrays of N pairs."""
    return PairBlock(codes=_indexed(rows.codes, "codes", (len(STANCES), CODE_WIDTH)))


def joined_batch(rows: JoinedRows) -> FeatureBatch:
    """The batch of N past rows."""
    return FeatureBatch(
        consumers=consumer_block(rows.consumers),
        products=product_block(rows.products),
        pairs=pair_block(rows.pairs),
        as_of=rows.as_of,
    )


def cross(consumer: ConsumerBlock, products: ProductBlock, pairs: PairBlock | None, as_of: datetime) -> FeatureBatch:
    """The batch of one consumer with each of N products; `pairs` is None where no pair texts are read."""
    n_products = len(products)
    if len(consumer) != 1 or (pairs is not None and len(pairs) != n_products):
        n_pairs = "no" if pairs is None else len(pairs)
        raise StoreError(
            f"A batch was asked for {len(consumer)} consumers, {n_products} products and {n_pairs} pairs.",
            "One consumer, N products and N pairs (or None) are expected.",
        )
    naive = as_of.astimezone(UTC).replace(tzinfo=None)
    return FeatureBatch(
        consumers=consumer.take(np.zeros(n_products, np.intp)),
        products=products,
        pairs=absent_pairs(n_products) if pairs is None else pairs,
        as_of=np.full(n_products, np.datetime64(naive, "us")),
    )


def absent_pairs(n_pairs: int) -> PairBlock:
    """Pairs without texts of their own."""
    table = np.zeros((0, len(STANCES), CODE_WIDTH), np.float32)
    return PairBlock(codes=Indexed(table, np.full(n_pairs, -1, np.int32)))


def training_set(store: FeatureRows, interactions: pd.DataFrame, scale: RatingScale) -> TrainingSet:
    """Past interactions with the features each had strictly before it happened, in the order given.

    Args:
        store: where the features are read.
        interactions: rows of `Interactions.frame`, all with a rating.
        scale: from which rating on a product counts as liked.
    """
    frame = interactions.reset_index(drop=True)
    entities = frame[["consumer_id", "product_id"]].assign(row_id=frame["row"], event_timestamp=frame["timestamp"])
    return labelled(store.historical(entities), frame, scale)


def labelled(rows: JoinedRows, interactions: pd.DataFrame, scale: RatingScale) -> TrainingSet:
    """Feature rows with the outcomes of their interactions: `row` and `rating`, in the same order."""
    rating = interactions["rating"].to_numpy(np.float32)
    return TrainingSet(
        batch=joined_batch(rows),
        rating=rating,
        liked=(rating >= scale.like_from).astype(np.float32),
        row=interactions["row"].to_numpy(np.int64),
    )


def _numeric(rows: ViewRows, names: tuple[str, ...]) -> Floats:
    """(N, len(names)); NaN where a row or a value is absent."""
    table = np.full((rows.table.num_rows + 1, len(names)), np.nan, np.float32)
    for column, name in enumerate(names):
        table[:-1, column] = rows.table[name].to_numpy()
    return table[rows.index]  # -1 takes the last row


def _history_ids(rows: ViewRows) -> Ids:
    """(N, L), latest first, "" where absent."""
    values, lengths = _lists(rows, "history_ids")
    encoded = values.dictionary_encode()  # so that each id is one Python object, however often it occurs
    names = np.append(encoded.dictionary.to_numpy(zero_copy_only=False).astype(object), "")
    codes = _padded(encoded.indices.to_numpy(zero_copy_only=False), lengths, len(names) - 1)
    return names[codes[rows.index]]


def _history_ratings(rows: ViewRows) -> Floats:
    """(N, L), latest first, NaN where absent."""
    values, lengths = _lists(rows, "history_ratings")
    return _padded(values.to_numpy(zero_copy_only=False), lengths, np.float32(np.nan))[rows.index]


def _attributes(rows: ViewRows) -> Ids:
    """(N,) tuples of "name=value"; empty where absent."""
    return tuples([*(texts or () for texts in rows.table["attributes"].to_pylist()), ()])[rows.index]


def _indexed(rows: ViewRows, name: str, shape: tuple[int, ...]) -> Indexed:
    """A list column as a table of arrays. Raises StoreError if its lists have another length."""
    values, lengths = _lists(rows, name)
    width = int(np.prod(shape))
    if (lengths != width).any():
        raise StoreError(
            f"The feature {name!r} has rows of {sorted(set(lengths.tolist()))} values.",
            f"This code reads {' x '.join(map(str, shape))} = {width} values.",
            "Run the stage that makes the feature again with this version.",
        )
    # A copy, since torch complains about memory it may not write to.
    return Indexed(np.array(values.to_numpy(zero_copy_only=False)).reshape(-1, *shape), rows.index)


def _lists(rows: ViewRows, name: str) -> tuple[pa.Array, np.ndarray[Any, np.dtype[np.int64]]]:
    """The values of a list column in one array, and how many each row of the table has."""
    column = rows.table[name].combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # a column without chunks
        return pa.array([], column.type.value_type), np.zeros(0, np.int64)
    lengths = np.diff(column.offsets.to_numpy()).astype(np.int64)
    if column.null_count:
        lengths[column.is_null().to_numpy(zero_copy_only=False)] = 0
    return column.flatten(), lengths


def _padded(values: Any, lengths: Any, absent: Any) -> Any:
    """(rows + 1, L): the first L values of each row, padded; the last row is all absent."""
    table = np.full((len(lengths) + 1, HISTORY_LENGTH), absent, values.dtype)
    row = np.repeat(np.arange(len(lengths)), lengths)
    column = np.arange(len(values)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    kept = column < HISTORY_LENGTH
    table[row[kept], column[kept]] = values[kept]
    return table
