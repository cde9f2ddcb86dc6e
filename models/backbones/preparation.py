"""Feature batches to tensors: vocabularies, standardised numbers, and tables that hold repeated rows once.

What is absent stays visible as a mask bit or as row 0; it is never a plain zero.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from features.batch import (
    CODE_WIDTH,
    CONTENT_WIDTH,
    N_FACETS,
    ConsumerBlock,
    FeatureBatch,
    Indexed,
    PairBlock,
    ProductBlock,
    TrainingSet,
)
from features.errors import ReleaseError
from features.types import RatingScale
from features.vocabulary import UNKNOWN, Vocabulary
from models.backbones.closeness import closeness
from models.backbones.factorization import Belief
from models.backbones.inputs import RATING_BUCKETS, Inputs, nothing_told

MAX_ATTRIBUTES = 24
"""Attributes of a product that are features; later ones are left out."""
N_TIME = 6
N_BELIEF = 3
CHUNK = 4096
"""Rows whose facets are compared at once."""
_LEAST = 0.005
"""Nearest that a prediction starts to either end of its scale, since the logit of the end has none."""
_LOG_COLUMNS = (0, 4)
_VOCABULARIES = ("consumers", "products", "attributes")


@dataclass(frozen=True, eq=False)
class Preparation:
    """What is learned from the training features before any gradient: vocabularies, means and deviations."""

    scale: RatingScale
    consumers: Vocabulary
    products: Vocabulary
    attributes: Vocabulary
    consumer_mean: list[float]
    consumer_deviation: list[float]
    product_mean: list[float]
    product_deviation: list[float]
    liked_from: float
    """Stars halfway between what is liked and what is not."""

    @classmethod
    def learn(cls, train: TrainingSet, scale: RatingScale) -> Preparation:
        """Vocabularies and statistics of the training rows."""
        batch = train.batch
        consumer_mean, consumer_deviation = _moments(_compressed(batch.consumers.numeric))
        product_mean, product_deviation = _moments(_compressed(batch.products.numeric))
        products = {*batch.products.product_ids, *batch.consumers.history_ids.ravel()} - {""}
        return cls(
            scale,
            Vocabulary.build(batch.consumers.consumer_ids),
            Vocabulary.build(products),
            Vocabulary.build(value for values in set(batch.products.attributes) for value in values),
            consumer_mean,
            consumer_deviation,
            product_mean,
            product_deviation,
            float(scale.like_from + max(train.rating[train.liked == 0], default=scale.like_from)) / 2,
        )

    def inputs(self, batch: FeatureBatch, belief: Belief) -> Inputs:
        """The batch, and what ratings alone say of its rows, as tensors on the CPU."""
        who, what = self.consumer_inputs(batch.consumers), self.product_inputs(batch.products)
        return Inputs(
            **who,
            **what,
            **pair_inputs(batch.pairs),
            closeness=closeness_inputs(who, what),
            belief=self.belief_inputs(belief),
            time=time_inputs(batch.as_of),
            told=nothing_told(len(batch)),
            compact=True,
        )

    def consumer_inputs(self, who: ConsumerBlock) -> dict[str, Tensor]:
        """The fields of `Inputs` that are about N consumers."""
        facets = _facets(who.facet_codes, who.facet_weights)
        return {
            "consumer": numbers_of(self.consumers, who.consumer_ids),
            "consumer_numeric": _standardised(who.numeric, self.consumer_mean, self.consumer_deviation),
            "history": numbers_of(self.products, who.history_ids),
            "history_rating": self._buckets(who.history_ratings),
            "history_mask": torch.from_numpy(np.asarray(who.history_ids != "", bool)),
            "consumer_codes": facets.codes,
            "consumer_codes_row": facets.code_row,
            "consumer_weights": facets.weights,
            "consumer_weights_row": facets.weight_row,
        }

    def product_inputs(self, what: ProductBlock) -> dict[str, Tensor]:
        """The fields of `Inputs` that are about N products."""
        attributes, attribute_row = self._attributes(what.attributes)
        content, content_row = _table(what.content, (CONTENT_WIDTH,))
        facets = _facets(what.facet_codes, what.facet_weights)
        return {
            "product": numbers_of(self.products, what.product_ids),
            "product_numeric": _standardised(what.numeric, self.product_mean, self.product_deviation),
            "attributes": attributes,
            "attribute_row": attribute_row,
            "content": torch.nan_to_num(content),
            "content_row": content_row,
            "product_codes": facets.codes,
            "product_codes_row": facets.code_row,
            "product_weights": facets.weights,
            "product_weights_row": facets.weight_row,
        }

    def belief_inputs(self, belief: Belief) -> Tensor:
        """Where a prediction starts: (N, 3) logits of stars (0..1) and of liking, and the deviation in stars."""
        width = self.scale.high - self.scale.low
        rating = ((belief.mean - self.scale.low) / width).clamp(_LEAST, 1 - _LEAST)
        liking = belief.at_least(torch.tensor(self.liked_from)).clamp(_LEAST, 1 - _LEAST)
        return torch.stack([rating.logit(), liking.logit(), belief.deviation], dim=1)

    def _buckets(self, ratings: NDArray[np.float32]) -> Tensor:
        share = np.clip(np.nan_to_num(unit_rating(ratings, self.scale), nan=0.5), 0, 1)
        return torch.from_numpy(np.rint(share * (RATING_BUCKETS - 1)).astype(np.int64))

    def _attributes(self, attributes: NDArray[np.object_]) -> tuple[Tensor, Tensor]:
        """Table of distinct attribute tuples as numbers, and which of its rows each product has."""
        rows: dict[tuple[str, ...], int] = {(): 0}
        index = [rows.setdefault(values, len(rows)) for values in attributes]
        table = np.zeros((len(rows), min(MAX_ATTRIBUTES, max(map(len, rows), default=0) or 1)), np.int64)
        for values, row in rows.items():
            numbers = self.attributes.encode(np.array(values, object))
            known = numbers[numbers != UNKNOWN][:MAX_ATTRIBUTES]
            table[row, : len(known)] = known
        return torch.from_numpy(table), torch.tensor(index, dtype=torch.int64)

    def save(self, folder: Path) -> None:
        """Writes vocabularies.json."""
        content: dict[str, Any] = {item.name: getattr(self, item.name) for item in fields(self)}
        del content["scale"]
        for name in _VOCABULARIES:
            content[name] = content[name].ids
        (folder / "vocabularies.json").write_text(json.dumps(content, ensure_ascii=False))

    @classmethod
    def load(cls, folder: Path, scale: RatingScale) -> Preparation:
        """Reads what `save` wrote. Raises ReleaseError if it is missing or damaged."""
        try:
            content = json.loads((folder / "vocabularies.json").read_text())
            for name in _VOCABULARIES:
                content[name] = Vocabulary(tuple(content[name]))
            return cls(scale=scale, **content)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ReleaseError(
                f"The vocabularies in {folder} cannot be read: {error}.", remedy="Train and save the model again."
            ) from error


def pair_inputs(pairs: PairBlock) -> dict[str, Tensor]:
    """The fields of `Inputs` that are about N pairs."""
    codes, row = _table(pairs.codes, (2, CODE_WIDTH), absent=np.nan)
    return {"pair_codes": codes, "pair_row": row}


def closeness_inputs(who: Mapping[str, Tensor], what: Mapping[str, Tensor]) -> Tensor:
    """(N, 2, K) of N pairs, from both sides' fields; in parts, since every row needs the cosines of its facets.

    One consumer is there once for all products.
    """

    def taken(side: Mapping[str, Tensor], table: str, rows: Tensor) -> Tensor:
        row = side[f"{table}_row"]
        return side[table].index_select(0, row if len(row) == 1 else row[rows])

    tables = [(who, "consumer_codes"), (who, "consumer_weights"), (what, "product_codes"), (what, "product_weights")]
    chunks = torch.split(torch.arange(len(what["product"])), CHUNK)
    return torch.cat([closeness(*(taken(side, table, rows) for side, table in tables)) for rows in chunks])


def unit_rating(rating: NDArray[np.float32], scale: RatingScale) -> NDArray[np.float32]:
    """Stars to 0..1."""
    return np.asarray((rating - scale.low) / (scale.high - scale.low), np.float32)


def numbers_of(vocabulary: Vocabulary, ids: NDArray[np.object_]) -> Tensor:
    """Numbers of ids, of any shape, as int64."""
    return torch.from_numpy(vocabulary.encode(ids).astype(np.int64))


def _compressed(numeric: NDArray[np.float32]) -> NDArray[np.float32]:
    """Counts and days on a log scale, since they have long tails; column 4 of products is a mean and survives it."""
    values = numeric.astype(np.float32, copy=True)
    for column in _LOG_COLUMNS:
        values[:, column] = np.log1p(np.maximum(values[:, column], 0))
    return values


def _moments(values: NDArray[np.float32]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each column over its known values; 0 and 1 where there are none."""
    known = ~np.isnan(values)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, values, 0).sum(0) / count
    deviation = np.sqrt(np.where(known, (values - mean) ** 2, 0).sum(0) / count)
    return mean.astype(float).tolist(), np.where(deviation < 1e-6, 1, deviation).astype(float).tolist()


def _standardised(numeric: NDArray[np.float32], mean: list[float], deviation: list[float]) -> Tensor:
    values = (_compressed(numeric) - np.array(mean, np.float32)) / np.array(deviation, np.float32)
    present = ~np.isnan(values)
    # Far outliers are cut: one corrupt count must not move a score without bound.
    known = np.clip(np.where(present, values, 0), -6, 6)
    return torch.from_numpy(np.concatenate([known, present], axis=1).astype(np.float32))


def _table(indexed: Indexed, shape: tuple[int, ...], absent: float = 0.0) -> tuple[Tensor, Tensor]:
    """The used rows of an indexed block behind a row 0 for "absent", and each row's place among them."""
    used, place = np.unique(indexed.index, return_inverse=True)
    first = np.full((1, *shape), absent, np.float32)
    present = used[used >= 0]
    table = np.concatenate([first, np.asarray(indexed.table[present], np.float32).reshape(-1, *shape)])
    shift = 1 - (len(used) - len(present))
    return torch.from_numpy(table), torch.from_numpy(place.astype(np.int64) + shift)


class _Facets(NamedTuple):
    """The facets of one side: tables, and which row of them each of the N rows has."""

    codes: Tensor  # (T, 2, M, W)
    code_row: Tensor  # (N,)
    weights: Tensor  # (T, 2, M)
    weight_row: Tensor  # (N,)


def _facets(codes: Indexed, weights: Indexed) -> _Facets:
    """Tables with as many slots as any entity fills: facets fill them from the front."""
    code_table, code_row = _table(codes, (2, N_FACETS, CODE_WIDTH))
    weight_table, weight_row = _table(weights, (2, N_FACETS))
    code_table, weight_table = code_table.nan_to_num(), weight_table.nan_to_num()
    filled = (weight_table > 0).flatten(0, 1).any(0).nonzero()
    n_slots = int(filled.max()) + 1 if len(filled) else 1
    return _Facets(code_table[:, :, :n_slots], code_row, weight_table[:, :, :n_slots], weight_row)


def time_inputs(as_of: NDArray[np.datetime64]) -> Tensor:
    """Weekday, hour and month of UTC times as points on circles: (N, 6)."""
    hours = as_of.astype("datetime64[h]").astype(np.int64)
    months = as_of.astype("datetime64[M]").astype(np.int64)
    turns = np.stack([(hours // 24 % 7) / 7, (hours % 24) / 24, (months % 12) / 12], axis=1) * 2 * np.pi
    return torch.from_numpy(np.concatenate([np.sin(turns), np.cos(turns)], axis=1).astype(np.float32))
