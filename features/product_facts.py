"""Facts about products: what they are, how they are rated and by whom, what reviews say for and against them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from features.evidence import SHRINK, Codes, Evidence, EvidenceWindow, rows
from features.mentions import quotations
from features.sentences import key_sentence, pans
from features.types import EntityKind, Fact, Snapshot
from features.wording import CATALOG_TIME, Wording, aspect_of, choose, of_top, part_of_id, stars, whole_stars

MIN_AFFINITY = 3
"""Fewest consumers with a taste whose average is worth a statement."""
ENOUGH_RATINGS = 5
"""Fewest ratings of which a share says anything."""


def product_facts(
    snapshot: Snapshot, window: EvidenceWindow | None = None, wording: Wording | None = None
) -> list[Fact]:
    """What speaks for (+1) and against (-1) each product, at most 6 of each, and what it is (0).

    Args:
        snapshot: the world; nothing else is read.
        window: which of a product's interactions may be used (default: the first 60 %, at least 5).
        wording: the nouns of the dataset.

    Returns:
        Facts by product and polarity, strongest first. Sources: `attribute` and `description` (neutral,
        from the catalog), `ratings` (mean, share of low and of high ones), `affinity` (of those who
        enjoy an aspect) and `review` (a sentence of a consumer, who is not named).
    """
    evidence = Evidence(snapshot)
    writer = _ProductFacts(evidence, window or EvidenceWindow(), wording or Wording())
    facts = [*writer.of_catalog()]
    if len(evidence.rating):
        facts += [*writer.of_ratings(), *writer.of_affinities(), *writer.of_reviews()]
    return choose(facts)


class _ProductFacts:
    """Numbers first, for all products at once; then texts."""

    def __init__(self, evidence: Evidence, window: EvidenceWindow, wording: Wording) -> None:
        self.evidence, self.wording = evidence, wording
        self.inside = window.mask(evidence.product)
        self.event: Codes = np.flatnonzero(self.inside)
        self.table = self._rating_table()

    def _rating_table(self) -> pd.DataFrame:
        """One row per rated product: n, mean, overall mean at its last event, low and high counts, until."""
        evidence, scale = self.evidence, self.evidence.scale
        low = scale.low + 0.25 * (scale.high - scale.low)
        frame = pd.DataFrame(
            {
                "product": evidence.product[self.event],
                "rating": evidence.rating[self.event],
                "overall": evidence.overall_before[self.event],
                "time": evidence.time[self.event],
                "low": evidence.rating[self.event] <= low,
                "surprise": evidence.surprise[self.event],
                "high": evidence.rating[self.event] >= scale.like_from,
            }
        )
        table = frame.groupby("product").agg(
            n=("rating", "size"),
            mean=("rating", "mean"),
            overall=("overall", "last"),
            until=("time", "max"),
            low=("low", "sum"),
            high=("high", "sum"),
            surprise=("surprise", "mean"),
        )
        return table.assign(until=table["until"].dt.tz_localize("UTC"), low_from=low)

    def of_catalog(self) -> Iterator[Fact]:
        """'its genre is Drama'; 'described as: "A young..."'. Known before any interaction."""
        for row in rows(self.evidence.aspect_pairs):
            name, value = self.evidence.aspects[row.aspect]
            key, aspect = f"{part_of_id(name)}.{part_of_id(value)}", aspect_of(name, value)
            rarity = 1.0 / (1.0 + row.aspect)
            text = f"its {name} is {value}"
            yield self._fact(row.product, key, aspect, text, 0, 0.5 - 0.3 * rarity, "attribute", CATALOG_TIME)
        for product, description in enumerate(self.evidence.descriptions):
            sentence = key_sentence(description)
            if sentence:
                text = f'described as: "{sentence}"'
                polarity, weight = (-1, 0.3) if pans(sentence) else (0, 0.6)
                yield self._fact(product, "text", "description", text, polarity, weight, "description", CATALOG_TIME)

    def of_ratings(self) -> Iterator[Fact]:
        """'rated by 243 consumers, 4.5 of 5 on average, above the catalog's 3.5', and who differs."""
        scale = self.evidence.scale
        differences = self.table["mean"].round(1) - self.table["overall"].round(1)
        told = self.evidence.telling(differences, self.table["n"])
        for row, difference, telling in zip(rows(self.table), differences, told, strict=True):
            until, who = row.until, _consumers(row.n)
            if telling:
                side, weight = ("above", 1) if difference > 0 else ("below", -1)
                text = (
                    f"rated by {who}, {stars(row.mean)} {of_top(scale)} on average, "
                    f"{side} the catalog's {stars(row.overall)}"
                )
                strength = abs(row.mean - row.overall) * row.n / (row.n + SHRINK)
                yield self._fact(row.Index, "mean", "mean", text, weight, strength, "ratings", until)
            yield from self._share_facts(row)

    def _share_facts(self, row: Any) -> Iterator[Fact]:
        """'6 of 80 consumers rated it 2 or lower': if that is more than one, and more than products usually have."""
        liked_from, of_all = self.evidence.scale.like_from, self.table["n"].sum()
        for key, polarity, part, bound, factor in (
            ("low", -1, row.low, f"{whole_stars(row.low_from)} or lower", 1.0),
            ("high", 1, row.high, f"{whole_stars(liked_from)} or higher", 0.4),
        ):
            if part > 1 and row.n >= ENOUGH_RATINGS and part / row.n > self.table[key].sum() / of_all:
                text = f"{part} of {_consumers(row.n)} rated it {bound}"
                weight = factor * part / (row.n + SHRINK)
                yield self._fact(row.Index, key, key, text, polarity, weight, "ratings", row.until)

    def of_affinities(self) -> Iterator[Fact]:
        """'the 12 consumers who enjoy comedy movies rated it 2.9 of 5 on average, below its overall 3.8'."""
        for code in range(self.evidence.has_aspect.shape[1]):
            name, value = self.evidence.aspects[code]
            for row in rows(self._liked_by(code)):
                yield self._affinity_fact(row, name, value)

    def _liked_by(self, code: int) -> pd.DataFrame:
        """Products rated by enough consumers who had shown to enjoy the aspect, and how that differs.

        The strength compares their surprise at the product with everybody's, so that kind raters are no fans.
        """
        evidence = self.evidence
        chosen = np.flatnonzero(self.inside & evidence.enjoys(code))
        fans = pd.DataFrame(
            {
                "product": evidence.product[chosen],
                "rating": evidence.rating[chosen],
                "surprise": evidence.surprise[chosen],
            }
        )
        table = fans.groupby("product").agg(
            n=("rating", "size"), mean=("rating", "mean"), surprise=("surprise", "mean")
        )
        table = table.join(self.table[["mean", "surprise", "until"]], rsuffix="_all")
        strength = (table["surprise"] - table["surprise_all"]) * table["n"] / (table["n"] + SHRINK)
        difference = table["mean"].round(1) - table["mean_all"].round(1)
        table = table.assign(strength=strength, polarity=np.sign(difference).astype(int))
        middle = (evidence.scale.low + evidence.scale.high) / 2
        said = (table["polarity"] < 0) | (table["mean"] >= middle)  # 1.8 of 5 praises nothing
        said &= evidence.telling(difference, table["n"])
        return table[said & (table["n"] >= MIN_AFFINITY) & (difference * strength > 0)]

    def _affinity_fact(self, row: Any, name: str, value: str) -> Fact:
        aspect, side = aspect_of(name, value), "above" if row.polarity > 0 else "below"
        text = (
            f"the {row.n} consumers who enjoy {self.wording.phrase(aspect)} rated it {stars(row.mean)} "
            f"{of_top(self.evidence.scale)} on average, {side} its overall {stars(row.mean_all)}"
        )
        key = f"taste.{part_of_id(name)}.{part_of_id(value)}"
        return self._fact(row.Index, key, aspect, text, row.polarity, abs(row.strength), "affinity", row.until)

    def of_reviews(self) -> Iterator[Fact]:
        """'a consumer who rated it 5 wrote: "the strings stay in tune"'."""
        evidence = self.evidence
        for quoted in quotations(evidence, self.event, evidence.product, evidence.consumer):
            event = quoted.event
            text = f'a consumer who rated it {whole_stars(evidence.rating[event])} wrote: "{quoted.sentence}"'
            key, aspect = f"review.{evidence.event_id(event)}{quoted.suffix}", aspect_of("term", quoted.term)
            until = pd.Timestamp(evidence.time[event], tz="UTC")
            product = evidence.product[event]
            yield self._fact(product, key, aspect, text, quoted.polarity, quoted.weight, "review", until)

    def _fact(
        self,
        product: int,
        key: str,
        aspect: str,
        text: str,
        polarity: int,
        weight: float,
        source: str,
        until: datetime,
    ) -> Fact:
        entity = str(self.evidence.product_ids[product])
        return Fact(
            fact_id=f"p{entity}.{key}",
            entity_kind=EntityKind.PRODUCT,
            entity_id=entity,
            aspect=aspect,
            text=text,
            polarity=polarity,
            weight=float(weight),
            source=source,
            evidence_time=until.to_pydatetime() if isinstance(until, pd.Timestamp) else until,
        )


def _consumers(count: int) -> str:
    return "1 consumer" if count == 1 else f"{count} consumers"
