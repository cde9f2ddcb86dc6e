"""The reasons of an answer: what a release says of a pair, with the facts it rests on, in the form of the interface."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from features.batch import N_FACETS
from features.errors import InputError
from features.types import STANCES, EntityKind, Explanation, Fact
from features.wording import CATALOG_TIME, Wording, is_current
from models.backbones.sequences.batches import FACET_SLOTS
from models.explanations.codes import Coded
from models.explanations.insights import Insights
from models.explanations.live import LiveExplainer, Stepped, Worded
from models.explanations.own_words import OwnWords
from models.explanations.published import Published
from models.explanations.steps import Grounds, Steps, template_steps
from models.explanations.what_if import FacetChange, NewFacet, WhatIf, imagine
from models.release import ReleaseTexts
from services.schemas import (
    EXPIRED,
    NONE,
    FactOut,
    PreferenceMet,
    ProductArgument,
    Reason,
    StepsOut,
    Taste,
    TasteMet,
)
from services.sources import oldest

NOBODY = "there is no language model here"
ATTRACTING = FACET_SLOTS[:N_FACETS]
"""Fields of a ranker that attends to facets: those that attract the consumer, by place."""
TOO_OLD = "the evidence is past its age limit"


@dataclass(frozen=True)
class Told:
    """The reasons of one pair, and why they are not worded now if that was asked for."""

    reasons: tuple[Reason, ...]
    note: str | None = None


class Reasons:
    """The words of a release, as the service gives them out."""

    def __init__(
        self,
        texts: ReleaseTexts,
        wording: Wording | None = None,
        live: Callable[[Published], LiveExplainer] | None = None,
        text_days: float = math.inf,
        own_words: OwnWords | None = None,
    ) -> None:
        """Reads the release's tables.

        Args:
            texts: the tables.
            wording: the dataset's nouns.
            live: who words pairs on demand, if anyone.
            text_days: how old evidence may be.
            own_words: codes what a request says in its own words, if anything does.
        """
        self._published, self._text_days = Published(texts, wording), text_days
        self._own_words = own_words
        self._live = live(self._published) if live else None
        self._insights = Insights(self._published)

    def written_for(self, consumer_id: str) -> frozenset[str]:
        """Products for which a text was written for exactly this consumer."""
        return self._published.written_for(consumer_id)

    def of(self, consumer_id: str, product_id: str, at: datetime, what_if: WhatIf | None = None) -> tuple[Reason, ...]:
        """The reasons for and against, with the facts they rest on.

        Args:
            consumer_id: anybody.
            product_id: any product.
            at: when they are asked for.
            what_if: as in `Published.of`.
        """
        limit = oldest(at, self._text_days)
        said: tuple[Explanation, ...] = self._published.of(consumer_id, product_id, limit, what_if)
        if limit is not None and any(text.granularity == NONE for text in said):
            unlimited = self._published.of(consumer_id, product_id, what_if=what_if)
            said = tuple(
                replace(text, text="", granularity=EXPIRED) if was.granularity != text.granularity == NONE else text
                for text, was in zip(said, unlimited, strict=True)
            )
        return tuple(self._reason(text, at) for text in said)

    def steps(
        self,
        consumer_id: str,
        product_id: str,
        at: datetime,
        attention: Mapping[str, float],
        history: Sequence[str],
        what_if: WhatIf | None = None,
        seconds: float | None = None,
    ) -> StepsOut | None:
        """A recommendation in four steps; None where the ranker attended to no facet of the consumer that has a text.

        Code words them, unless they are to be worded by the language model, and that within its time.

        Args:
            consumer_id: anybody.
            product_id: any product.
            at: when it is asked for.
            attention: the ranker's, by field; that on facets counts.
            history: products that the consumer liked, in order of time.
            what_if: as in `Published.of`.
            seconds: how long the language model may take; None does not ask it.
        """
        weights = [attention.get(slot, 0.0) for slot in ATTRACTING]
        limit = oldest(at, self._text_days)
        grounds = self._published.grounds(consumer_id, product_id, weights, history, limit, what_if)
        if grounds is None:
            return None
        told = self._steps_now(grounds, seconds) if seconds is not None else Stepped(None)
        return steps_out(told.steps or template_steps(grounds), told.note or None)

    def _steps_now(self, grounds: Grounds, seconds: float) -> Stepped:
        return self._live.steps(grounds, seconds) if self._live else Stepped(None, NOBODY)

    def what_if(self, consumer_id: str, changes: Sequence[FacetChange], new: Sequence[NewFacet]) -> WhatIf:
        """The consumer's facets as a request wants them.

        Raises InputError: a facet that they do not have, no place for a new one, or words that cannot be coded.
        """
        stored = self._published.side(EntityKind.CONSUMER, consumer_id).facets
        return imagine(consumer_id, stored, changes, new, self._code)

    def expect_own_words(self) -> None:
        """Says that a request with own words may come; returns at once."""
        if self._own_words is not None:
            self._own_words.expect()

    def _code(self, texts: Sequence[str]) -> Coded:
        if self._own_words is None:
            raise InputError("Own words cannot be coded: there is no text encoder here.")
        return self._own_words.coded(texts)

    def worded_now(
        self, consumer_id: str, product_ids: Sequence[str], at: datetime, seconds: float
    ) -> tuple[Told, ...]:
        """As `of`, worded by the language model within so many seconds in all; failing that, as `of`, and why."""
        if self._live is None:
            return tuple(Told(self.of(consumer_id, it, at), NOBODY) for it in product_ids)
        worded = self._live.explain(consumer_id, product_ids, at, seconds)
        return tuple(self._now(consumer_id, it, at, said) for it, said in zip(product_ids, worded, strict=True))

    def _now(self, consumer_id: str, product_id: str, at: datetime, worded: Worded) -> Told:
        limit = oldest(at, self._text_days)
        current = all(is_current(text.evidence_time, limit) for text in worded.texts)
        if worded.texts and current:
            return Told(tuple(self._reason(text, at) for text in worded.texts))
        return Told(self.of(consumer_id, product_id, at), worded.note if current else TOO_OLD)

    def arguments(self, product_id: str, at: datetime) -> tuple[ProductArgument, ...]:
        """What is said of a product over all consumers, for it first."""
        limit = oldest(at, self._text_days)
        return tuple(
            ProductArgument(
                stance=it.stance,
                text=it.text,
                weight=it.weight,
                model=it.model,
                facts=tuple(map(_fact_out, it.facts)),
                evidence_age_seconds=age_seconds(_dated(_latest(it.facts)), at),
            )
            for it in self._insights.arguments(product_id)
            if is_current(_latest(it.facts), limit)
        )

    def consumers(self, starting: str) -> list[str]:
        """Ids, in order, of all consumers of whom something is said and whose id begins so."""
        sides = self._published.sides(EntityKind.CONSUMER)
        return sorted(side.entity_id for side in sides if side.entity_id.startswith(starting))

    def tastes(self, consumer_id: str, at: datetime) -> tuple[Taste, ...]:
        """The facets of a consumer that are recent enough: attractors first, each stance in its order."""
        limit, side = oldest(at, self._text_days), self._published.side(EntityKind.CONSUMER, consumer_id)
        current = [facet for facet in side.facets if is_current(facet.evidence_time, limit)]
        return tuple(
            Taste(
                facet_id=facet.facet_id,
                stance=facet.stance,
                text=facet.text,
                weight=facet.weight,
                model=facet.model,
                facts=tuple(_fact_out(side.facts[it]) for it in facet.fact_ids if it in side.facts),
                evidence_age_seconds=age_seconds(_dated(facet.evidence_time), at),
            )
            for facet in sorted(current, key=lambda facet: (STANCES.index(facet.stance), facet.rank))
        )

    def meetings(self, product_id: str) -> tuple[TasteMet, ...]:
        """Aspects of a product and how many consumers they attract or repel."""
        met = self._insights.meetings(product_id)
        return tuple(TasteMet(aspect=it.aspect, attracted=it.attracted, repelled=it.repelled) for it in met)

    def _reason(self, text: Explanation, at: datetime) -> Reason:
        facts = tuple(_fact_out(fact) for fact in map(self._published.facts.get, text.fact_ids) if fact is not None)
        return Reason(
            stance=text.stance,
            text=text.text,
            fact_ids=text.fact_ids,
            facts=facts,
            evidence_time=_dated(text.evidence_time),
            evidence_age_seconds=age_seconds(_dated(text.evidence_time), at),
            granularity=text.granularity,
            model=text.model,
        )


def _fact_out(fact: Fact) -> FactOut:
    return FactOut(fact_id=fact.fact_id, text=fact.text, source=fact.source, evidence_time=_dated(fact.evidence_time))


def steps_out(steps: Steps, note: str | None = None) -> StepsOut:
    """In the form of the interface; the note says why the language model did not word them, if it was to."""
    rows = zip(steps.preferences, steps.examples, steps.fitness, steps.reasons, strict=True)
    return StepsOut(
        preferences=tuple(
            PreferenceMet(text=it.text, weight=it.weight, example=example, fitness=fitness, reason=reason)
            for it, example, fitness, reason in rows
        ),
        met=steps.met,
        chance=steps.chance,
        combined=steps.combined,
        recommendation=steps.recommendation,
        model=steps.model,
        note=note,
    )


def _dated(time: datetime | None) -> datetime | None:
    """The time of evidence; None for what the catalog says, which is not of any time."""
    return None if time == CATALOG_TIME else time


def age_seconds(evidence_time: datetime | None, at: datetime) -> float | None:
    """How old evidence is; None where there is none."""
    return (at - evidence_time).total_seconds() if evidence_time else None


def _latest(facts: Iterable[Fact]) -> datetime | None:
    """The time of the latest evidence."""
    return max((fact.evidence_time for fact in facts), default=None)
