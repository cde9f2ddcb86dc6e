"""Facts: sourced, dated, readable statements about consumers and products, made without a language model.

Only the snapshot passed in is read. A fact about an entity rests on that entity's evidence window and on averages
as they stood at its events (`features/evidence.py`), so features made of facts can be used, without leaking,
for every interaction after `Fact.evidence_time`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from features.evidence import SHRINK, Codes, Evidence, EvidenceWindow, positions, rows
from features.mentions import quotations
from features.product_facts import product_facts
from features.sentences import spoken_title
from features.types import EntityKind, Fact, Snapshot
from features.wording import (
    FACTS_PER_POLARITY,
    Wording,
    aspect_of,
    choose,
    joined,
    of_top,
    part_of_id,
    stars,
    whole_stars,
)

__all__ = ["EvidenceWindow", "Wording", "consumer_facts", "product_facts"]

EXAMPLES = 2
"""Titles a fact names as examples."""


def consumer_facts(
    snapshot: Snapshot, window: EvidenceWindow | None = None, wording: Wording | None = None
) -> list[Fact]:
    """What each consumer has shown to enjoy (+1) and to enjoy less (-1), at most 6 of each.

    Args:
        snapshot: the world; nothing else is read.
        window: which of a consumer's interactions may be used (default: the first 60 %, at least 5).
        wording: the nouns of the dataset.

    Returns:
        Facts by consumer and polarity, strongest first. Sources: `ratings` (of an aspect), `title` (of one
        product), `review` (a sentence the consumer wrote).
    """
    evidence = Evidence(snapshot)
    if len(evidence.rating) == 0:
        return []
    writer = _ConsumerFacts(evidence, window or EvidenceWindow(), wording or Wording())
    return choose([*writer.of_aspects(), *writer.of_titles(), *writer.of_reviews()])


class _ConsumerFacts:
    """Numbers first, for all consumers at once; texts only for what can be chosen."""

    def __init__(self, evidence: Evidence, window: EvidenceWindow, wording: Wording) -> None:
        self.evidence, self.wording = evidence, wording
        self.event: Codes = np.flatnonzero(window.mask(evidence.consumer))
        frame = pd.DataFrame(
            {
                "event": self.event,
                "consumer": evidence.consumer[self.event],
                "product": evidence.product[self.event],
                "rating": evidence.rating[self.event],
                "time": evidence.time[self.event],
                "known": positions(evidence.product)[self.event],
            }
        )
        by_consumer = frame.groupby("consumer")
        self.usual = by_consumer["rating"].mean()
        self.until = by_consumer["time"].max().dt.tz_localize("UTC")
        usual = frame["consumer"].map(self.usual)
        bias = (evidence.product_before - evidence.overall_before)[self.event]
        frame["surprise"] = frame["rating"] - usual - bias
        self.frame = frame

    def of_aspects(self) -> Iterator[Fact]:
        """'rated 24 drama movies 4.3 of 5 on average, above their usual 3.6; among them Fargo'."""
        long = self.frame.merge(self.evidence.aspect_pairs, on="product")
        if long.empty:
            return
        groups = long.groupby(["consumer", "aspect"])
        table = groups.agg(n=("rating", "size"), mean=("rating", "mean"), total=("surprise", "sum")).reset_index()
        table["usual"] = table["consumer"].map(self.usual)
        strength = table["total"] / (table["n"] + SHRINK)
        difference = table["mean"].round(1) - table["usual"].round(1)
        table["polarity"] = np.sign(strength).astype(int)
        table["weight"] = strength.abs() * np.sqrt(table["n"] / (table["n"] + SHRINK))
        liked = (table["polarity"] < 0) | (table["mean"] >= self.evidence.liked_from)
        said = self.evidence.telling(difference, table["n"]) & (difference * table["polarity"] > 0)
        table = table[(table["n"] >= 2) & said & liked]
        table = _strongest(table, "consumer")
        examples = self._examples(long, table)
        for row in rows(table):
            yield self._aspect_fact(row, examples.get((row.consumer, row.aspect), []))

    def _examples(self, long: pd.DataFrame, table: pd.DataFrame) -> dict[tuple[int, int], list[str]]:
        """Titles per (consumer, aspect): the most telling ratings first, then the best-known products."""
        chosen = long.merge(table[["consumer", "aspect", "polarity"]], on=["consumer", "aspect"])
        chosen["telling"] = chosen["rating"] * chosen["polarity"]
        chosen = chosen.sort_values(["telling", "known", "event"], ascending=False, kind="stable")
        chosen = chosen[chosen.groupby(["consumer", "aspect"]).cumcount() < EXAMPLES]
        titles: dict[tuple[int, int], list[str]] = {}
        for row in rows(chosen):
            title = spoken_title(self.evidence.titles[row.product])
            if title and title not in titles.setdefault((row.consumer, row.aspect), []):
                titles[(row.consumer, row.aspect)].append(title)
        return titles

    def _aspect_fact(self, row: Any, examples: list[str]) -> Fact:
        name, value = self.evidence.aspects[row.aspect]
        aspect = aspect_of(name, value)
        consumer: int = row.consumer
        side = "above" if row.polarity > 0 else "below"
        text = (
            f"rated {row.n} {self.wording.phrase(aspect)} {stars(row.mean)} "
            f"{of_top(self.evidence.scale)} on average, {side} their usual {stars(row.usual)}"
        )
        if examples:
            text += f"; among them {joined(examples)}"
        return self._fact(
            consumer,
            f"{part_of_id(name)}.{part_of_id(value)}",
            aspect,
            text,
            row.polarity,
            row.weight,
            "ratings",
        )

    def of_titles(self) -> Iterator[Fact]:
        """'rated Fargo 5 of 5, above their usual 3.6': what is left where no aspect stands out."""
        frame, scale = self.frame, self.evidence.scale
        usual = frame["consumer"].map(self.usual)
        difference = frame["rating"].round(1) - usual.round(1)
        table = frame.assign(
            usual=usual,
            polarity=np.sign(difference).astype(int),
            weight=0.5 * frame["surprise"].abs() / (1 + SHRINK),
        )
        liked = (table["polarity"] < 0) | (table["rating"] >= self.evidence.liked_from)
        table = table[(table["polarity"] != 0) & (table["surprise"] * table["polarity"] > 0) & liked]
        for row in rows(_strongest(table, "consumer", 2)):
            title = spoken_title(self.evidence.titles[row.product])
            if not title:
                continue
            product = self.evidence.product_ids[row.product]
            side = "above" if row.polarity > 0 else "below"
            text = f"rated {title} {whole_stars(row.rating)} {of_top(scale)}, {side} their usual {stars(row.usual)}"
            yield self._fact(
                row.consumer,
                f"title.{part_of_id(product)}",
                f"title={title}",
                text,
                row.polarity,
                row.weight,
                "title",
            )

    def of_reviews(self) -> Iterator[Fact]:
        """'wrote of Fender strings, rated 5: "they stay in tune"'."""
        evidence = self.evidence
        for quoted in quotations(evidence, self.event, evidence.consumer, evidence.product):
            event = quoted.event
            title = spoken_title(evidence.titles[evidence.product[event]])
            if not title:
                continue
            text = f'wrote of {title}, rated {whole_stars(evidence.rating[event])}: "{quoted.sentence}"'
            yield self._fact(
                evidence.consumer[event],
                f"review.{evidence.event_id(event)}{quoted.suffix}",
                aspect_of("term", quoted.term),
                text,
                quoted.polarity,
                quoted.weight,
                "review",
                pd.Timestamp(evidence.time[event], tz="UTC"),
            )

    def _fact(
        self,
        consumer: int,
        key: str,
        aspect: str,
        text: str,
        polarity: int,
        weight: float,
        source: str,
        until: pd.Timestamp | None = None,
    ) -> Fact:
        entity = str(self.evidence.consumer_ids[consumer])
        time = self.until[consumer] if until is None else until
        return Fact(
            fact_id=f"c{entity}.{key}",
            entity_kind=EntityKind.CONSUMER,
            entity_id=entity,
            aspect=aspect,
            text=text,
            polarity=int(polarity),
            weight=float(weight),
            source=source,
            evidence_time=time.to_pydatetime(),
        )


def _strongest(table: pd.DataFrame, entity: str, limit: int = FACTS_PER_POLARITY) -> pd.DataFrame:
    """The heaviest `limit` rows per entity and polarity."""
    ordered = table.sort_values("weight", ascending=False, kind="stable")
    return ordered[ordered.groupby([entity, "polarity"]).cumcount() < limit]
