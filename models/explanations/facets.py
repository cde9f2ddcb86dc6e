"""Facets: one small request per selected fact, in which the model words that fact and nothing else.

A line's opening is prescribed and made from the fact, so stance and citation are fixed before the model writes a
word; it only finishes the sentence. One fact per request, because a small model that sees four facts mixes them
(measured: 31 % of such lines passed the gates), because a changed fact then buys one sentence and not a whole
entity again, and because a prescribed opening costs no decoding when it is the first.

A line that fails a gate is asked for once more with the reason (`models/explanations/retry.py`); if that fails
too, it is replaced by the fact's own wording with `model = "template"`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from pydantic import BaseModel, ConfigDict

from features.types import (
    Claim,
    Completion,
    EntityKind,
    Facet,
    Fact,
    FinishReason,
    ModelIdentity,
    Stance,
    TextRequest,
    content_hash,
)
from features.wording import Wording
from models.explanations.fewshot import template
from models.explanations.gates import TEMPLATE, Failure, Follows, anything, failures, miscites, turned_round
from models.explanations.retry import Rejected
from models.explanations.styles import shown_facts, style_of

KINDS = {EntityKind.CONSUMER: "consumer_facets", EntityKind.PRODUCT: "product_facets"}


class FacetConfig(BaseModel):
    """How many facets are asked for, and how long they may get."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_per_stance: int = 2
    max_tokens: int = 80
    """A ceiling, not a target: only the longest quotations come near it."""
    wording: Wording = Wording()


@dataclass(frozen=True)
class Parsed:
    """Facets, and the model's lines that were refused, second ones included."""

    facets: tuple[Facet, ...]
    rejected: tuple[Rejected, ...]

    @property
    def model_share(self) -> float:
        """Share of the facets that the model worded."""
        worded = sum(facet.model != TEMPLATE for facet in self.facets)
        return worded / len(self.facets) if self.facets else 0.0


def select(facts: Sequence[Fact], config: FacetConfig) -> list[tuple[Stance, Fact]]:
    """The facts of one entity that become facets: FOR before AGAINST, strongest first.

    Neutral facts (what a product is) stand on the FOR side: a description always, since a reader wants to know
    what the thing is; a bare attribute only where nothing else speaks for it.
    """
    for_it, neutral = _strongest(facts, 1), _strongest(facts, 0)
    described = [fact for fact in neutral if fact.source == "description"][:1]
    pool = [*described, *for_it] or neutral[:1]
    against = _strongest(facts, -1)[: config.n_per_stance]
    return [(Stance.FOR, fact) for fact in pool[: config.n_per_stance]] + [(Stance.AGAINST, fact) for fact in against]


def _strongest(facts: Sequence[Fact], polarity: int) -> list[Fact]:
    fitting = [fact for fact in facts if fact.polarity == polarity]
    return sorted(fitting, key=lambda fact: (-fact.weight, fact.fact_id))


def facet_requests(
    facts: Iterable[Fact], identity: ModelIdentity, config: FacetConfig | None = None
) -> list[TextRequest]:
    """One request per entity that has facts, one line per selected fact.

    Args:
        facts: of consumers, products or both; selected per entity by `select`.
        identity: the model that will answer; part of the request's key.
        config: how many facets, and the dataset's nouns.
    """
    config = config or FacetConfig()
    chosen = [select(group, config) for group in by_entity(facts).values()]
    return [request_for(group, identity, config) for group in chosen if group]


def request_for(chosen: Sequence[tuple[Stance, Fact]], identity: ModelIdentity, config: FacetConfig) -> TextRequest:
    """The request that words the facts of one entity; each line is about one fact, and so cites it."""
    facts, style = [fact for _, fact in chosen], style_of(identity)
    shown = shown_facts(facts)
    slots = tuple(
        style.slot(fact, stance, label.label, config.max_tokens, config.wording)
        for (stance, fact), label in zip(chosen, shown, strict=True)
    )
    kind = facts[0].entity_kind
    subject = f"{kind.value} {facts[0].entity_id}"
    return TextRequest(KINDS[kind], subject, style.system(kind), "", slots, identity, facts=shown)


def by_entity(facts: Iterable[Fact]) -> dict[tuple[EntityKind, str], list[Fact]]:
    """Facts grouped by what they are about."""
    ordered = sorted(facts, key=lambda fact: (fact.entity_kind.value, fact.entity_id))
    groups = groupby(ordered, key=lambda fact: (fact.entity_kind, fact.entity_id))
    return {entity: list(group) for entity, group in groups}


def parse_facets(
    facts: Iterable[Fact],
    completions: Mapping[str, Completion],
    identity: ModelIdentity,
    config: FacetConfig | None = None,
    follows: Follows = anything,
) -> Parsed:
    """Turns answers into facets, in order of entity, stance and rank; what fails is worded by the template.

    Args:
        facts: as given to `facet_requests`.
        completions: answers by request key, those to second requests included; a missing or unfinished one
            means the template.
        identity: as given to `facet_requests`.
        config: as given to `facet_requests`.
        follows: the stricter check of what passed the gates.
    """
    config = config or FacetConfig()
    facets: list[Facet] = []
    rejected: list[Rejected] = []
    for group in by_entity(facts).values():
        chosen = select(group, config)
        if chosen:
            request = request_for(chosen, identity, config)
            made, refused = _parse_entity(chosen, request, completions, config, follows)
            facets += made
            rejected += refused
    return Parsed(tuple(facets), tuple(rejected))


def _parse_entity(
    chosen: Sequence[tuple[Stance, Fact]],
    request: TextRequest,
    completions: Mapping[str, Completion],
    config: FacetConfig,
    follows: Follows,
) -> tuple[list[Facet], list[Rejected]]:
    """The facets of one entity, and its lines that were refused."""
    lines = [read_twice(request, place, fact, completions, follows) for place, (_, fact) in enumerate(chosen)]
    same = turned_round([(stance, line.text) for (stance, _), line in zip(chosen, lines, strict=True)])
    ranks, facets, rejected = Counter[Stance](), list[Facet](), list[Rejected]()
    for place, ((stance, fact), line) in enumerate(zip(chosen, lines, strict=True)):
        rejected += line.rejected
        if line.text and place in same:
            rejected.append(Rejected(line.request, place, line.text, (Failure.CONTRAST,)))
        text = "" if place in same else line.text
        facets.append(_facet(fact, stance, ranks[stance], text, line.request, config))
        ranks[stance] += 1
    return facets, rejected


@dataclass(frozen=True)
class Line:
    """What was read for one slot: the text that passed or nothing, the request it answers, and what was refused."""

    request: TextRequest
    text: str = ""
    rejected: tuple[Rejected, ...] = ()


def read_twice(
    request: TextRequest, place: int, fact: Fact, completions: Mapping[str, Completion], follows: Follows
) -> Line:
    """The line of the first answer, or that of the second if the first was refused and asked for again."""
    text, failed = read_line(request, place, claims_in(request, completions.get(request.key))[place], fact, follows)
    if not failed:
        return Line(request, text)
    refused = Rejected(request, place, text, tuple(failed))
    second = refused.second
    if second is None or second.key not in completions:
        return Line(request, "", (refused,))
    text, failed = read_line(second, 0, claims_in(second, completions[second.key])[0], fact, follows)
    if failed:
        return Line(request, "", (refused, Rejected(second, 0, text, tuple(failed))))
    return Line(second, text, (replace(refused, recovered=True),))


def claims_in(request: TextRequest, completion: Completion | None) -> Sequence[Claim]:
    """One claim per slot; all empty where there is no finished answer."""
    usable = completion is not None and completion.finish is FinishReason.STOP
    return completion.claims if completion is not None and usable else [Claim("")] * len(request.slots)


def read_line(
    request: TextRequest, place: int, claim: Claim, fact: Fact, follows: Follows = anything
) -> tuple[str, list[Failure]]:
    """One claim of an answer and the gates it fails. A line cut short holds its opening alone."""
    slot, text = request.slots[place], tidy(claim.text)
    if not text or text == tidy(slot.opening):
        return "", [Failure.EMPTY]
    stance = slot.stance or Stance.FOR
    found = failures(text, stance, [fact.fact_id], [fact], slot.opening, request.system)
    found += miscites(claim, slot, [shown.label for shown in request.facts])
    if not found and not follows(fact.text, text):
        found = [Failure.ENTAILMENT]
    return text, list(dict.fromkeys(found))


def _facet(fact: Fact, stance: Stance, rank: int, text: str, request: TextRequest, config: FacetConfig) -> Facet:
    """A facet with the model's text, or with the template's where there is none."""
    return Facet(
        facet_id=f"{fact.fact_id}.{stance.value}",
        entity_kind=fact.entity_kind,
        entity_id=fact.entity_id,
        stance=stance,
        rank=rank,
        text=text or template(fact, config.wording),
        weight=fact.weight,
        fact_ids=(fact.fact_id,),
        evidence_time=fact.evidence_time,
        request_key=request.key,
        input_hash=content_hash(fact.fact_id, fact.text),
        model=request.model.name if text else TEMPLATE,
    )


def tidy(line: str) -> str:
    """A line without list marks and doubled spaces."""
    return " ".join(re.sub(r"^[-*\s]+", "", line).split())
