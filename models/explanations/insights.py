"""What speaks for and against one product over all consumers, from the facets and facts of a release.

What others are like is told as numbers alone: a facet of a consumer may quote their review, and a product page is read
by whoever sells the product.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from features.types import STANCES, EntityKind, Fact, Stance
from models.explanations.compose import Side
from models.explanations.published import Published

AT_LEAST = 2
"""Consumers that a number is told from: one alone could be recognised."""


@dataclass(frozen=True)
class Argument:
    """One thing that is said of a product, with the facts behind it."""

    stance: Stance
    text: str
    weight: float
    model: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Meeting:
    """An aspect that the product has, and how many consumers are known to be drawn to it, or put off by it."""

    aspect: str
    attracted: int
    repelled: int


class Insights:
    """Answers for any product of a release."""

    def __init__(self, published: Published) -> None:
        """Counts the tastes of all consumers."""
        self._published = published
        self._tastes = {
            stance: Counter(
                aspect for side in published.sides(EntityKind.CONSUMER) for aspect in _aspects(side, stance)
            )
            for stance in STANCES
        }

    def arguments(self, product_id: str) -> tuple[Argument, ...]:
        """What is said of the product, for it first, the heaviest first."""
        side, wording = self._published.side(EntityKind.PRODUCT, product_id), self._published.wording
        return tuple(
            Argument(stance, facet.text, facet.weight, facet.model, tuple(_facts(side, facet.fact_ids)))
            for stance in STANCES
            for facet in side.sayings(stance, wording)
        )

    def meetings(self, product_id: str) -> tuple[Meeting, ...]:
        """The product's aspects that consumers care about, those of most consumers first."""
        side = self._published.side(EntityKind.PRODUCT, product_id)
        counted = (
            Meeting(aspect, *(n if (n := self._tastes[stance][aspect]) >= AT_LEAST else 0 for stance in STANCES))
            for aspect in dict.fromkeys(fact.aspect for fact in side.facts.values())
        )
        known = [meeting for meeting in counted if meeting.attracted or meeting.repelled]
        return tuple(sorted(known, key=lambda meeting: -(meeting.attracted + meeting.repelled)))


def _aspects(side: Side, stance: Stance) -> set[str]:
    """The aspects of one side of a consumer's taste."""
    sign = 1 if stance is Stance.FOR else -1
    return {fact.aspect for fact in side.facts.values() if fact.polarity == sign}


def _facts(side: Side, fact_ids: Iterable[str]) -> Iterable[Fact]:
    return (side.facts[fact_id] for fact_id in fact_ids if fact_id in side.facts)
