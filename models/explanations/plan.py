"""The plan of a generation: what the ledger holds, what is bought now, what waits, and what each costs.

Where a budget is short, the most valuable request comes first: priority = traffic x uncertainty x age.

- Traffic: 1 + the interactions of the entity in the last days of the data (`TRAFFIC_DAYS`).
- Uncertainty: the standard error of its mean rating, its variance pulled to that of all ratings: few or divided
  ratings make it large, and an entity without ratings has the largest.
- Age: 1 + the days since its texts were last complete. What never had texts counts as older than all that has.

A pair has the smaller traffic of its two sides, the larger uncertainty and the larger age. Nothing here calls a model
or writes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

import numpy as np
import pandas as pd

from features.evidence import SHRINK
from features.freshness import Entity, EntityState
from features.ledger import PastUse
from features.types import EntityKind, Snapshot, TextRequest
from models.llm.generate import Budget

TRAFFIC_DAYS = 90
CHARACTERS_PER_TOKEN = 4.0
"""Of a request's canonical JSON, for a kind of which the ledger holds no answer; else what its answers took."""
_DAY = 86_400.0


class Fate(StrEnum):
    """What becomes of a request."""

    LEDGER = "from ledger"
    KEPT = "kept"
    """From the ledger, for facts that were kept although others could be made: the debounce saved its call."""
    FAILED = "failed before"
    """Its answer was unusable; the same request would fail again."""
    BUY = "to buy"
    WAITING = "waiting"
    """Over the budget: for a later run."""


@dataclass(frozen=True)
class Worth:
    """Why a text should be made sooner than others."""

    traffic: int
    uncertainty: float
    age_days: float

    @property
    def priority(self) -> float:
        """Traffic x uncertainty x age."""
        return (1 + self.traffic) * self.uncertainty * (1 + self.age_days)


@dataclass(frozen=True)
class Asked:
    """A request and the entities it is about: one, or the two of a pair."""

    request: TextRequest
    entities: tuple[Entity, ...]


@dataclass(frozen=True)
class PlannedRequest:
    """A request with its fate, its worth, and what it is expected to take: nothing where it is not made."""

    request: TextRequest
    fate: Fate
    worth: Worth
    prompt_tokens: int
    completion_tokens: int

    @property
    def tokens(self) -> int:
        """Both kinds of tokens."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True)
class Plan:
    """All distinct requests; those to make come first, in the order in which they are made."""

    rows: tuple[PlannedRequest, ...]
    seconds_per_text: float | None = None
    """From past runs; None before the first."""

    @property
    def to_make(self) -> list[PlannedRequest]:
        """What the ledger does not know, most valuable first, whatever the budget."""
        return [row for row in self.rows if row.fate in (Fate.BUY, Fate.WAITING)]

    def rest_of(self, budget: Budget) -> Budget:
        """What is expected to be left of a budget once everything to buy is bought."""
        bought = [row for row in self.rows if row.fate is Fate.BUY]
        return budget.less(len(bought), sum(row.tokens for row in bought))

    def followed_by(self, other: Plan) -> Plan:
        """This plan and then another one, with which it shares no request."""
        return Plan((*self.rows, *other.rows), self.seconds_per_text)

    def expected_seconds(self, n_texts: int) -> float | None:
        """How long so many texts will take."""
        return None if self.seconds_per_text is None else n_texts * self.seconds_per_text


def make_plan(
    asked: Iterable[Asked],
    known: Collection[str],
    failed: Collection[str],
    kept: frozenset[Entity],
    worth: Mapping[Entity, Worth],
    past: Mapping[str, PastUse],
    budget: Budget,
    seconds_per_text: float | None = None,
) -> Plan:
    """Decides every distinct request's fate.

    Args:
        asked: all requests of the current facts.
        known: keys the ledger can answer.
        failed: keys whose answer was unusable.
        kept: entities whose facts were kept (`features/freshness.py`).
        worth: of the entities.
        past: what answers took so far, by kind.
        budget: what may be bought.
        seconds_per_text: of past runs.
    """
    settled, missing = dict[str, PlannedRequest](), dict[str, PlannedRequest]()
    for item in asked:
        key = item.request.key
        fate = Fate.LEDGER if key in known else Fate.FAILED if key in failed else Fate.BUY
        fate = Fate.KEPT if fate is Fate.LEDGER and not kept.isdisjoint(item.entities) else fate
        value = combined([worth[entity] for entity in item.entities])
        cost = expected_tokens(item.request, past.get(item.request.kind)) if fate is Fate.BUY else (0, 0)
        row = PlannedRequest(item.request, fate, value, *cost)
        group = missing if fate is Fate.BUY else settled
        if key not in group or group[key].worth.priority < value.priority:  # equal facts are worded once
            group[key] = row
    ordered = sorted(missing.items(), key=lambda item: (-item[1].worth.priority, item[0]))
    return Plan((*within([row for _, row in ordered], budget), *settled.values()), seconds_per_text)


def within(rows: Sequence[PlannedRequest], budget: Budget) -> list[PlannedRequest]:
    """The rows in their order, those over the budget marked as waiting."""
    spent, marked = 0, list[PlannedRequest]()
    for n, row in enumerate(rows):
        fits = (budget.calls is None or n < budget.calls) and (budget.tokens is None or spent < budget.tokens)
        spent += row.tokens
        marked.append(row if fits else replace(row, fate=Fate.WAITING))
    return marked


def expected_tokens(request: TextRequest, past: PastUse | None) -> tuple[int, int]:
    """Prompt and completion tokens a request will take.

    The prompt's are proportional to the length of the canonical request, at the rate of the past answers of its kind,
    or a token per `CHARACTERS_PER_TOKEN`. The completion's are the mean of these answers, or half of the limits: a
    sentence usually ends after half of it.
    """
    length = len(request.canonical())
    if past is None:
        return round(length / CHARACTERS_PER_TOKEN), sum(slot.max_tokens for slot in request.slots) // 2
    return round(length * past.prompt_tokens / past.characters), round(past.completion_tokens / past.answers)


def combined(worths: Sequence[Worth]) -> Worth:
    """The worth of a request about several entities."""
    return Worth(
        min(one.traffic for one in worths),
        max(one.uncertainty for one in worths),
        max(one.age_days for one in worths),
    )


def entity_worths(snapshot: Snapshot, states: Iterable[EntityState], now: datetime) -> dict[Entity, Worth]:
    """The worth of every consumer and product.

    Args:
        snapshot: all interactions, also those after the training period: how busy an entity is, is no feature.
        states: of the entities, as the last generation left them.
        now: the time of this generation.
    """
    ages = {
        state.entity: max((now - state.worded_at).total_seconds() / _DAY, 0.0)
        for state in states
        if state.worded_at is not None
    }
    oldest = max(ages.values(), default=0.0) + 1.0
    frame = snapshot.interactions.frame
    worths: dict[Entity, Worth] = {}
    for kind, column, names in (
        (EntityKind.CONSUMER, "consumer_id", frame["consumer_id"].unique()),
        (EntityKind.PRODUCT, "product_id", snapshot.catalog.products["product_id"]),
    ):
        table = _demand(frame, column, snapshot.as_of).reindex(names)
        unknown = _standard_error(frame["rating"], pd.Series([0.0]), pd.Series([0.0]))[0]
        rows = zip(table.index, table["traffic"].fillna(0), table["error"].fillna(unknown), strict=True)
        for name, traffic, error in rows:
            entity = (kind, str(name))
            worths[entity] = Worth(int(traffic), float(error), ages.get(entity, oldest))
    return worths


def _demand(frame: pd.DataFrame, column: str, as_of: datetime) -> pd.DataFrame:
    """Per entity its recent interactions and the standard error of its mean rating."""
    recent = frame["timestamp"] >= pd.Timestamp(as_of) - pd.Timedelta(days=TRAFFIC_DAYS)
    groups = frame.assign(recent=recent).groupby(column)
    table = groups.agg(n=("rating", "count"), variance=("rating", "var"), traffic=("recent", "sum"))
    squares = table["variance"].fillna(0.0) * (table["n"] - 1).clip(lower=0)
    return table.assign(error=_standard_error(frame["rating"], squares, table["n"]))


def _standard_error(ratings: pd.Series, squares: pd.Series, n: pd.Series) -> pd.Series:
    """Of the mean of `n` ratings with a sum of squared deviations, beside `SHRINK` ratings that vary as all do."""
    overall = float(ratings.var()) if len(ratings) > 1 else 1.0
    return pd.Series(np.sqrt((squares + SHRINK * overall) / (n + SHRINK) / (n + 1)))
