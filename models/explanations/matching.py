"""Which facts argue about a pair: where one of the consumer's and one of the product's are about the same thing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from features.types import Fact, Stance
from models.explanations.statements import Kind, take_apart


def argue(consumer: Sequence[Fact], product: Sequence[Fact], stance: Stance) -> tuple[Fact, ...]:
    """The facts that speak most for or against, chosen by code alone.

    Args:
        consumer: the consumer's facts.
        product: the product's facts.
        stance: the side that is argued.

    Returns:
        A fact of the consumer and one of the product that share an aspect, the heaviest such pair; else the
        product's own strongest fact of that side; nothing where there is none.
    """
    shared = max(_shared(consumer, product, stance), key=_strength, default=None)
    if shared is not None:
        return shared
    own = [fact for fact in product if fact.polarity == _sign(stance)]
    return (max(own, key=lambda fact: (fact.weight, fact.fact_id)),) if own else ()


def _shared(consumer: Sequence[Fact], product: Sequence[Fact], stance: Stance) -> Iterator[tuple[Fact, Fact]]:
    """A taste that meets an attribute or what others of that taste thought, and reviews of the same thing."""
    sign = _sign(stance)
    for mine in consumer:
        kind = take_apart(mine).kind
        for theirs in product:
            if mine.aspect != theirs.aspect:
                continue
            match kind, take_apart(theirs).kind:
                case Kind.TASTE, Kind.ATTRIBUTE:
                    fits = mine.polarity == sign
                case Kind.TASTE, Kind.AFFINITY:
                    fits = mine.polarity > 0 and theirs.polarity == sign
                case Kind.WROTE, Kind.REVIEW:
                    fits = mine.polarity == theirs.polarity == sign
                case _:
                    fits = False
            if fits:
                yield mine, theirs


def _strength(pair: tuple[Fact, Fact]) -> tuple[float, str, str]:
    mine, theirs = pair
    return mine.weight * (1.0 + theirs.weight), mine.fact_id, theirs.fact_id


def _sign(stance: Stance) -> int:
    return 1 if stance is Stance.FOR else -1
