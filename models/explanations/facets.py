"""Facets: one request per consumer or product, in which the model words facts that were selected for it.

Each line of the answer has a prescribed opening made from one fact, so the stance and the citation are fixed
before the model writes a word; it only finishes the sentence. A line that fails a gate is replaced by the fact's
own wording with `model = "template"`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from pydantic import BaseModel, ConfigDict

from features.types import (
    Completion,
    EntityKind,
    Fact,
    Facet,
    FinishReason,
    ModelIdentity,
    Slot,
    Stance,
    TextRequest,
    content_hash,
)
from features.wording import Wording
from models.explanations.gates import TEMPLATE, Failure, failures

CONSUMER_SYSTEM = """\
You finish sentences about a person. Each sentence words one fact and adds nothing to it.

Facts:
- rated 12 jazz records 4.6 of 5 on average, above their usual 3.4; among them Kind of Blue and Blue Train
- rated 7 opera records 2.1 of 5 on average, below their usual 3.4; among them Tosca and Aida
- rated Nevermind 1 of 5, below their usual 3.4
Sentences:
You enjoy jazz records such as Kind of Blue and Blue Train, and rated 12 of them 4.6 on average.
You are less taken with opera records such as Tosca and Aida, and rated 7 of them 2.1 on average.
You did not take to Nevermind, which you rated only 1 of 5."""

PRODUCT_SYSTEM = """\
You finish sentences about a product. Each sentence words one fact and adds nothing to it.

Facts:
- described as: "A moody trio recording with long, quiet piano solos"
- the 12 consumers who enjoy jazz records rated it 4.6 of 5 on average, above its overall 3.9
- the 5 consumers who enjoy opera records rated it 2.1 of 5 on average, below its overall 3.9
- 6 of 80 consumers rated it 2 or lower
Sentences:
It offers a moody trio recording with long, quiet piano solos.
It appeals to those who enjoy jazz records, 12 of whom rated it 4.6 on average.
It appeals less to those who enjoy opera records, 5 of whom rated it 2.1 on average.
It let down 6 of 80 consumers, who rated it 2 or lower."""

KINDS = {EntityKind.CONSUMER: "consumer_facets", EntityKind.PRODUCT: "product_facets"}
SYSTEMS = {EntityKind.CONSUMER: CONSUMER_SYSTEM, EntityKind.PRODUCT: PRODUCT_SYSTEM}
PROMPT = "Facts:\n{facts}\nSentences:"

_REVIEW = re.compile(r'^wrote of (?P<title>.+), rated (?P<stars>[\d.]+): "(?P<quote>.+)"$')
_QUOTE = re.compile(r'"(?P<quote>.+)"$')


class FacetConfig(BaseModel):
    """How many facets are asked for, and how long they may get."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_per_stance: int = 2
    max_tokens: int = 48
    """A ceiling, not a target: a sentence usually ends after half of it."""
    wording: Wording = Wording()


@dataclass(frozen=True)
class Rejected:
    """A line that failed: what it was and why."""

    fact_id: str
    text: str
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class Parsed:
    """The facets of one entity, and the model's lines that were refused."""

    facets: tuple[Facet, ...]
    rejected: tuple[Rejected, ...]

    @property
    def model_share(self) -> float:
        """Share of the facets that the model worded."""
        worded = sum(facet.model != TEMPLATE for facet in self.facets)
        return worded / len(self.facets) if self.facets else 0.0


def select(facts: Sequence[Fact], config: FacetConfig) -> list[tuple[Stance, Fact]]:
    """The facts of one entity that become facets, in the order of the answer's lines.

    Neutral facts (what a product is) stand in on the FOR side: one always, since a reader wants to know what the
    thing is, more only where nothing else speaks for it.
    """
    for_it = _strongest(facts, 1)
    neutral = _strongest(facts, 0)
    n_neutral = min(len(neutral), max(1, config.n_per_stance - len(for_it)))
    chosen = neutral[:n_neutral] + for_it[: config.n_per_stance - n_neutral]
    against = _strongest(facts, -1)[: config.n_per_stance]
    return [(Stance.FOR, fact) for fact in chosen] + [(Stance.AGAINST, fact) for fact in against]


def _strongest(facts: Sequence[Fact], polarity: int) -> list[Fact]:
    fitting = [fact for fact in facts if fact.polarity == polarity]
    return sorted(fitting, key=lambda fact: (-fact.weight, fact.fact_id))


def facet_requests(
    facts: Iterable[Fact], names: Mapping[str, str], identity: ModelIdentity, config: FacetConfig | None = None
) -> list[TextRequest]:
    """One request per entity that has facts, in order of entity.

    Args:
        facts: of consumers, products or both.
        names: titles by product id; they only label `TextRequest.subject`.
        identity: the model that will answer; part of the request's key.
        config: how many lines are asked for.
    """
    config = config or FacetConfig()
    requests = []
    for entity, group in by_entity(facts).items():
        chosen = select(group, config)
        if chosen:
            kind, entity_id = entity
            name = names.get(entity_id, "")
            lines = "\n".join(f"- {fact.text}" for _, fact in chosen)
            slots = tuple(Slot(opening(fact, config.wording), config.max_tokens) for _, fact in chosen)
            subject = f"{kind.value} {entity_id}" + (f" ({name})" if name else "")
            request = TextRequest(
                KINDS[kind], subject, SYSTEMS[kind], PROMPT.format(facts=lines), slots, identity
            )
            requests.append(request)
    return requests


def by_entity(facts: Iterable[Fact]) -> dict[tuple[EntityKind, str], list[Fact]]:
    """Facts grouped by what they are about."""
    ordered = sorted(facts, key=lambda fact: (fact.entity_kind.value, fact.entity_id))
    groups = groupby(ordered, key=lambda fact: (fact.entity_kind, fact.entity_id))
    return {entity: list(group) for entity, group in groups}


def parse_facets(
    request: TextRequest, completion: Completion | None, facts: Sequence[Fact], config: FacetConfig | None = None
) -> Parsed:
    """Turns an answer into facets; what fails is worded by the template.

    Args:
        request: as made by `facet_requests`.
        completion: its answer; None, or one that did not finish, means templates only.
        facts: those of this entity, as given to `facet_requests`.
        config: as given to `facet_requests`.
    """
    config = config or FacetConfig()
    chosen = select(facts, config)
    answered = completion is not None and len(completion.lines) == len(chosen)
    lines: Sequence[str] = completion.lines if completion is not None and answered else [""] * len(chosen)
    written = completion is not None and completion.finish is FinishReason.STOP
    facets, rejected, ranks = [], [], Counter[Stance]()
    for (stance, fact), slot, line in zip(chosen, request.slots, lines, strict=True):
        text = tidy(line)
        failed = failures(text, stance, [fact.fact_id], facts, slot.opening, request.prompt)
        if not written:
            failed = [Failure.UNFINISHED, *failed]
        if failed:
            rejected.append(Rejected(fact.fact_id, text, tuple(failed)))
        model = TEMPLATE if failed else f"{request.model.name}@{request.model.revision}"
        worded = template(fact, config.wording) if failed else text
        facets.append(_facet(fact, stance, ranks[stance], worded, model, request))
        ranks[stance] += 1
    return Parsed(tuple(facets), tuple(rejected))


def _facet(fact: Fact, stance: Stance, rank: int, text: str, model: str, request: TextRequest) -> Facet:
    return Facet(
        facet_id=f"{fact.fact_id}.{stance.value}",
        entity_kind=fact.entity_kind,
        entity_id=fact.entity_id,
        stance=stance,
        rank=rank,
        text=text,
        weight=fact.weight,
        fact_ids=(fact.fact_id,),
        evidence_time=fact.evidence_time,
        request_key=request.key,
        input_hash=content_hash(fact.fact_id, fact.text),
        model=model,
    )


def tidy(line: str) -> str:
    """A line without list marks and doubled spaces."""
    return " ".join(re.sub(r"^[-*\s]+", "", line).split())


def opening(fact: Fact, wording: Wording) -> str:
    """The prescribed start of a fact's sentence; it fixes the subject and the stance."""
    if fact.entity_kind is EntityKind.CONSUMER:
        return _consumer_opening(fact, wording)
    return _product_opening(fact, wording)


def _consumer_opening(fact: Fact, wording: Wording) -> str:
    liked = fact.polarity > 0
    if fact.source == "review" and (match := _REVIEW.match(fact.text)):
        return f"You {'praised' if liked else 'were not content with'} {match['title']}:"
    if fact.source == "title":
        return f"You {'liked' if liked else 'did not take to'} {fact.aspect.partition('=')[2]}"
    return f"You {'enjoy' if liked else 'are less taken with'} {wording.phrase(fact.aspect)}"


def _product_opening(fact: Fact, wording: Wording) -> str:
    liked = fact.polarity > 0
    if fact.source == "affinity":
        return f"It appeals {'to' if liked else 'less to'} those who enjoy {wording.phrase(fact.aspect)}"
    openings = {
        "mean": f"It is rated {'above' if liked else 'below'} the catalog's average",
        "high": "It pleased",
        "low": "It let down",
        "few": "It is little known:",
        "description": "It offers",
    }
    if fact.source == "review":
        return f"A consumer {'praised it' if liked else 'was not content'}:"
    return openings.get(fact.aspect, f"It belongs to {wording.phrase(fact.aspect)}")


def template(fact: Fact, wording: Wording) -> str:
    """A readable sentence for a fact, made by code."""
    start = opening(fact, wording)
    quote = _QUOTE.search(fact.text)
    if fact.source == "description" and quote:
        return f"It is described as: “{quote['quote']}”."
    if quote:
        return f"{start} “{quote['quote']}”."
    if fact.source == "attribute":
        return f"{start}."
    return f"{start}: {fact.text}."
