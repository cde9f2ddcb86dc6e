"""Feature batches as histories: what a sequence model learns from training rows, and what it is asked by any rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from features.batch import CODE_WIDTH, CONTENT_WIDTH, N_FACETS, ConsumerBlock, TrainingSet
from features.types import STANCES, RatingScale
from features.vocabulary import UNKNOWN, Vocabulary
from models.backbones.attention import TextSets
from models.backbones.histories import Histories

FACET_SLOTS = (*(f"{stance} {rank}" for stance in STANCES for rank in range(1, N_FACETS + 1)), "no facet")
"""The texts of a consumer's set: facets by side and rank, and the mark of having none."""
KEY_WIDTH = CODE_WIDTH + len(STANCES) + 1
"""w: a code, and marks of its side or of there being none."""


@dataclass(frozen=True, eq=False)
class LikedEvents:
    """What the consumers of training rows liked, in order of time."""

    histories: Histories
    """Of all consumers of the vocabulary, by number - 1; products likewise."""
    rows: NDArray[np.intp]  # (E,) the training row of each event


def liked_events(train: TrainingSet, consumers: Vocabulary, products: Vocabulary) -> LikedEvents:
    """The liked rows as histories; rows of equal time keep their order."""
    liked = np.flatnonzero(train.liked > 0)
    consumer = consumers.encode(train.batch.consumers.consumer_ids[liked]).astype(np.int64) - 1
    product = products.encode(train.batch.products.product_ids[liked]).astype(np.int64) - 1
    time = train.batch.as_of[liked].astype("datetime64[us]").astype(np.float64) / 1e6
    order = np.lexsort((time, consumer))
    histories = Histories.of(
        consumer[order], product[order], time[order], len(consumers.ids), len(products.ids)
    )  # fmt: skip
    return LikedEvents(histories, liked[order])


def next_liked(
    rows: TrainingSet, events: LikedEvents, consumers: Vocabulary, products: Vocabulary
) -> NDArray[np.int64]:
    """(C,) the first product of later rows that each known consumer liked and had not liked before; -1 for none."""
    liked = np.flatnonzero(rows.liked > 0)
    consumer = consumers.encode(rows.batch.consumers.consumer_ids[liked]).astype(np.int64) - 1
    product = products.encode(rows.batch.products.product_ids[liked]).astype(np.int64) - 1
    had = events.histories.consumer * len(products.ids) + events.histories.product
    new = ~np.isin(consumer * len(products.ids) + product, had)
    known = np.flatnonzero((consumer >= 0) & (product >= 0) & new)
    target = np.full(len(events.histories), -1, np.int64)
    whose, first = np.unique(consumer[known], return_index=True)
    target[whose] = product[known][first]
    return target


def liked_histories(who: ConsumerBlock, products: Vocabulary, scale: RatingScale) -> Tensor:
    """(N, L) numbers of known products that were liked, latest at the right, 0 where there is none."""
    numbers = products.encode(who.history_ids).astype(np.int64)  # latest first
    kept = (numbers != UNKNOWN) & (np.nan_to_num(who.history_ratings, nan=-np.inf) >= scale.like_from)
    order = np.argsort(~kept, axis=1, kind="stable")
    packed = np.take_along_axis(np.where(kept, numbers, 0), order, axis=1)
    return torch.from_numpy(packed[:, ::-1].copy())


def facet_sets(who: ConsumerBlock) -> tuple[TextSets, Tensor]:
    """The facets of N consumers as sets of `FACET_SLOTS` keys of `KEY_WIDTH`, and the set (N,) that each has.

    Set 0 has no facet.
    """
    index = np.stack([who.facet_codes.index, who.facet_weights.index], axis=1)
    used, place = np.unique(np.vstack([[[-1, -1]], index]), axis=0, return_inverse=True)
    shape = (-1, len(STANCES), N_FACETS)
    codes = _with_absent(who.facet_codes.table.reshape(*shape, CODE_WIDTH))[used[:, 0]]
    weights = np.nan_to_num(_with_absent(who.facet_weights.table.reshape(shape))[used[:, 1]])
    there = (weights > 0) & (used[:, :1, None] >= 0)
    keys = np.zeros((len(used), len(FACET_SLOTS), KEY_WIDTH), np.float32)
    keys[:, :-1, :CODE_WIDTH] = np.nan_to_num(codes * there[..., None]).reshape(len(used), -1, CODE_WIDTH)
    keys[:, :-1, CODE_WIDTH:-1] = np.repeat(np.eye(len(STANCES), dtype=np.float32), N_FACETS, axis=0)
    keys[:, -1, -1] = 1
    log_weights = np.full(keys.shape[:2], -np.inf, np.float32)
    np.log(weights, out=log_weights[:, :-1].reshape(weights.shape), where=there)
    log_weights[~there.any((1, 2)), -1] = 0
    return TextSets(torch.from_numpy(keys), torch.from_numpy(log_weights)), torch.from_numpy(place.ravel()[1:])


def contents(train: TrainingSet, products: Vocabulary) -> Tensor:
    """(P, 384) text vectors of the vocabulary's products; zero where none is known."""
    table, content = np.zeros((len(products), CONTENT_WIDTH), np.float32), train.batch.products.content
    known = np.flatnonzero(content.index >= 0)
    numbers = products.encode(train.batch.products.product_ids[known])
    table[numbers] = np.nan_to_num(content.table[content.index[known]])
    return torch.from_numpy(table[1:])


def _with_absent(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """The table with a last row of zeros, which index -1 takes."""
    return np.concatenate([table, np.zeros((1, *table.shape[1:]), np.float32)])
