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
    ShownFact,
    Slot,
    Stance,
    TextRequest,
    content_hash,
)
from features.wording import Wording
from models.explanations.gates import TEMPLATE, Failure, failures, miscites, turned_round
from models.explanations.retry import Rejected

CONSUMER_SYSTEM = """\
You turn a fact about a person into one plain sentence. Keep names and numbers as they are and add nothing.

Fact: rated 12 jazz records 4.6 of 5 on average, above their usual 3.4; among them Kind of Blue and Blue Train
Sentence: You enjoy jazz records such as Kind of Blue and Blue Train, and rated 12 of them 4.6 of 5 on average.
Fact: rated 7 opera records 2.1 of 5 on average, below their usual 3.4; among them Tosca and Aida
Sentence: You are less taken with opera records such as Tosca and Aida, \
and rated 7 of them 2.1 of 5 on average.
Fact: rated Nevermind 1 of 5, below their usual 3.4
Sentence: You did not take to Nevermind and rated it 1 of 5, below your usual 3.4.
Fact: wrote of Oak Shelf, rated 5: "It was easy to build and holds all my records"
Sentence: You praised Oak Shelf and wrote: It was easy to build and holds all my records."""

PRODUCT_SYSTEM = """\
You turn a fact about a product into one plain sentence. Keep names and numbers as they are and add nothing.

Fact: described as: "Blue Hour is a moody trio recording that explores long, quiet piano solos"
Sentence: It is a moody trio recording that explores long, quiet piano solos.
Fact: described as: "In Night Train, three friends record an album before their label closes"
Sentence: In it, three friends record an album before their label closes.
Fact: the 12 consumers who enjoy jazz records rated it 4.6 of 5 on average, above its overall 3.9
Sentence: It appeals to those who enjoy jazz records: 12 of them rated it 4.6 of 5 on average, \
above its overall 3.9.
Fact: rated by 80 consumers, 3.9 of 5 on average, above the catalog's 3.4
Sentence: With 3.9 of 5 on average from 80 consumers, it is rated above the catalog's 3.4.
Fact: 6 of 80 consumers rated it 2 or lower
Sentence: It let down 6 of 80 consumers, who rated it 2 or lower.
Fact: a consumer who rated it 5 wrote: "It was easy to build and holds all my records"
Sentence: A consumer who rated it 5 wrote: It was easy to build and holds all my records."""

KINDS = {EntityKind.CONSUMER: "consumer_facets", EntityKind.PRODUCT: "product_facets"}
SYSTEMS = {EntityKind.CONSUMER: CONSUMER_SYSTEM, EntityKind.PRODUCT: PRODUCT_SYSTEM}
PROMPT = "Fact: {fact}"

_REVIEW = re.compile(r'^wrote of (?P<title>.+), rated (?P<stars>[\d.]+): "(?P<quote>.+)"$')
_RATED = re.compile(r"^rated (?P<title>.+) (?P<stars>[\d.]+) of (?P<top>[\d.]+), (?:above|below)")
_MEAN = re.compile(r"^rated by (?P<who>\d+ consumers?), (?P<mean>[\d.]+ of [\d.]+) on average")
_COUNT = re.compile(r"^(?P<count>\d+ of \d+ consumers?) rated")
_TASTE = re.compile(r"^the (?P<count>\d+) consumers")
_QUOTE = re.compile(r'"(?P<quote>.+)"$')
_IS = re.compile(r"^.{0,80}? is (?P<article>an?|the) ")
QUOTED_WORDS = 3
MILD = 0.75
"""From this share of the top rating, a rating below the usual one is called `a little less taken with`."""


class FacetConfig(BaseModel):
    """How many facets are asked for, and how long they may get."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_per_stance: int = 2
    max_tokens: int = 48
    """A ceiling, not a target: a sentence usually ends after half of it."""
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
    facts = [fact for _, fact in chosen]
    shown = tuple(ShownFact(f"F{n}", fact.text) for n, fact in enumerate(facts, 1))
    slots = tuple(
        Slot(opening(fact, config.wording), config.max_tokens, PROMPT.format(fact=fact.text), stance, (label.label,))
        for (stance, fact), label in zip(chosen, shown, strict=True)
    )
    kind = facts[0].entity_kind
    subject = f"{kind.value} {facts[0].entity_id}"
    return TextRequest(KINDS[kind], subject, SYSTEMS[kind], "", slots, identity, facts=shown)


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
) -> Parsed:
    """Turns answers into facets, in order of entity, stance and rank; what fails is worded by the template.

    Args:
        facts: as given to `facet_requests`.
        completions: answers by request key, those to second requests included; a missing or unfinished one
            means the template.
        identity: as given to `facet_requests`.
        config: as given to `facet_requests`.
    """
    config = config or FacetConfig()
    facets: list[Facet] = []
    rejected: list[Rejected] = []
    for group in by_entity(facts).values():
        chosen = select(group, config)
        if chosen:
            request = request_for(chosen, identity, config)
            made, refused = _parse_entity(chosen, request, completions, config)
            facets += made
            rejected += refused
    return Parsed(tuple(facets), tuple(rejected))


def _parse_entity(
    chosen: Sequence[tuple[Stance, Fact]],
    request: TextRequest,
    completions: Mapping[str, Completion],
    config: FacetConfig,
) -> tuple[list[Facet], list[Rejected]]:
    """The facets of one entity, and its lines that were refused."""
    lines = [_read_twice(request, place, fact, completions) for place, (_, fact) in enumerate(chosen)]
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
class _Line:
    """What was read for one slot: the text that passed or nothing, the request it answers, and what was refused."""

    request: TextRequest
    text: str = ""
    rejected: tuple[Rejected, ...] = ()


def _read_twice(request: TextRequest, place: int, fact: Fact, completions: Mapping[str, Completion]) -> _Line:
    """The line of the first answer, or that of the second if the first was refused and asked for again."""
    text, failed = read_line(request, place, claims_in(request, completions.get(request.key))[place], fact)
    if not failed:
        return _Line(request, text)
    refused = Rejected(request, place, text, tuple(failed))
    second = refused.second
    if second is None or second.key not in completions:
        return _Line(request, "", (refused,))
    text, failed = read_line(second, 0, claims_in(second, completions[second.key])[0], fact)
    if failed:
        return _Line(request, "", (refused, Rejected(second, 0, text, tuple(failed))))
    return _Line(second, text, (replace(refused, recovered=True),))


def claims_in(request: TextRequest, completion: Completion | None) -> Sequence[Claim]:
    """One claim per slot; all empty where there is no finished answer."""
    usable = completion is not None and completion.finish is FinishReason.STOP
    return completion.claims if completion is not None and usable else [Claim("")] * len(request.slots)


def read_line(request: TextRequest, place: int, claim: Claim, fact: Fact) -> tuple[str, list[Failure]]:
    """One claim of an answer and the gates it fails. A line cut short holds its opening alone."""
    slot, text = request.slots[place], tidy(claim.text)
    if not text or text == tidy(slot.opening):
        return "", [Failure.EMPTY]
    stance = slot.stance or Stance.FOR
    found = failures(text, stance, [fact.fact_id], [fact], slot.opening, request.system)
    return text, list(dict.fromkeys([*found, *miscites(claim, slot, [shown.label for shown in request.facts])]))


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


def opening(fact: Fact, wording: Wording) -> str:
    """The prescribed start of a fact's sentence; it fixes the subject and the stance."""
    if fact.entity_kind is EntityKind.CONSUMER:
        return _consumer_opening(fact, wording)
    return _product_opening(fact, wording)


def _consumer_opening(fact: Fact, wording: Wording) -> str:
    liked = fact.polarity > 0
    if match := _REVIEW.match(fact.text):
        judged = "praised" if liked else "were not content with"
        return f"You {judged} {match['title']} and wrote: {_start(_quoted(fact))}"
    if fact.source == "title" and (match := _RATED.match(fact.text)):
        mild = float(match["stars"]) >= MILD * float(match["top"])
        distance = "were a little less taken with" if mild else "did not take to"
        took = "liked" if liked else distance
        return f"You {took} {match['title']} and rated it {match['stars']} of {match['top']},"
    return f"You {'enjoy' if liked else 'are less taken with'} {wording.phrase(fact.aspect)}"


def _product_opening(fact: Fact, wording: Wording) -> str:
    liked = fact.polarity > 0
    if match := _MEAN.match(fact.text):
        return f"With {match['mean']} on average from {match['who']}, it is rated"
    if match := _COUNT.match(fact.text):
        return f"It {'pleased' if liked else 'let down'} {match['count']},"
    if match := _TASTE.match(fact.text):
        who = f"those who enjoy {wording.phrase(fact.aspect)}: {match['count']} of them"
        return f"It appeals {'to' if liked else 'less to'} {who}"
    if fact.source == "description":
        return _description_opening(_quoted(fact))
    if fact.source == "review":
        return f"{_reviewer(fact)} {_start(_quoted(fact))}"
    if fact.aspect == "few":
        return "It is little known, since"
    return f"It is among {wording.phrase(fact.aspect)}"


def _description_opening(sentence: str) -> str:
    """The start that lets a description's first sentence run on as it stands."""
    if match := _IS.match(sentence):
        return f"It is {match['article']}"
    if sentence.startswith("In ") and ", " in sentence[:60]:
        return f"In it, {_start(sentence.split(', ', 1)[1])}"
    return f"Its description says: {_start(sentence)}"


def _start(sentence: str) -> str:
    """A quotation's first words: with them in place the model copies on; without, it makes things up."""
    return " ".join(sentence.split()[:QUOTED_WORDS])


def _reviewer(fact: Fact) -> str:
    return fact.text.split(' "')[0].replace("a consumer", "A consumer", 1)


def _quoted(fact: Fact) -> str:
    match = _QUOTE.search(fact.text)
    return match["quote"] if match else ""


def template(fact: Fact, wording: Wording) -> str:
    """A readable sentence for a fact, made by code."""
    start = opening(fact, wording)
    if fact.source == "description":
        return f"It is described as “{_quoted(fact)}”."
    if fact.source == "review":
        return f"{start.removesuffix(_start(_quoted(fact)))}“{_quoted(fact)}”."
    if fact.source == "attribute":
        return f"{start}."
    if fact.entity_kind is EntityKind.CONSUMER and fact.source == "ratings":
        return _aspect_sentence(start, fact.text)
    if fact.aspect == "few":
        return f"{start} {fact.text}."
    marks = {"title": r", (above|below)", "affinity": r" rated it", "mean": r", (above|below)"}
    mark = marks.get(fact.source) or marks.get(fact.aspect) or r" rated it"
    match = re.search(mark, fact.text)
    rest = fact.text[match.start() :].lstrip(", ") if match else fact.text
    joint = " who " if start.endswith(("consumers,", "consumer,")) else " "
    return f"{start}{joint}{rest}.".replace("their usual", "your usual")


def _aspect_sentence(start: str, text: str) -> str:
    """'You enjoy war movies such as Patton, and rated 2 of them 5.0 of 5 on average.'"""
    rated, _, examples = text.partition("; among them ")
    count, mean = rated.split()[1], re.search(r"[\d.]+ of [\d.]+ on average", rated)
    such = f" such as {examples}" if examples else ""
    return f"{start}{such}, and rated {count} of them {mean[0] if mean else ''}."
