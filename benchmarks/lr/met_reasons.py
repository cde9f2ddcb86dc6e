"""Reasons as experts on the next product: how many facets of a consumer and of a product come how near.

The ranker's blend adds experts up, so what LR-Recsys' network counts of a pair (`models/backbones/closeness.py`) is
counted of every consumer with every product, a table by stance and by how near.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks.lr.codes import text_tables
from benchmarks.lr.splits import BenchSplit
from features.batch import CODE_WIDTH, N_FACETS
from features.settings import HostSettings
from features.types import STANCES
from models.backbones.closeness import CENTRES, N_KERNELS, closeness
from models.backbones.experts import Expert
from models.backbones.histories import Histories, Scores

NEAR = (1.0, 0.75)
"""Centres that are counted: the same reason, and one like it."""
HISTORY = "product_text"
"""The set in which nobody reasoned: consumers have the texts of what they liked last, and of what they did not."""


class MetReasons(Expert):
    """What is counted of each pair (U, P); nothing is learned from events."""

    def __init__(self, counted: Scores) -> None:
        self.counted = counted

    def fit(self, histories: Histories) -> None:
        """Nothing to learn."""

    def score(self, histories: Histories) -> Scores:
        return self.counted[histories.who]


@dataclass(frozen=True, eq=False)
class _Side:
    """Facets of N entities in the order of their numbers; weight 0 where there is none."""

    codes: NDArray[np.float32]  # (N, 2, M, W)
    weights: NDArray[np.float32]  # (N, 2, M)

    @classmethod
    def read(cls, table: pd.DataFrame, key: str, ids: Sequence[str]) -> _Side:
        """Rows of a table of facets, by id; of products that no split has, nothing is kept."""
        side = cls.nothing(len(ids))
        place = {entity: n for n, entity in enumerate(ids)}
        wanted = table[table[key].isin(place)]
        for entity, codes, weights in wanted[[key, "codes", "weights"]].itertuples(index=False):
            side.codes[place[entity]] = np.reshape(codes, side.codes.shape[1:])
            side.weights[place[entity]] = np.reshape(weights, side.weights.shape[1:])
        return side

    @classmethod
    def nothing(cls, n: int) -> _Side:
        shape = (n, len(STANCES), N_FACETS)
        return cls(np.zeros((*shape, CODE_WIDTH), np.float32), np.zeros(shape, np.float32))


def met_reasons(
    split: BenchSplit, texts: str, settings: HostSettings, consumers: Sequence[str], products: Sequence[str]
) -> dict[str, MetReasons]:
    """The experts of a set of texts, by name; every set gives as many.

    Args:
        split: its texts rest on training events alone, so its later events may be ranked by them.
        texts: one of `benchmarks.lr.texts.TEXT_SETS`.
        settings: the home that holds the texts.
        consumers: ids in the order of their numbers. Whoever has no validation event has no facets: the blend would
            learn from an event that these rest on.
        products: ids in the order of their numbers.

    Raises:
        InputError: the set's texts are not there.
    """
    tables = text_tables(split, texts, settings)
    what = _Side.read(tables.product_facets, "product_id", products)
    who = _Side.read(tables.consumer_facets, "consumer_id", consumers)
    if texts == HISTORY:
        who = _of_history(split, consumers, dict(zip(products, what.codes[:, 0, 0], strict=True)))
    who.weights[~np.isin(np.asarray(consumers, object), split.valid["consumer_id"].unique())] = 0
    counted = _counted(who, what)
    names = [(side, centre) for side in range(len(STANCES)) for centre in NEAR]
    return {
        f"met_{STANCES[side].value}_{centre:g}": MetReasons(counted[side * N_KERNELS + CENTRES.index(centre)])
        for side, centre in names
    }


def _of_history(split: BenchSplit, consumers: Sequence[str], code: dict[str, NDArray[np.float32]]) -> _Side:
    """The texts of the products that each consumer liked last, and of those they did not, latest first."""
    side, events = _Side.nothing(len(consumers)), split.train.interactions.frame.sort_values("timestamp", kind="stable")
    liked = events["rating"] >= split.train.scale.like_from
    place = {consumer: n for n, consumer in enumerate(consumers)}
    for stance, kept in enumerate((events[liked], events[~liked])):
        for consumer, products in kept.groupby("consumer_id")["product_id"]:
            latest = products.iloc[: -N_FACETS - 1 : -1]
            side.codes[place[str(consumer)], stance, : len(latest)] = [code[product] for product in latest]
            side.weights[place[str(consumer)], stance, : len(latest)] = 1
    return side


@torch.inference_mode()
def _counted(who: _Side, what: _Side) -> NDArray[np.float32]:
    """(2 K, U, P): `closeness` of every consumer with every product."""
    product_codes, product_weights = torch.from_numpy(what.codes), torch.from_numpy(what.weights)
    rows = [
        closeness(torch.from_numpy(codes)[None], torch.from_numpy(weights)[None], product_codes, product_weights)
        for codes, weights in zip(who.codes, who.weights, strict=True)
    ]
    return torch.stack(rows).flatten(2).permute(2, 0, 1).contiguous().numpy()
