"""The built-in world as a judge of texts looks it up: what was rated and written, what products have, what is so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.evidence import Evidence, EvidenceWindow
from features.readers.world import WorldTruth
from features.sentences import spoken_title
from features.types import Snapshot


class WorldRecord:
    """One world as it was before a time, with the truth behind it."""

    def __init__(self, snapshot: Snapshot, truth: WorldTruth, window: EvidenceWindow) -> None:
        """Args: what was known, the planted reasons, and which share of each one's events texts may rest on."""
        self.truth, self._evidence = truth, Evidence(snapshot)
        self.events = snapshot.interactions.frame.reset_index(drop=True)
        self._inside = window.mask(self._evidence.product)
        self._of_consumer = self._grouped(window.mask(self._evidence.consumer), "consumer_id")
        self._of_product = self._grouped(self._inside, "product_id")
        products, attributes = snapshot.catalog.products, snapshot.catalog.attributes
        self.descriptions = dict(zip(products["product_id"], products["description"], strict=True))
        spoken = products["title"].map(spoken_title)
        self._by_title = dict(zip(spoken, products["product_id"], strict=True))
        self._having: dict[str, set[str]] = {}
        for product, value in zip(attributes["product_id"], attributes["value"].astype(str), strict=True):
            self._having.setdefault(value.lower(), set()).add(product)

    def _grouped(self, mask: NDArray[np.bool_], key: str) -> dict[str, pd.DataFrame]:
        return {str(entity): rows for entity, rows in self.events[mask].groupby(key)}

    @cached_property
    def _titles(self) -> re.Pattern[str]:
        return re.compile("|".join(map(re.escape, sorted(self._by_title, key=len, reverse=True))))

    @cached_property
    def _things(self) -> re.Pattern[str]:
        names = "|".join(map(re.escape, sorted(self._having, key=len, reverse=True)))
        return re.compile(rf"(?<!\w)(?:{names})(?!\w)", re.IGNORECASE)

    @cached_property
    def _codes(self) -> Mapping[str, int]:
        return {value.lower(): code for code, (_, value) in enumerate(self._evidence.aspects)}

    def ratings_of(self, consumer_id: str) -> pd.DataFrame:
        """The events of a consumer that texts may rest on."""
        return self._of_consumer.get(consumer_id, self.events.iloc[:0])

    def ratings_for(self, product_id: str) -> pd.DataFrame:
        """The events of a product that texts may rest on."""
        return self._of_product.get(product_id, self.events.iloc[:0])

    def fans(self, thing: str, product_id: str) -> pd.DataFrame:
        """Those of a product's events whose consumer had before shown to enjoy a thing."""
        enjoys = self._evidence.enjoys(self._codes[thing]) & self._inside
        return self.events[enjoys & (self.events["product_id"] == product_id).to_numpy()]

    def having(self, thing: str) -> set[str]:
        """The products that have a thing (a feature, a brand, a category, a price band)."""
        return self._having.get(thing, set())

    def products_in(self, text: str) -> list[str]:
        """The products a text names, in its order."""
        return [self._by_title[title] for title in self._titles.findall(text)]

    def things_in(self, text: str) -> set[str]:
        """The things a text names, in lower case."""
        return {thing.lower() for thing in self._things.findall(text)}

    def without_titles(self, text: str) -> str:
        """A text in which `it` stands for every product's name, whose numbers and words mean nothing."""
        return self._titles.sub("it", text)
