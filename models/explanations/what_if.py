"""A consumer's facets other than they were stored: what would be recommended if one mattered less, or said more?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from features.batch import CODE_WIDTH, N_FACETS, ConsumerBlock, Indexed
from features.errors import InputError
from features.types import STANCES, EntityKind, Facet, Stance
from features.wording import CATALOG_TIME
from models.explanations.codes import Coded

OWN_WORDS = "own words"
"""Who worded a facet that a request gives."""
MAX_WORDS = 200
"""Characters of a facet in own words: fewer than the encoder reads."""
UNBOUGHT = ""
"""Request of a text that no language model was asked for."""

Words = Annotated[str, StringConstraints(min_length=1, max_length=MAX_WORDS, pattern=r"\S")]
Code = Callable[[Sequence[str]], Coded]
"""Texts to vectors and codes."""


class _Wish(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FacetChange(_Wish):
    """What one of the consumer's facets is for this request."""

    facet_id: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    weight: float | None = Field(
        default=None, ge=0, le=1, description="0 leaves it out of scores and reasons. By default as stored."
    )
    text: Words | None = Field(
        default=None, description="Other words for it, which rest on no evidence. By default as stored."
    )


class NewFacet(_Wish):
    """What attracts (`for`) or repels (`against`) the consumer, for this request."""

    stance: Stance
    text: Words
    weight: float = Field(default=1.0, gt=0, le=1)


@dataclass(frozen=True, eq=False)
class WhatIf:
    """One consumer's facets as a request has them. Those without weight are left out."""

    stored: tuple[Facet, ...]
    facets: tuple[Facet, ...]
    """Each in the place of the one that it was; new ones in places that are free."""
    vectors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """(d_t,) of each text that was not stored."""
    codes: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """(d_e,) likewise."""

    @property
    def counted(self) -> tuple[Facet, ...]:
        """The facets that have a weight."""
        return tuple(facet for facet in self.facets if facet.weight > 0)

    @property
    def unfounded(self) -> frozenset[str]:
        """Facts on which nothing rests any more: those of facets that were left out or reworded."""
        before, after = ({it for facet in facets for it in facet.fact_ids} for facets in (self.stored, self.counted))
        return frozenset(before - after)

    def features(self, block: ConsumerBlock) -> ConsumerBlock:
        """The consumer's features after the change.

        Args:
            block: one row, as the store has it. Where it has no facets, or none that are recent enough, there are only
                those in own words.
        """
        known = block.facet_codes.index[0] >= 0
        before, after = _places(self.stored) if known else {}, _places(self.facets)
        changed = {place: facet for place, facet in after.items() if facet != before.get(place)}
        if not known:
            changed = {place: facet for place, facet in changed.items() if facet.text in self.codes}
        if not changed:
            return block
        codes, weights = (
            it.table[it.index].copy() if known else np.zeros((1, *it.table.shape[1:]), np.float32)
            for it in (block.facet_codes, block.facet_weights)
        )
        for (side, rank), facet in changed.items():
            weights[0, side, rank] = facet.weight
            if facet.weight == 0:
                codes[0, side, rank] = np.zeros(CODE_WIDTH)
            elif facet.text in self.codes:
                codes[0, side, rank] = self.codes[facet.text]
        first = np.zeros(1, np.int32)
        return replace(block, facet_codes=Indexed(codes, first), facet_weights=Indexed(weights, first))


def imagine(
    consumer_id: str, stored: Sequence[Facet], changes: Sequence[FacetChange], new: Sequence[NewFacet], code: Code
) -> WhatIf:
    """A consumer's facets as a request wants them.

    Args:
        consumer_id: whose they are.
        stored: all of the consumer, in any order.
        changes: at most one of a facet.
        new: take the places of facets that are left out, then those that are free.
        code: asked once for all texts that are not stored, and not at all if there are none.

    Raises:
        InputError: a change of a facet that the consumer does not have, or more new ones than there are places.
    """
    wanted = {it.facet_id: it for it in changes}
    if unknown := sorted(wanted.keys() - {facet.facet_id for facet in stored}):
        ids = ", ".join(sorted(facet.facet_id for facet in stored))
        raise InputError(f"The consumer has no facet {unknown[0]!r}.", f"There are {len(stored)}: {ids or '-'}.")
    facets = [_changed(facet, wanted[facet.facet_id]) if facet.facet_id in wanted else facet for facet in stored]
    for number, facet in enumerate(new, start=1):
        _place(facets, consumer_id, number, facet)
    texts = sorted({facet.text for facet in facets if facet.model == OWN_WORDS and facet.weight > 0})
    if not texts:
        return WhatIf(tuple(stored), tuple(facets))
    coded = code(texts)
    vectors, codes = (dict(zip(texts, rows, strict=True)) for rows in (coded.vectors, coded.codes))
    return WhatIf(tuple(stored), tuple(facets), vectors, codes)


def _changed(facet: Facet, change: FacetChange) -> Facet:
    weight = facet.weight if change.weight is None else change.weight
    if change.text is None or change.text == facet.text:
        return replace(facet, weight=weight)
    return _own(facet.facet_id, facet.entity_id, facet.stance, facet.rank, change.text, weight)


def _place(facets: list[Facet], consumer_id: str, number: int, new: NewFacet) -> None:
    """Puts a new facet where one of its side was left out, or behind the last one. Raises InputError."""
    side = _ranked(facets, new.stance)
    gone = next((facet for facet in side[:N_FACETS] if facet.weight == 0), None)
    if gone is None and len(side) >= N_FACETS:
        raise InputError(
            f"There is no place for the new facet {number}: the consumer has {len(side)} of the stance {new.stance}.",
            f"{N_FACETS} of each stance count.",
            "Reword one, or give one the weight 0: a new facet takes its place.",
        )
    rank = gone.rank if gone else max((facet.rank for facet in side), default=-1) + 1
    made = _own(f"new-{number}", consumer_id, new.stance, rank, new.text, new.weight)
    if gone:
        facets[facets.index(gone)] = made
    else:
        facets.append(made)


def _own(facet_id: str, consumer_id: str, stance: Stance, rank: int, text: str, weight: float) -> Facet:
    """A facet in own words: it rests on nothing, and as of what is said now, it has no age."""
    return Facet(
        facet_id=facet_id,
        entity_kind=EntityKind.CONSUMER,
        entity_id=consumer_id,
        stance=stance,
        rank=rank,
        text=text,
        weight=weight,
        fact_ids=(),
        evidence_time=CATALOG_TIME,
        request_key=UNBOUGHT,
        input_hash="",
        model=OWN_WORDS,
    )


def _ranked(facets: Sequence[Facet], stance: Stance) -> list[Facet]:
    return sorted((facet for facet in facets if facet.stance is stance), key=lambda facet: facet.rank)


def _places(facets: Sequence[Facet]) -> dict[tuple[int, int], Facet]:
    """The facets that are features by side and place, as `models/explanations/codes.py` puts them there."""
    return {
        (side, place): facet
        for side, stance in enumerate(STANCES)
        for place, facet in enumerate(_ranked(facets, stance)[:N_FACETS])
    }
