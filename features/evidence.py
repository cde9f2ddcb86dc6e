"""What facts rest on: an entity's own earliest interactions, and averages as they stood at each of them.

Every number here looks backwards only. The mean of a product "at an event" is over the events before it, so a
fact's evidence never reaches past its own last event, and later interactions stay free to train on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import InputError
from features.types import Snapshot, content_hash

ASPECT_LIMIT = 64
"""Most frequent aspects whose likers are followed; a catalog with more has too few ratings for the rest."""
SHRINK = 5.0
"""Pseudo-events with which every difference is pulled to zero and every mean to the overall one."""
TASTE_EVENTS, TASTE_STRENGTH = 3, 0.2
"""From how many events, and from which shrunken difference in stars, a consumer counts as enjoying an aspect."""
MIN_DIFFERENCE, SPREAD = 0.3, 1.0
"""On a scale of five stars: the least difference of averages worth saying, and how far single ratings lie from what
was to be expected. A difference of n ratings must also exceed SPREAD / sqrt(n), its own standard error. SPREAD is a
constant and not estimated, so that a new rating changes no fact of others."""
BOOKKEEPING = frozenset({"year", "decade", "date", "release_date", "release_year", "id", "asin", "sku", "rank"})
"""Attributes that keep books on a product and are no taste: nobody enjoys `1994 movies`."""

Numbers = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class EvidenceWindow:
    """The first `share` of an entity's own interactions in time order, at least `min_events` (all if fewer)."""

    share: float = 0.6
    min_events: int = 5

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1 or self.min_events < 1:
            raise InputError(
                f"The evidence window has share {self.share} and min_events {self.min_events}.",
                "The share must lie in (0, 1] and min_events must be 1 or more.",
            )

    def mask(self, codes: Codes) -> NDArray[np.bool_]:
        """Which events (N,), in time order, lie in the window of the entity `codes` (N,) names."""
        counts = np.bincount(codes) if len(codes) else np.zeros(0, np.int64)
        kept = np.maximum(np.ceil(self.share * counts), self.min_events)
        return np.asarray(positions(codes) < kept[codes])


def rows(frame: pd.DataFrame) -> Iterator[Any]:
    """A frame's rows as named tuples; their types are the columns', which no checker can know."""
    yield from frame.itertuples()


def positions(codes: Codes) -> Codes:
    """Number of earlier events of the same group, for each event (N,)."""
    return np.asarray(pd.Series(codes).groupby(codes).cumcount(), dtype=np.int64)


def earlier_sum(values: Numbers, codes: Codes) -> Numbers:
    """Sum of `values` (N,) over the earlier events of the same group (N,)."""
    series = pd.Series(values)
    return np.asarray(series.groupby(codes).cumsum() - series, dtype=np.float64)


class Evidence:
    """A snapshot's interactions and attributes as arrays; N events in time order, A aspects."""

    def __init__(self, snapshot: Snapshot) -> None:
        frame, products = snapshot.interactions.frame, snapshot.catalog.products
        self.scale = snapshot.scale
        self.consumer_ids = np.array(sorted(frame["consumer_id"].unique()), dtype=object)
        self.product_ids = products["product_id"].astype(str).to_numpy(object)
        self.titles = products["title"].fillna("").astype(str).to_numpy(object)
        self.descriptions = products["description"].fillna("").astype(str).to_numpy(object)
        self.consumer = pd.Index(self.consumer_ids).get_indexer(frame["consumer_id"]).astype(np.int64)
        self.product = pd.Index(self.product_ids).get_indexer(frame["product_id"].astype(str)).astype(np.int64)
        if (self.product < 0).any():
            missing = frame["product_id"][self.product < 0].iloc[0]
            raise InputError(
                f"An interaction names product {missing!r}, which is not in the catalog.",
                remedy="Read the data with a reader: it quarantines interactions with unknown products.",
            )
        self.rating = frame["rating"].to_numpy(np.float64)
        self.time = frame["timestamp"].to_numpy("datetime64[us]")
        self.review = frame["review"].to_numpy(object)
        self.aspects, self.aspect_pairs = self._aspects(snapshot.catalog.attributes)

    def event_id(self, event: int) -> str:
        """Names an event, whatever other rows the source has; it tells nobody the consumer."""
        consumer, product = self.consumer_ids[self.consumer[event]], self.product_ids[self.product[event]]
        return content_hash(consumer, product)[:12]

    def _aspects(self, attributes: pd.DataFrame) -> tuple[list[tuple[str, str]], pd.DataFrame]:
        """Aspects (name, value), most frequent first, and the long table (product, aspect) of codes."""
        said = attributes[~attributes["name"].astype(str).str.lower().isin(BOOKKEEPING)]
        long = said.drop_duplicates(["product_id", "name", "value"])
        counts = long.groupby(["name", "value"]).size().sort_values(ascending=False, kind="stable")
        codes = {pair: code for code, pair in enumerate(counts.index)}
        pairs = pd.DataFrame(
            {
                "product": pd.Index(self.product_ids).get_indexer(long["product_id"].astype(str)).astype(np.int64),
                "aspect": [codes[pair] for pair in zip(long["name"], long["value"], strict=True)],
            }
        )
        known = pairs[pairs["product"] >= 0].reset_index(drop=True)
        return [(str(name), str(value)) for name, value in codes], known

    @cached_property
    def overall_before(self) -> Numbers:
        """(N,) mean of all earlier ratings, pulled to the middle of the scale while there are few."""
        middle = (self.scale.low + self.scale.high) / 2
        counts = np.arange(len(self.rating))
        sums = np.cumsum(self.rating) - self.rating
        return np.asarray((sums + SHRINK * middle) / (counts + SHRINK))

    @cached_property
    def product_before(self) -> Numbers:
        """(N,) mean of the product's earlier ratings, pulled to the overall one."""
        return self._mean_before(self.product)

    @cached_property
    def surprise(self) -> Numbers:
        """(N,) rating minus what the consumer's and the product's earlier ratings let expect."""
        usual = self._mean_before(self.consumer)
        return np.asarray(self.rating - usual - (self.product_before - self.overall_before))

    def _mean_before(self, codes: Codes) -> Numbers:
        sums = earlier_sum(self.rating, codes) + SHRINK * self.overall_before
        return np.asarray(sums / (positions(codes) + SHRINK))

    @cached_property
    def has_aspect(self) -> NDArray[np.bool_]:
        """(products, A): which of the followed aspects a product has."""
        table = np.zeros((len(self.product_ids), min(len(self.aspects), ASPECT_LIMIT)), dtype=bool)
        pairs = self.aspect_pairs[self.aspect_pairs["aspect"] < table.shape[1]]
        table[pairs["product"], pairs["aspect"]] = True
        return table

    def enjoys(self, aspect: int) -> NDArray[np.bool_]:
        """(N,) whether the event's consumer had, before it, shown to enjoy the aspect: more than other things, and so
        much that the average counts as liked."""
        has = self.has_aspect[self.product, aspect].astype(np.float64)
        count = earlier_sum(has, self.consumer)
        strength = earlier_sum(has * self.surprise, self.consumer) / (count + SHRINK)
        mean = earlier_sum(has * self.rating, self.consumer) / np.maximum(count, 1)
        return np.asarray((count >= TASTE_EVENTS) & (strength > TASTE_STRENGTH) & (mean >= self.liked_from))

    @property
    def liked_from(self) -> float:
        """Average from which things count as liked: what rounds to a liked rating."""
        return self.scale.like_from - 0.5

    def telling(self, difference: pd.Series, count: pd.Series) -> pd.Series:
        """Whether differences of averages over `count` ratings are large enough to be said."""
        stars = (self.scale.high - self.scale.low) / 4
        return difference.abs() >= stars * np.maximum(MIN_DIFFERENCE, SPREAD / np.sqrt(count))
