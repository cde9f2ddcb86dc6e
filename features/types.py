"""The nouns that travel between files: interactions, catalog, snapshot, facts, facets, explanations, texts.

Frames are used at the edges only; their columns are fixed here and nowhere else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from functools import cached_property

import pandas as pd


class Stance(StrEnum):
    """Which side of the argument a text takes."""

    FOR = "for"
    AGAINST = "against"


class EntityKind(StrEnum):
    """What a fact, a facet or a feature row is about."""

    CONSUMER = "consumer"
    PRODUCT = "product"


STANCES = (Stance.FOR, Stance.AGAINST)
"""Order of the stance axis in every array that has one."""

ANSWER_SCHEMA = "claims-1"
"""Version of the form of answers and of the rules they are decoded by; a change asks everything again."""

INTERACTION_COLUMNS = ("row", "consumer_id", "product_id", "timestamp", "rating", "review")
"""`row`: number of the source row, from 0. `timestamp`: datetime64[us, UTC]. `review`: text or None."""

PRODUCT_COLUMNS = ("product_id", "title", "description")
ATTRIBUTE_COLUMNS = ("product_id", "name", "value")
CONSUMER_COLUMNS = ("consumer_id", "name", "value")
VISUAL_COLUMNS = ("product_id", "vector")
"""`vector`: a list of as many numbers for every product that has one."""


@dataclass(frozen=True)
class RatingScale:
    """The stars of a dataset: lowest, highest, and from where a rating counts as liked."""

    low: float = 1.0
    high: float = 5.0
    like_from: float = 4.0


@dataclass(frozen=True, eq=False)
class Interactions:
    """Events in order of time (equal times in source order); columns `INTERACTION_COLUMNS`.

    One row per consumer and product: readers keep the latest of repeats and quarantine the others.
    """

    frame: pd.DataFrame

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True, eq=False)
class Catalog:
    """All products: one row each in `products`; categorical attributes in long form in `attributes`.

    `products` has `PRODUCT_COLUMNS` (description may be empty); `attributes` has `ATTRIBUTE_COLUMNS`, for
    instance (`50`, `genre`, `Sci-Fi`). `consumers` has `CONSUMER_COLUMNS`: what a source says of consumers beside their
    events, for instance (`7`, `age`, `25-34`). It is personal: features may rest on it, facts, prompts and logs do not.
    `visuals` has `VISUAL_COLUMNS`: what products look like, for those of which a source says it.
    """

    products: pd.DataFrame
    attributes: pd.DataFrame
    consumers: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(CONSUMER_COLUMNS), dtype=object))
    visuals: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(VISUAL_COLUMNS), dtype=object))

    def __len__(self) -> int:
        return len(self.products)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Interactions and catalog as visible at `as_of`: every interaction is strictly earlier."""

    interactions: Interactions
    catalog: Catalog
    scale: RatingScale
    as_of: datetime

    def before(self, as_of: datetime) -> Snapshot:
        """The same world at an earlier time; the only way to cut, so leakage cannot hide in a filter."""
        frame = self.interactions.frame
        kept = frame[frame["timestamp"] < pd.Timestamp(as_of)]
        return Snapshot(Interactions(kept.reset_index(drop=True)), self.catalog, self.scale, as_of)


@dataclass(frozen=True)
class Fact:
    """One sourced, dated statement about a consumer or a product, made without a language model.

    `polarity` is +1 (speaks for), -1 (speaks against) or 0 (neutral, context for the prompt only).
    `evidence_time` is the time of the last event the statement rests on.
    """

    fact_id: str
    entity_kind: EntityKind
    entity_id: str
    aspect: str
    text: str
    polarity: int
    weight: float
    source: str
    evidence_time: datetime


@dataclass(frozen=True)
class Facet:
    """A short statement by a language model about one entity, with the facts it rests on.

    Stance FOR: attractor of a consumer, strength of a product. AGAINST: aversion, weakness.
    """

    facet_id: str
    entity_kind: EntityKind
    entity_id: str
    stance: Stance
    rank: int
    text: str
    weight: float
    fact_ids: tuple[str, ...]
    evidence_time: datetime
    request_key: str
    input_hash: str
    model: str


@dataclass(frozen=True)
class Explanation:
    """Why one consumer would like one product (FOR), or why not (AGAINST), with its evidence."""

    consumer_id: str
    product_id: str
    stance: Stance
    text: str
    fact_ids: tuple[str, ...]
    evidence_time: datetime | None
    granularity: str
    """`pair`: written for this pair by the model. `entity`: composed from facets. `none`: nothing known."""
    model: str
    request_key: str


@dataclass(frozen=True)
class ShownFact:
    """A fact as a request shows it. Its label is local (`F1`): ids hold consumers' names, which leave no machine."""

    label: str
    text: str


@dataclass(frozen=True)
class Slot:
    """One claim that is asked for: a prescribed opening that the model continues, up to a stop or a limit."""

    opening: str
    max_tokens: int = 24
    about: str = ""
    """What this line alone is about, shown to the model after the request's prompt. An engine may write the lines of
    one request independently of each other, each seeing only its own `about`."""
    stance: Stance | None = None
    """The side the claim must take."""
    cites: tuple[str, ...] = ()
    """Labels of the facts it may rest on."""


@dataclass(frozen=True)
class Claim:
    """One statement of an answer, with its side, its weight (0 to 1) and the labels of the facts it rests on."""

    text: str
    stance: Stance | None = None
    weight: float = 1.0
    cites: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelIdentity:
    """Which model answers: part of every request's key."""

    name: str
    revision: str


@dataclass(frozen=True)
class TextRequest:
    """One prompt with all settings that can change its answer.

    `system` is the same for every request of a kind (engines reuse its state); `prompt` is the part of this
    request; `facts` are what it may rest on, `slots` prescribe the answer's claims. `subject` says what the
    request is about and is not part of the key.
    """

    kind: str
    subject: str
    system: str
    prompt: str
    slots: tuple[Slot, ...]
    model: ModelIdentity
    temperature: float = 0.0
    seed: int = 0
    facts: tuple[ShownFact, ...] = ()
    tenant: str = ""
    """Whose data this is: answers are never shared between tenants."""
    schema: str = ANSWER_SCHEMA

    def canonical(self) -> str:
        """Canonical JSON of what can change the answer; the key is its hash."""
        content = {part.name: getattr(self, part.name) for part in fields(self) if part.name != "subject"}
        return json.dumps(content, default=vars, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    @cached_property
    def key(self) -> str:
        """sha256 of the canonical JSON, in hex."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()


class FinishReason(StrEnum):
    """How an answer ended; only STOP is ever used."""

    STOP = "stop"
    LENGTH = "length"
    REFUSED = "refused"
    MALFORMED = "malformed"


@dataclass(frozen=True)
class Completion:
    """One answer: one claim per slot of its request (the opening included), with usage."""

    request_key: str
    claims: tuple[Claim, ...]
    finish: FinishReason
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    model: ModelIdentity
    note: str = field(default="")

    @property
    def lines(self) -> tuple[str, ...]:
        """The claims' texts."""
        return tuple(claim.text for claim in self.claims)


def claims_of(slots: Sequence[Slot], lines: Sequence[str]) -> tuple[Claim, ...]:
    """Lines written slot by slot, as claims of the prescribed side that rest on the prescribed facts."""
    return tuple(Claim(line, slot.stance, 1.0, slot.cites) for slot, line in zip(slots, lines, strict=True))


def content_hash(*parts: object) -> str:
    """sha256 in hex of the canonical JSON of the parts: the hash that derived rows store of their inputs."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
