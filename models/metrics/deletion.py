"""Deletion faithfulness: does the model's score move as a text says, when what the text cites is taken away?

A facet is taken away by emptying its slot in the features that the model sees; everything else stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.batch import N_FACETS, FeatureBatch, Indexed
from features.types import STANCES, EntityKind, Explanation, Stance
from models.base import Recommender

Slots = NDArray[np.bool_]
"""(N, 2, 2, M): of each pair, by side (consumer, product), stance and place, whether a facet is meant."""


def facet_slots(facets: pd.DataFrame) -> dict[str, tuple[int, int, int]]:
    """The slot (side, stance, place) in which each fact's facet is seen by the model, by fact id."""
    ordered = facets.sort_values(["entity_kind", "entity_id", "stance", "rank"], kind="stable")
    place = ordered.groupby(["entity_kind", "entity_id", "stance"]).cumcount()
    kinds, stances = [kind.value for kind in EntityKind], [stance.value for stance in STANCES]
    rows = zip(ordered["fact_ids"], ordered["entity_kind"], ordered["stance"], place, strict=True)
    return {
        str(ids[0]): (kinds.index(str(kind)), stances.index(str(stance)), int(n))
        for ids, kind, stance, n in rows
        if n < N_FACETS
    }


def filled_slots(batch: FeatureBatch) -> Slots:
    """Which slots hold a facet."""
    sides = (batch.consumers.facet_weights, batch.products.facet_weights)
    return np.stack([_rows(weights) > 0 for weights in sides], axis=1)


def cited_slots(texts: Sequence[Explanation], slots: Mapping[str, tuple[int, int, int]]) -> Slots:
    """Which slots each text cites."""
    cited = np.zeros((len(texts), 2, len(STANCES), N_FACETS), bool)
    for n, text in enumerate(texts):
        for fact_id in text.fact_ids:
            if fact_id in slots:
                cited[(n, *slots[fact_id])] = True
    return cited


def without(batch: FeatureBatch, deleted: Slots) -> FeatureBatch:
    """The batch with some facets taken away."""
    consumers, products = batch.consumers, batch.products
    return replace(
        batch,
        consumers=replace(
            consumers,
            facet_codes=_emptied(consumers.facet_codes, deleted[:, 0]),
            facet_weights=_emptied(consumers.facet_weights, deleted[:, 0]),
        ),
        products=replace(
            products,
            facet_codes=_emptied(products.facet_codes, deleted[:, 1]),
            facet_weights=_emptied(products.facet_weights, deleted[:, 1]),
        ),
    )


def _emptied(indexed: Indexed, deleted: NDArray[np.bool_]) -> Indexed:
    """Every row with its deleted slots at zero, which is how an absent facet is stored."""
    table = _rows(indexed)
    table[deleted] = 0.0
    return Indexed(table, np.where(indexed.index >= 0, np.arange(len(table)), -1).astype(np.int32))


def _rows(indexed: Indexed) -> NDArray[np.float32]:
    """Every row's values, written out; zeros where absent."""
    table = np.concatenate([indexed.table, np.zeros((1, *indexed.table.shape[1:]), np.float32)])
    return table[indexed.index]


@dataclass(frozen=True, eq=False)
class Moves:
    """How the score moves when facets are taken away; all (N,), NaN where there was none to take."""

    cited: NDArray[np.float64]
    """1 where taking the cited facets away moves the rating against the text's stance, as it should, else 0."""
    uncited: NDArray[np.float64]
    """The same for other facets of the same stance, which the text does not cite."""


def moves(recommender: Recommender, batch: FeatureBatch, texts: Sequence[Explanation], facets: pd.DataFrame) -> Moves:
    """Scores each pair with all its facets, without those its text cites, and without others of that stance.

    Args:
        recommender: the trained model.
        batch: the N pairs, as the model sees them; pairs with a code of their own are seen through that instead.
        texts: one text per pair.
        facets: the facets as stored, in whose order the slots are filled.
    """
    filled, cited = filled_slots(batch), cited_slots(texts, facet_slots(facets))
    stance = np.array([STANCES.index(text.stance) for text in texts])
    same = np.zeros_like(filled)
    same[np.arange(len(texts)), :, stance] = True
    composed = (batch.pairs.codes.index < 0)[:, None, None, None]
    sign = np.array([1.0 if text.stance is Stance.FOR else -1.0 for text in texts])
    full = recommender.score(batch).rating.astype(np.float64)
    found = []
    for chosen in (filled & cited & same & composed, filled & ~cited & same & composed):
        change = full - recommender.score(without(batch, chosen)).rating
        found.append(np.where(chosen.any((1, 2, 3)), (change * sign > 0).astype(float), np.nan))
    return Moves(*found)
