"""Which entities' facts are made again, and which stay as they are, byte for byte.

An entity's facts rest on its *own inputs*: a product's on its catalog row and the interactions of its evidence
window; a consumer's on the interactions of theirs and, of the products in them, on titles and attributes. While
these are unchanged the facts stay, with the figures of the whole corpus they mention (the catalog's mean, who
enjoys an aspect, which words reviews talk about) as they stood when the facts were made. So a change of some
products cannot ripple through such figures to entities that have nothing to do with them.

Consumers' histories grow all the time, so theirs may also have grown a little (`DebounceRule`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from features.evidence import Evidence, EvidenceWindow, rows
from features.sentences import key_sentence, spoken_title
from features.types import EntityKind, Fact, Snapshot, content_hash
from features.wording import Wording

Entity = tuple[EntityKind, str]

WRITERS = (
    "facts",
    "product_facts",
    "evidence",
    "mentions",
    "terms",
    "tone",
    "relevance",
    "sentences",
    "instructions",
    "redaction",
    "words",
    "wording",
)
"""Modules whose code decides what facts say: a change of it makes all of them again."""
_DAY = 86_400.0


class DebounceRule(BaseModel):
    """How much may happen to a consumer before their facts are made again; a recipe may set it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    new_events: int = Field(default=5, ge=1)
    """So many interactions since the facts were made call for new ones."""
    moved: float = Field(default=0.1, ge=0, le=2)
    """So does a history vector that moved by more than this cosine distance."""
    keep_days: float = Field(default=90.0, gt=0)
    """Age after which any entity's facts are made again, to take up the corpus's new figures."""


@dataclass(frozen=True)
class EntityInputs:
    """What an entity's facts would be made from now."""

    entity: Entity
    base: str
    """Hash of what does not grow: how facts are made, and a product's catalog row."""
    events: NDArray[np.uint64]
    """A hash per interaction of the evidence window, in order of time."""
    n_events: int
    """Interactions seen, also those after the evidence window."""
    history: Mapping[str, float]
    """A consumer's history vector: per aspect, stars above the middle of the scale, summed over the evidence."""

    def digest(self, n_evidence: int) -> str:
        """Hash of the inputs up to the `n_evidence`-th interaction."""
        return hashlib.sha256(self.base.encode() + self.events[:n_evidence].tobytes()).hexdigest()


@dataclass(frozen=True)
class EntityState:
    """What an entity's facts were made from, and when; a row of the lake's table `explain_state`."""

    entity_kind: EntityKind
    entity_id: str
    input_hash: str
    n_events: int
    n_evidence: int
    aspects: tuple[str, ...]
    """The history vector's axes that are not zero, and its values."""
    weights: tuple[float, ...]
    made_at: datetime
    """When its facts were made."""
    worded_at: datetime | None = None
    """When all its texts were last complete and new; None: never."""

    @property
    def entity(self) -> Entity:
        """Whose state it is."""
        return self.entity_kind, self.entity_id

    def worded(self, complete: bool, now: datetime) -> EntityState:
        """The state after a generation that answered all of the entity's requests, or not."""
        done = self.worded_at is not None and self.worded_at >= self.made_at
        return replace(self, worded_at=now) if complete and not done else self


@dataclass(frozen=True)
class Renewal:
    """The facts to explain from, and how they came about."""

    facts: tuple[Fact, ...]
    states: tuple[EntityState, ...]
    kept: frozenset[Entity]
    """Entities whose facts would be others by now but were kept."""
    remade: frozenset[Entity]
    """Entities whose facts were made now."""


def own_inputs(snapshot: Snapshot, window: EvidenceWindow, wording: Wording) -> list[EntityInputs]:
    """The inputs of every consumer with an interaction and every product of the catalog, in order of kind and id."""
    evidence = Evidence(snapshot)
    how = content_hash(_writers_code(), window.share, window.min_events, wording.model_dump(), evidence.scale)
    attributes = _attributes(evidence)
    titles = [spoken_title(title) for title in evidence.titles]
    heard = _hashed(pd.Series([f"{title}\n{said}" for title, said in zip(titles, attributes, strict=True)]))
    events = _event_hashes(evidence)
    by_consumer = _hashed(pd.DataFrame({"event": events, "product": heard[evidence.product]}))
    catalog_rows = [
        content_hash(how, title, said, key_sentence(description))
        for title, said, description in zip(titles, attributes, evidence.descriptions, strict=True)
    ]
    histories = _histories(evidence, window.mask(evidence.consumer))
    consumers = [
        EntityInputs((EntityKind.CONSUMER, str(name)), how, by_consumer[inside], seen, histories.get(code, {}))
        for code, (name, (inside, seen)) in enumerate(
            zip(evidence.consumer_ids, _windows(evidence.consumer, len(evidence.consumer_ids), window), strict=True)
        )
    ]
    products = [
        EntityInputs((EntityKind.PRODUCT, str(name)), row, events[inside], seen, {})
        for name, row, (inside, seen) in zip(
            evidence.product_ids,
            catalog_rows,
            _windows(evidence.product, len(evidence.product_ids), window),
            strict=True,
        )
    ]
    return [*consumers, *sorted(products, key=lambda item: item.entity)]


def renew(
    fresh: Iterable[Fact],
    inputs: Sequence[EntityInputs],
    before: Iterable[Fact],
    states: Iterable[EntityState],
    rule: DebounceRule,
    now: datetime,
) -> Renewal:
    """Chooses, entity by entity, between the facts of the last generation and fresh ones.

    Args:
        fresh: facts made from the current snapshot.
        inputs: of the current entities; others vanish, with their facts.
        before: the facts of the last generation.
        states: what those were made from.
        rule: how much may happen before they are made again.
        now: the time of this generation.
    """
    made, earlier = _grouped(fresh), _grouped(before)
    known = {state.entity: state for state in states}
    facts, kept_states, kept, remade = list[Fact](), list[EntityState](), set[Entity](), set[Entity]()
    for item in inputs:
        state = known.get(item.entity)
        if state is not None and stays(state, item, rule, now):
            chosen = earlier.get(item.entity, [])
            kept |= {item.entity} if chosen != made.get(item.entity, []) else set()
        else:
            chosen, state = made.get(item.entity, []), _state(item, state, now)
            remade.add(item.entity)
        facts += chosen
        kept_states.append(state)
    return Renewal(tuple(facts), tuple(kept_states), frozenset(kept), frozenset(remade))


def stays(state: EntityState, now: EntityInputs, rule: DebounceRule, time: datetime) -> bool:
    """Whether facts made in `state` still stand: nothing they rest on changed, and little was added."""
    if (time - state.made_at).total_seconds() >= rule.keep_days * _DAY or len(now.events) < state.n_evidence:
        return False
    if now.digest(state.n_evidence) != state.input_hash:
        return False
    if state.entity_kind is EntityKind.PRODUCT:
        return len(now.events) == state.n_evidence
    then = dict(zip(state.aspects, state.weights, strict=True))
    return now.n_events - state.n_events < rule.new_events and cosine_distance(then, now.history) <= rule.moved


def cosine_distance(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """1 - cosine of two sparse vectors; 0 if both are zero, 1 if one of them is."""
    sizes = [float(np.sqrt(sum(value * value for value in vector.values()))) for vector in (one, other)]
    if not all(sizes):
        return 0.0 if not any(sizes) else 1.0
    return 1.0 - sum(value * other.get(name, 0.0) for name, value in one.items()) / (sizes[0] * sizes[1])


def _state(item: EntityInputs, before: EntityState | None, now: datetime) -> EntityState:
    """The state of an entity whose facts are made now."""
    return EntityState(
        entity_kind=item.entity[0],
        entity_id=item.entity[1],
        input_hash=item.digest(len(item.events)),
        n_events=item.n_events,
        n_evidence=len(item.events),
        aspects=tuple(item.history),
        weights=tuple(item.history.values()),
        made_at=now,
        worded_at=before.worded_at if before else None,
    )


def _grouped(facts: Iterable[Fact]) -> dict[Entity, list[Fact]]:
    groups: dict[Entity, list[Fact]] = {}
    for fact in facts:
        groups.setdefault((fact.entity_kind, fact.entity_id), []).append(fact)
    return groups


@cache
def _writers_code() -> str:
    folder = Path(__file__).parent
    return content_hash([(folder / f"{name}.py").read_text(encoding="utf-8") for name in WRITERS])


def _hashed(values: pd.Series | pd.DataFrame) -> NDArray[np.uint64]:
    return np.asarray(pd.util.hash_pandas_object(values, index=False), dtype=np.uint64)


def _event_hashes(evidence: Evidence) -> NDArray[np.uint64]:
    """(N,) of who, what, when, how many stars and which words, white space apart."""
    reviews = [" ".join(text.split()) if isinstance(text, str) else "" for text in evidence.review]
    return _hashed(
        pd.DataFrame(
            {
                "consumer": evidence.consumer_ids[evidence.consumer],
                "product": evidence.product_ids[evidence.product],
                "time": evidence.time.astype(np.int64),
                "rating": evidence.rating,
                "review": np.array(reviews, dtype=object),
            }
        )
    )


def _attributes(evidence: Evidence) -> list[str]:
    """Per product its attributes as one text, in an order that does not depend on the source's."""
    said: list[list[str]] = [[] for _ in evidence.product_ids]
    for product, aspect in zip(evidence.aspect_pairs["product"], evidence.aspect_pairs["aspect"], strict=True):
        said[product].append("=".join(evidence.aspects[aspect]))
    return ["\n".join(sorted(values)) for values in said]


def _windows(codes: NDArray[np.int64], n: int, window: EvidenceWindow) -> list[tuple[NDArray[np.int64], int]]:
    """Per entity the events of its evidence window, in order of time, and how many it has in all."""
    order = np.argsort(codes, kind="stable")
    inside, counts = window.mask(codes)[order], np.bincount(codes, minlength=n)
    parts = np.split(np.arange(len(codes)), np.cumsum(counts)[:-1]) if n else []
    return [(order[part[inside[part]]], len(part)) for part in parts]


def _histories(evidence: Evidence, inside: NDArray[np.bool_]) -> dict[int, dict[str, float]]:
    """Per consumer code the history vector, without zeros."""
    middle = (evidence.scale.low + evidence.scale.high) / 2
    events = pd.DataFrame(
        {
            "consumer": evidence.consumer[inside],
            "product": evidence.product[inside],
            "stars": evidence.rating[inside] - middle,
        }
    )
    sums = (
        events.merge(evidence.aspect_pairs, on="product").groupby(["consumer", "aspect"], as_index=False)["stars"].sum()
    )
    histories: dict[int, dict[str, float]] = {}
    for row in rows(sums[sums["stars"] != 0]):
        histories.setdefault(row.consumer, {})["=".join(evidence.aspects[row.aspect])] = float(row.stars)
    return histories
