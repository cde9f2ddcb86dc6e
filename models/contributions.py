"""What each part of the input contributes to a score: the score, less the score with that part missing.

A method that is a sum says so itself (`Recommender.additive`): its parts are exact, and add up. For the others, missing
is what training made a normal case of: an unknown id, an absent number, an empty history, no facet. The contributions
of one pair then do not add up to its score, since parts overlap and work together; attention weights, which do add up,
say what the network looked at and not what it made of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.batch import FeatureBatch, Ids, PairBlock, tuples
from features.types import STANCES
from models.base import Recommender
from models.metrics.deletion import filled_slots, without


@dataclass(frozen=True, eq=False)
class Added:
    """What one part adds to the scores of N pairs."""

    click: NDArray[np.float32]
    """(N,) the probability of liking, less that without the part; stars where a method gives no probability."""
    log_odds: NDArray[np.float32] | None = None
    """(N,) the part's exact share of the log odds, where the method is a sum."""


def contributions(recommender: Recommender, batch: FeatureBatch) -> dict[str, Added]:
    """What each part adds, by name: a sum's own parts, else the parts of the input."""
    parts = recommender.additive(batch)
    if parts is None:
        return {name: Added(values) for name, values in _left_out(recommender, batch).items()}
    whole = np.sum(list(parts.values()), axis=0)
    return {name: Added(_chance(whole) - _chance(whole - part), part) for name, part in parts.items()}


def _chance(odds: NDArray[np.float32]) -> NDArray[np.float32]:
    return (1 / (1 + np.exp(-odds.astype(np.float64)))).astype(np.float32)


def _left_out(recommender: Recommender, batch: FeatureBatch) -> dict[str, NDArray[np.float32]]:
    """Scores less the scores with a part missing; all variants are scored in one batch."""
    n = len(batch)
    tiled = batch.take(np.tile(np.arange(n), len(PARTS) + 1))
    for number, remove in enumerate(PARTS.values(), start=1):
        rows = np.zeros(len(tiled), bool)
        rows[number * n : (number + 1) * n] = True
        tiled = remove(tiled, rows)
    scores = recommender.score(tiled)
    key = scores.rating if np.isnan(scores.click).all() else scores.click
    whole, *lacking = key.reshape(len(PARTS) + 1, n)
    return {name: whole - rest for name, rest in zip(PARTS, lacking, strict=True)}


def _consumer(batch: FeatureBatch, rows: NDArray[np.bool_]) -> FeatureBatch:
    who = batch.consumers
    numeric = np.where(rows[:, None], np.nan, who.numeric).astype(np.float32)
    ids, attributes = np.where(rows, "", who.consumer_ids), _none_of(who.attributes, rows)
    return replace(batch, consumers=replace(who, consumer_ids=ids, numeric=numeric, attributes=attributes))


def _history(batch: FeatureBatch, rows: NDArray[np.bool_]) -> FeatureBatch:
    who = batch.consumers
    ids = np.where(rows[:, None], "", who.history_ids)
    ratings = np.where(rows[:, None], np.nan, who.history_ratings).astype(np.float32)
    return replace(batch, consumers=replace(who, history_ids=ids, history_ratings=ratings))


def _product(batch: FeatureBatch, rows: NDArray[np.bool_]) -> FeatureBatch:
    what = batch.products
    numeric = np.where(rows[:, None], np.nan, what.numeric).astype(np.float32)
    return replace(batch, products=replace(what, product_ids=np.where(rows, "", what.product_ids), numeric=numeric))


def _attributes(batch: FeatureBatch, rows: NDArray[np.bool_]) -> FeatureBatch:
    return replace(batch, products=replace(batch.products, attributes=_none_of(batch.products.attributes, rows)))


def _none_of(attributes: Ids, rows: NDArray[np.bool_]) -> Ids:
    return tuples([() if gone else held for held, gone in zip(attributes, rows, strict=True)])


def _content(batch: FeatureBatch, rows: NDArray[np.bool_]) -> FeatureBatch:
    content = batch.products.content
    index = np.where(rows, -1, content.index).astype(np.int32)
    return replace(batch, products=replace(batch.products, content=replace(content, index=index)))


def _reasons(stance: int) -> Callable[[FeatureBatch, NDArray[np.bool_]], FeatureBatch]:
    def remove(batch: FeatureBatch, rows: NDArray[np.bool_]) -> FeatureBatch:
        deleted = filled_slots(batch) & rows[:, None, None, None]
        deleted[:, :, [n for n in range(len(STANCES)) if n != stance]] = False
        return replace(without(batch, deleted), pairs=_without_code(batch.pairs, rows, stance))

    return remove


def _without_code(pairs: PairBlock, rows: NDArray[np.bool_], stance: int) -> PairBlock:
    """The pairs' own codes, with those of one side absent in some rows."""
    codes = pairs.codes
    lacking = codes.table.copy()
    lacking[:, stance] = np.nan
    index = np.where(rows & (codes.index >= 0), codes.index + len(codes.table), codes.index).astype(np.int32)
    return PairBlock(replace(codes, table=np.concatenate([codes.table, lacking]), index=index))


PARTS: dict[str, Callable[[FeatureBatch, NDArray[np.bool_]], FeatureBatch]] = {
    "consumer": _consumer,
    "history": _history,
    "product": _product,
    "attributes": _attributes,
    "content": _content,
    "reasons_for": _reasons(0),
    "reasons_against": _reasons(1),
}
"""Parts of the input, with what takes each away from some rows of a batch: the consumer's id and numbers, their last
products, the product's id and numbers, its attributes, its text, and the codes of either side's reasons."""
