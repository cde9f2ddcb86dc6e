"""Composition: the two sides of the argument for a pair, from facets that were written once per entity.

What the consumer's side and the product's side have in common decides: the same aspect first (a taste meets an
attribute, or what people of that taste thought), then similar texts. Where nothing meets, only the product's side
is said, and where there is no side at all, that is said. No language model is called here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from features.errors import InputError
from features.sentences import spoken_title
from features.types import STANCES, Explanation, Facet, Fact, Stance
from features.wording import Wording
from models.explanations.fewshot import template
from models.explanations.gates import TEMPLATE

CONTENT_SOURCES = ("description", "review")
"""Sources of product texts that say something of their own. Sentences about ratings are all alike, whatever they
are about, so their likeness to a taste means nothing (measured: cosines of 0.6 between unrelated ones)."""

NOTHING = {
    Stance.FOR: "Nothing known speaks for it yet.",
    Stance.AGAINST: "Nothing known speaks against it.",
}


JOINTS = "is another; of this one; yet"
"""Words of composition itself, which no fact carries."""


class ComposeConfig(BaseModel):
    """When two facets count as being about the same thing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_similarity: float = 0.5
    """Cosine from which a taste and a product's own description or review are put together."""
    shared_aspect: float = 2.0
    """Score factor of a shared aspect; a cosine never exceeds 1, so a shared aspect of equal weight wins."""
    wording: Wording = Wording()


@dataclass(frozen=True)
class Side:
    """What is known of one consumer or one product; all empty for a newcomer."""

    entity_id: str
    facets: tuple[Facet, ...] = ()
    facts: Mapping[str, Fact] = field(default_factory=dict)
    """The entity's facts by id; a product's neutral ones say what it is."""
    title: str = ""

    def of(self, stance: Stance) -> list[tuple[int, Facet]]:
        """Facets of one stance with their positions, heaviest first."""
        chosen = [(n, facet) for n, facet in enumerate(self.facets) if facet.stance is stance]
        return sorted(chosen, key=lambda pair: (-pair[1].weight, pair[1].rank))

    def sayings(self, stance: Stance, wording: Wording) -> list[Facet]:
        """Facets of one stance, then the facts nobody has worded yet, in their template's words."""
        worded = [facet for _, facet in self.of(stance)]
        known = {fact_id for facet in self.facets for fact_id in facet.fact_ids}
        sign = 1 if stance is Stance.FOR else -1
        rest = [fact for fact in self.facts.values() if fact.polarity == sign and fact.fact_id not in known]
        return worded + [_unworded(fact, stance, wording) for fact in sorted(rest, key=lambda fact: -fact.weight)]

    def fact(self, facet: Facet) -> Fact | None:
        """The fact a facet rests on, if it is at hand."""
        return self.facts.get(facet.fact_ids[0]) if facet.fact_ids else None

    def attribute(self, aspect: str) -> Fact | None:
        """The catalog's word that the product has an aspect."""
        found = (fact for fact in self.facts.values() if fact.aspect == aspect and fact.source == "attribute")
        return next(found, None)


@dataclass(frozen=True)
class _Match:
    """A sentence that could be said, how strongly it is meant, and what it rests on."""

    score: float
    text: str
    facets: tuple[Facet, ...]
    facts: tuple[Fact, ...] = ()


def compose(
    consumer: Side, product: Side, similarity: NDArray[np.floating], config: ComposeConfig | None = None
) -> tuple[Explanation, Explanation]:
    """Both sides for one pair, in the order of `STANCES`.

    Args:
        consumer: the consumer's facets and facts; empty for a cold one.
        product: the product's facets, facts and title.
        similarity: (consumer facets, product facets) cosines of their texts, in the order of `Side.facets`.
        config: thresholds.

    Raises:
        InputError: if the matrix does not fit the facets.
    """
    shape = (len(consumer.facets), len(product.facets))
    if similarity.shape != shape:
        raise InputError(f"The similarity matrix is {similarity.shape}.", f"The facets need {shape}.")
    config = config or ComposeConfig()
    said = [_say(stance, consumer, product, similarity, config) for stance in STANCES]
    return said[0], said[1]


def _say(
    stance: Stance, consumer: Side, product: Side, similarity: NDArray[np.floating], config: ComposeConfig
) -> Explanation:
    matches = [*_by_attribute(stance, consumer, product, config), *_by_taste(stance, consumer, product, config)]
    matches += [*_by_term(stance, consumer, product, config)]
    matches += _by_similarity(stance, consumer, product, similarity, config)
    if matches:
        return _explanation(stance, consumer, product, max(matches, key=lambda match: match.score))
    facet = _general(product, stance, config.wording)
    if facet is not None:
        return _explanation(stance, consumer, product, _Match(facet.weight, facet.text, (facet,)))
    return _explanation(stance, consumer, product, _Match(0.0, NOTHING[stance], ()))


def _by_attribute(stance: Stance, consumer: Side, product: Side, config: ComposeConfig) -> Iterator[_Match]:
    """A liked (FOR) or less liked (AGAINST) aspect that the product really has."""
    title = spoken_title(product.title) or "this product"
    for facet in consumer.sayings(stance, config.wording):
        fact = consumer.fact(facet)
        attribute = product.attribute(fact.aspect) if fact is not None else None
        if attribute is None or title in facet.text:
            continue
        support = _supporting(stance, product, attribute.aspect, config.wording)
        text = f"{_open_ended(facet.text)}; {title} is another." + (f" {support.text}" if support else "")
        facets = (facet, support) if support else (facet,)
        yield _Match(config.shared_aspect * _weight(facet, support), text, facets, (attribute,))


def _supporting(stance: Stance, product: Side, aspect: str, wording: Wording) -> Facet | None:
    """The product's own word on that side: about the same aspect if there is one, else a general one."""
    same = (facet for _, facet in product.of(stance) if _aspect(product, facet) == aspect)
    return next(same, None) or _general(product, stance, wording, affinity=False)


def _general(product: Side, stance: Stance, wording: Wording, affinity: bool = True) -> Facet | None:
    """What best speaks of the product alone: what it is or what someone wrote, then how it is rated.

    A sentence of its own tells one product from another, which `2 of 20 consumers rated it 2 or lower` does not. What
    some other taste thinks of it comes last, or not at all.
    """
    own = product.sayings(stance, wording)
    general = [facet for facet in own if not _is_affinity(product, facet)]
    telling = [facet for facet in general if _source(product, facet) in CONTENT_SOURCES]
    return next(iter(telling or general or (own if affinity else [])), None)


def _is_affinity(product: Side, facet: Facet) -> bool:
    return _source(product, facet) == "affinity"


def _source(side: Side, facet: Facet) -> str:
    fact = side.fact(facet)
    return fact.source if fact is not None else ""


def _aspect(side: Side, facet: Facet) -> str:
    fact = side.fact(facet)
    return fact.aspect if fact is not None else ""


def _by_taste(stance: Stance, consumer: Side, product: Side, config: ComposeConfig) -> Iterator[_Match]:
    """What those who share a taste of this consumer thought of the product."""
    title = spoken_title(product.title)
    for liked in consumer.sayings(Stance.FOR, config.wording):
        about_itself = bool(title) and title in liked.text
        for facet in product.sayings(stance, config.wording):
            shared = _aspect(consumer, liked) == _aspect(product, facet) and not about_itself
            if shared and _is_affinity(product, facet):
                joint = ". " if stance is Stance.FOR else ", yet "
                text = f"{_open_ended(liked.text)}{joint}{_running_on(facet.text, joint)}"
                yield _Match(config.shared_aspect * _weight(liked, facet), text, (liked, facet))


def _by_term(stance: Stance, consumer: Side, product: Side, config: ComposeConfig) -> Iterator[_Match]:
    """What this consumer wrote of another product, and what others wrote of this one, about the same thing."""
    title = spoken_title(product.title)
    for mine in consumer.sayings(stance, config.wording):
        about_itself = bool(title) and title in mine.text
        for theirs in product.sayings(stance, config.wording):
            fact = product.fact(theirs)
            if not about_itself and fact and fact.source == "review" and fact.aspect == _aspect(consumer, mine):
                text = f"{mine.text} Of this one, {_running_on(theirs.text, ', ')}"
                yield _Match(config.shared_aspect * _weight(mine, theirs), text, (mine, theirs))


def _by_similarity(
    stance: Stance, consumer: Side, product: Side, similarity: NDArray[np.floating], config: ComposeConfig
) -> Iterator[_Match]:
    """Two texts of one stance that say similar things."""
    title = spoken_title(product.title)
    for row, mine in consumer.of(stance):
        for column, theirs in product.of(stance):
            closeness = float(similarity[row, column])
            about_itself = bool(title) and title in mine.text
            content = _source(product, theirs) in CONTENT_SOURCES
            if content and closeness >= config.min_similarity and not about_itself:
                text = f"{mine.text} {theirs.text}"
                yield _Match(closeness * _weight(mine, theirs), text, (mine, theirs))


def _unworded(fact: Fact, stance: Stance, wording: Wording) -> Facet:
    """A fact in its template's words, for the moment; it is not stored, so it has no request."""
    return Facet(
        facet_id=f"{fact.fact_id}.{stance.value}",
        entity_kind=fact.entity_kind,
        entity_id=fact.entity_id,
        stance=stance,
        rank=99,
        text=template(fact, wording),
        weight=fact.weight,
        fact_ids=(fact.fact_id,),
        evidence_time=fact.evidence_time,
        request_key="",
        input_hash="",
        model=TEMPLATE,
    )


def _weight(one: Facet, other: Facet | None) -> float:
    """How strongly two facets are meant together; the consumer's side counts in full."""
    return one.weight * (1.0 + (other.weight if other else 0.0))


def _open_ended(text: str) -> str:
    return text.rstrip().rstrip(".")


def _running_on(text: str, joint: str) -> str:
    """A sentence as it goes on after a joint: `It appeals` becomes `it appeals` inside a sentence."""
    return text if joint.startswith(".") else text[0].lower() + text[1:]


def _explanation(stance: Stance, consumer: Side, product: Side, match: _Match) -> Explanation:
    fact_ids = [fact_id for facet in match.facets for fact_id in facet.fact_ids]
    fact_ids += [fact.fact_id for fact in match.facts]
    times = [facet.evidence_time for facet in match.facets] + [fact.evidence_time for fact in match.facts]
    return Explanation(
        consumer_id=consumer.entity_id,
        product_id=product.entity_id,
        stance=stance,
        text=match.text,
        fact_ids=tuple(dict.fromkeys(fact_ids)),
        evidence_time=max(times) if times else None,
        granularity="entity" if match.facets else "none",
        model=models_of(match.facets),
        request_key=",".join(dict.fromkeys(facet.request_key for facet in match.facets if facet.request_key)),
    )


def models_of(facets: Sequence[Facet]) -> str:
    """Who worded the facets: a model, the template, or both (`name+template`)."""
    return "+".join(sorted({facet.model for facet in facets}, key=lambda name: (name == TEMPLATE, name))) or TEMPLATE
