"""A consumer's facets with other weights than were stored: what would be recommended if they mattered more, or less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from features.batch import N_FACETS, ConsumerBlock, Indexed
from features.errors import InputError
from features.types import STANCES, Facet


def reweighed(block: ConsumerBlock, facets: Sequence[Facet], weights: Mapping[str, float]) -> ConsumerBlock:
    """One consumer's features after some facets got other weights.

    Args:
        block: one row, as the store has it.
        facets: all of the consumer, in any order.
        weights: by facet id; 0 takes a facet away, as if it had never been known.

    Raises:
        InputError: an id that is none of the facets'.
    """
    slots = _slots(facets)
    if unknown := sorted(set(weights) - set(slots)):
        raise InputError(
            f"The consumer has no facet {unknown[0]!r}.", f"There are {len(slots)}: {', '.join(sorted(slots)) or '-'}."
        )
    if not weights or block.facet_weights.index[0] < 0:
        return block
    codes, changed = (it.table[it.index].copy() for it in (block.facet_codes, block.facet_weights))
    for facet_id, weight in weights.items():
        place = (0, *slots[facet_id])
        changed[place] = weight
        if weight == 0:
            codes[place] = 0.0
    first = np.zeros(1, np.int32)
    return replace(block, facet_codes=Indexed(codes, first), facet_weights=Indexed(changed, first))


def _slots(facets: Sequence[Facet]) -> dict[str, tuple[int, int]]:
    """Stance and place of the facets that are features, as `models/explanations/codes.py` puts them there."""
    found: dict[str, tuple[int, int]] = {}
    for side, stance in enumerate(STANCES):
        ranked = sorted((facet for facet in facets if facet.stance is stance), key=lambda facet: facet.rank)
        found |= {facet.facet_id: (side, place) for place, facet in enumerate(ranked[:N_FACETS])}
    return found
