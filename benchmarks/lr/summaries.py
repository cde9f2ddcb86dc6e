"""What a consumer did and what a product is, in one neutral sentence each: a summary, with no why and no why not.

From the same evidence as the facts, by code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from benchmarks.lr.controls import both_stances
from benchmarks.lr.splits import BenchSplit
from features.evidence import Evidence, rows
from features.sentences import key_sentence, spoken_title
from features.types import EntityKind
from features.wording import aspect_of, joined, of_top, stars

ASPECTS, EXAMPLES = 3, 2
"""Attributes and titles that a summary names."""


def summaries(split: BenchSplit) -> pd.DataFrame:
    """One summary per consumer and product that has any evidence, in the slots of both stances."""
    writer = _Summaries(split)
    kinds = ((EntityKind.CONSUMER, writer.consumers()), (EntityKind.PRODUCT, writer.products()))
    parts = []
    for kind, written in kinds:
        listed = list(written)
        texts = {entity: [text] for entity, text, _ in listed}
        parts.append(both_stances(texts, kind, {entity: time for entity, _, time in listed}))
    return pd.concat(parts, ignore_index=True)


class _Summaries:
    def __init__(self, split: BenchSplit) -> None:
        self.evidence = evidence = Evidence(split.evidence_snapshot)
        self.wording, self.window = split.section.wording, split.window
        self.events = pd.DataFrame(
            {
                "consumer": evidence.consumer,
                "product": evidence.product,
                "rating": evidence.rating,
                "time": pd.to_datetime(evidence.time).tz_localize("UTC"),
            }
        )

    def consumers(self) -> Iterator[tuple[str, str, pd.Timestamp]]:
        """Id, 'You rated 24 movies 3.6 of 5 on average, mostly drama movies; among them Fargo.', last event."""
        events = self.events[self.window.mask(self.evidence.consumer)]
        aspects, examples = (
            self._aspects(events.merge(self.evidence.aspect_pairs, on="product")),
            self._examples(events),
        )
        for row in rows(events.groupby("consumer").agg(**_TOLD)):
            told = f"You rated {row.n} {self.wording.many} {self._average(row.mean)}"
            mostly = f", mostly {joined(aspects[row.Index])}" if aspects.get(row.Index) else ""
            among = f"; among them {joined(examples[row.Index])}" if examples.get(row.Index) else ""
            yield str(self.evidence.consumer_ids[row.Index]), f"{told}{mostly}{among}.", row.until

    def products(self) -> Iterator[tuple[str, str, pd.Timestamp]]:
        """Id, 'Fargo is among crime movies; 12 consumers rated it 4.1 of 5 on average. A car salesman...', last."""
        events = self.events[self.window.mask(self.evidence.product)]
        aspects = self._aspects(self.evidence.aspect_pairs.assign(consumer=self.evidence.aspect_pairs["product"]))
        for row in rows(events.groupby("product").agg(**_TOLD)):
            title = spoken_title(self.evidence.titles[row.Index])
            among = f"{title} is among {joined(aspects[row.Index])}; " if aspects.get(row.Index) else f"{title}: "
            who = "1 consumer" if row.n == 1 else f"{row.n} consumers"
            told = f"{among}{who} rated it {self._average(row.mean)}."
            described = key_sentence(self.evidence.descriptions[row.Index])
            yield str(self.evidence.product_ids[row.Index]), f"{told} {described}".strip(), row.until

    def _average(self, mean: float) -> str:
        return f"{stars(mean)} {of_top(self.evidence.scale)} on average"

    def _aspects(self, long: pd.DataFrame) -> dict[int, list[str]]:
        """The commonest aspects of each `consumer`'s rows, as phrases."""
        counts = long.groupby(["consumer", "aspect"]).size().rename("n").reset_index()
        counts = counts.sort_values(["n", "aspect"], ascending=[False, True], kind="stable")
        counts = counts[counts.groupby("consumer").cumcount() < ASPECTS]
        counts["phrase"] = [self.wording.phrase(aspect_of(*self.evidence.aspects[code])) for code in counts["aspect"]]
        return _listed(counts["consumer"], counts["phrase"])

    def _examples(self, events: pd.DataFrame) -> dict[int, list[str]]:
        """Titles of the best-known products of each consumer."""
        known = np.bincount(self.evidence.product, minlength=len(self.evidence.product_ids))
        ordered = events.assign(known=known[events["product"]]).sort_values("known", ascending=False, kind="stable")
        ordered = ordered[ordered.groupby("consumer").cumcount() < EXAMPLES]
        return _listed(ordered["consumer"], [spoken_title(self.evidence.titles[code]) for code in ordered["product"]])


def _listed(entities: Iterable[int], texts: Iterable[str]) -> dict[int, list[str]]:
    """The texts of each entity, in order."""
    listed: dict[int, list[str]] = {}
    for entity, text in zip(entities, texts, strict=True):
        listed.setdefault(entity, []).append(text)
    return listed


_TOLD = {"n": ("rating", "size"), "mean": ("rating", "mean"), "until": ("time", "max")}
