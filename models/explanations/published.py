"""What a release says of any pair: the one place where published explanations come from; no language model is asked.

A text written for the pair is used as it is. Otherwise the facets of the consumer and of the product are matched
by the similarity of their sentences and composed by `models/explanations/compose.py`. The service shows these
explanations, and `counterpoint evaluate-explanations` judges them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.records import from_frame
from features.types import STANCES, EntityKind, Explanation, Facet, Fact, Stance
from features.wording import Wording, is_current
from models.explanations.compose import ComposeConfig, Side, compose
from models.explanations.fewshot import template
from models.explanations.gates import TEMPLATE
from models.explanations.steps import Grounds, by_weight
from models.explanations.what_if import WhatIf
from models.release import ReleaseTexts

Vectors = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Described:
    """One entity as the composer wants it, with the unit vectors of its facets' texts, (n, d_t)."""

    side: Side
    vectors: Vectors | None = None

    def similarity(self, other: _Described) -> Vectors:
        """Cosines of the facets' texts, (n of self, n of other)."""
        if self.vectors is None or other.vectors is None:
            return np.zeros((len(self.side.facets), len(other.side.facets)), np.float32)
        return self.vectors @ other.vectors.T

    def fitness(self, product: _Described) -> Vectors:
        """(n of self,) how well a product meets each facet: the greatest cosine with what speaks for it, 0 to 1."""
        strengths = [n for n, facet in enumerate(product.side.facets) if facet.stance is Stance.FOR]
        return self.similarity(product)[:, strengths].max(axis=1, initial=0.0).clip(0, 1)

    def since(self, oldest: datetime | None) -> _Described:
        """The same without facets and opinions that rest on older evidence; what something is does not age."""
        if oldest is None:
            return self
        kept = [n for n, facet in enumerate(self.side.facets) if is_current(facet.evidence_time, oldest)]
        known = (it for it in self.side.facts.values() if it.polarity == 0 or is_current(it.evidence_time, oldest))
        facts = {fact.fact_id: fact for fact in known}
        side = replace(self.side, facets=tuple(self.side.facets[n] for n in kept), facts=facts)
        return _Described(side, None if self.vectors is None else self.vectors[kept])

    def changed(self, what_if: WhatIf | None) -> _Described:
        """The same consumer with the facets that a request has, and without the facts on which none rests any more."""
        if what_if is None:
            return self
        ids = [facet.facet_id for facet in self.side.facets]
        stored = {} if self.vectors is None else dict(zip(ids, self.vectors, strict=True))
        facets, own = what_if.counted, what_if.vectors
        vectors = [own[it.text] if it.text in own else stored[it.facet_id] for it in facets]
        facts = {fact_id: it for fact_id, it in self.side.facts.items() if fact_id not in what_if.unfounded}
        return _Described(replace(self.side, facets=facets, facts=facts), np.stack(vectors) if vectors else None)


class Published:
    """The words of a release, held in memory."""

    def __init__(self, texts: ReleaseTexts, wording: Wording | None = None) -> None:
        """Groups the tables by what they are about; raises nothing on empty ones. `wording`: the dataset's nouns."""
        self._config = ComposeConfig(wording=wording or Wording())
        facts = from_frame(texts.facts, Fact)
        self.facts = {fact.fact_id: fact for fact in facts}
        self._described = _described(texts, facts)
        self._written: dict[str, dict[str, dict[Stance, Explanation]]] = {}
        for text in from_frame(texts.pair_texts, Explanation):
            of_pair = self._written.setdefault(text.consumer_id, {}).setdefault(text.product_id, {})
            of_pair[text.stance] = text

    @property
    def wording(self) -> Wording:
        """The dataset's nouns."""
        return self._config.wording

    def side(self, kind: EntityKind, entity_id: str) -> Side:
        """What is known of one consumer or product; empty for a newcomer."""
        return self._known(kind, entity_id).side

    def sides(self, kind: EntityKind) -> Iterator[Side]:
        """All consumers or products of whom anything is known."""
        return (described.side for (its, _), described in self._described.items() if its is kind)

    def written_for(self, consumer_id: str) -> frozenset[str]:
        """Products for which a text was written for exactly this consumer."""
        return frozenset(self._written.get(consumer_id, ()))

    def of(
        self,
        consumer_id: str,
        product_id: str,
        oldest: datetime | None = None,
        what_if: WhatIf | None = None,
    ) -> tuple[Explanation, Explanation]:
        """Why this consumer would like this product, and why not, in the order of `STANCES`.

        Args:
            consumer_id: anybody.
            product_id: any product.
            oldest: what rests on evidence from before does not count; None sets no limit.
            what_if: the consumer's facets as a request has them; then texts written for the pair do not count, since
                they rest on those that are stored.
        """
        of_pair = self._written.get(consumer_id, {}).get(product_id, {}) if what_if is None else {}
        written = {stance: text for stance, text in of_pair.items() if is_current(text.evidence_time, oldest)}
        composed: tuple[Explanation, ...] = ()
        if len(written) < len(STANCES):
            composed = self._composed(consumer_id, product_id, oldest, what_if)
        by_stance = {**{text.stance: text for text in composed}, **written}
        return by_stance[Stance.FOR], by_stance[Stance.AGAINST]

    def grounds(
        self,
        consumer_id: str,
        product_id: str,
        weights: Sequence[float],
        history: Sequence[str],
        oldest: datetime | None = None,
        what_if: WhatIf | None = None,
    ) -> Grounds | None:
        """What LANE's four steps of a recommendation are made of; None where no weight that acted is of a text.

        Fitness is the greatest cosine of a preference's text with a text that speaks for the product, and so are the
        examples chosen from the history.

        Args:
            consumer_id: anybody.
            product_id: any product.
            weights: of the facets that attract the consumer, by place.
            history: products that the consumer liked, in order of time.
            oldest: as in `of`.
            what_if: as in `of`.
        """
        known = self._known(EntityKind.CONSUMER, consumer_id)
        placed = what_if.facets if what_if else known.side.facets
        attracting = sorted((it for it in placed if it.stance is Stance.FOR), key=lambda facet: facet.rank)
        weight = {facet.facet_id: share for facet, share in zip(attracting, weights, strict=False) if share > 0}
        own = known.changed(what_if).since(oldest)
        places = [n for n, facet in enumerate(own.side.facets) if facet.facet_id in weight]
        places.sort(key=lambda n: -weight[own.side.facets[n].facet_id])  # as `by_weight` puts them
        if not places:
            return None
        shares = [weight[own.side.facets[n].facet_id] for n in places]
        preferences = by_weight([own.side.facets[n].text for n in places], shares)
        product = self._known(EntityKind.PRODUCT, product_id).since(oldest)
        had = [it for it in (self._known(EntityKind.PRODUCT, one) for one in history) if it.side.title]
        likeness = np.stack([own.fitness(it)[places] for it in had], axis=1) if had else np.zeros((len(places), 0))
        fitness = tuple(own.fitness(product)[places].tolist())
        return Grounds(preferences, fitness, tuple(it.side.title for it in had), likeness, product.side.title)

    def _known(self, kind: EntityKind, entity_id: str) -> _Described:
        return self._described.get((kind, entity_id), _Described(Side(entity_id)))

    def _composed(
        self, consumer_id: str, product_id: str, oldest: datetime | None, what_if: WhatIf | None
    ) -> tuple[Explanation, Explanation]:
        consumer = self._known(EntityKind.CONSUMER, consumer_id)
        product = self._known(EntityKind.PRODUCT, product_id)
        consumer, product = consumer.changed(what_if).since(oldest), product.since(oldest)
        return compose(consumer.side, product.side, consumer.similarity(product), self._config)


def in_template_words(texts: ReleaseTexts, wording: Wording) -> ReleaseTexts:
    """The same release with every facet said by its template and no text written for a pair: what code alone says."""
    facts = {fact.fact_id: fact for fact in from_frame(texts.facts, Fact)}
    said = [template(facts[ids[0]], wording) for ids in texts.facets["fact_ids"]]
    return replace(texts, facets=texts.facets.assign(text=said, model=TEMPLATE), pair_texts=texts.pair_texts.iloc[:0])


def _described(texts: ReleaseTexts, facts: list[Fact]) -> dict[tuple[EntityKind, str], _Described]:
    """Every entity with a facet, a fact or a title."""
    titles = dict(zip(texts.products["product_id"].astype(str), texts.products["title"].astype(str), strict=True))
    facts_of: dict[tuple[EntityKind, str], dict[str, Fact]] = {(EntityKind.PRODUCT, it): {} for it in titles}
    for fact in facts:
        facts_of.setdefault((fact.entity_kind, fact.entity_id), {})[fact.fact_id] = fact
    facets_of = _facets(texts.facets)
    described = {}
    for kind, entity_id in {**facts_of, **facets_of}:
        facets, vectors = facets_of.get((kind, entity_id), ((), None))
        title = titles.get(entity_id, "") if kind is EntityKind.PRODUCT else ""
        side = Side(entity_id, facets, facts_of.get((kind, entity_id), {}), title)
        described[kind, entity_id] = _Described(side, vectors)
    return described


def _facets(frame: pd.DataFrame) -> dict[tuple[EntityKind, str], tuple[tuple[Facet, ...], Vectors]]:
    """The facets of each entity with the unit vectors of their texts."""
    if frame.empty:
        return {}
    vectors = np.stack([np.asarray(vector, np.float32) for vector in frame["vector"]])
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    facets = from_frame(frame, Facet)
    places: dict[tuple[EntityKind, str], list[int]] = {}
    for place, facet in enumerate(facets):
        places.setdefault((facet.entity_kind, facet.entity_id), []).append(place)
    return {entity: (tuple(facets[n] for n in own), vectors[own]) for entity, own in places.items()}
