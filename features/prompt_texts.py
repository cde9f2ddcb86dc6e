"""What prompts of a tuned student say of consumers and products: texts with the time of what they rest on.

Feature batches hold numbers; a method that tunes a language model while it is fitted is given these beside them, and
serving never sees them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from features.types import EntityKind, Stance

PER_SIDE = 2
"""Facets of a side that a profile or a description tells."""


@dataclass(frozen=True)
class DatedText:
    """A text, and the time of the last event it rests on: rows of that time or earlier must not see it."""

    text: str
    evidence_time: np.datetime64

    def before(self, as_of: np.datetime64) -> str:
        """The text where it was known strictly before a time, else nothing."""
        return self.text if self.evidence_time < as_of else ""


@dataclass(frozen=True)
class PromptTexts:
    """Texts by id. What a catalog says has no age; what was made from interactions has."""

    titles: Mapping[str, str]
    descriptions: Mapping[str, str]
    """What the catalog says, where it says something."""
    profiles: Mapping[str, DatedText] = field(default_factory=dict)
    """Of consumers: what attracts and repels them."""
    reviews: Mapping[str, DatedText] = field(default_factory=dict)
    """Of products: what speaks for and against them."""
    rationales: Mapping[tuple[str, str, Stance], str] = field(default_factory=dict)
    """By consumer, product and side: why a pair turned out so. Targets of tuning only, never in a prompt."""

    def describe(self, product_id: str, as_of: np.datetime64) -> str:
        """What is known of a product before a time, beside its title."""
        told = self.reviews[product_id].before(as_of) if product_id in self.reviews else ""
        return " ".join(filter(None, [self.descriptions.get(product_id, ""), told]))

    def profile(self, consumer_id: str, as_of: np.datetime64) -> str:
        """A consumer's profile, where it was known before a time."""
        return self.profiles[consumer_id].before(as_of) if consumer_id in self.profiles else ""


def prompt_texts(products: pd.DataFrame, facets: pd.DataFrame, pair_texts: pd.DataFrame) -> PromptTexts:
    """The lake's texts: titles and descriptions of the catalog, published facets, texts bought for pairs.

    Args:
        products: columns `PRODUCT_COLUMNS`.
        facets: a row per `Facet`.
        pair_texts: a row per `Explanation`; the side that came true is the pair's rationale.
    """
    described = products[products["description"].fillna("") != ""]
    pairs = zip(
        pair_texts["consumer_id"], pair_texts["product_id"], pair_texts["stance"], pair_texts["text"], strict=True
    )
    return PromptTexts(
        titles=dict(zip(products["product_id"], products["title"], strict=True)),
        descriptions=dict(zip(described["product_id"], described["description"], strict=True)),
        profiles=_told(facets, EntityKind.CONSUMER),
        reviews=_told(facets, EntityKind.PRODUCT),
        rationales={(who, what, Stance(side)): text for who, what, side, text in pairs},
    )


def _told(facets: pd.DataFrame, kind: EntityKind) -> dict[str, DatedText]:
    """An entity's facets as one text, as old as the latest of them."""
    lines: dict[str, list[str]] = defaultdict(list)
    latest: dict[str, np.datetime64] = {}
    chosen = facets[(facets["entity_kind"] == kind.value) & (facets["rank"] < PER_SIDE)]
    times = chosen["evidence_time"].dt.tz_convert(None).to_numpy() if len(chosen) else []
    for entity, text, time in zip(chosen["entity_id"], chosen["text"], times, strict=True):
        lines[entity].append(text)
        latest[entity] = max(latest.get(entity, time), time)
    return {entity: DatedText(" ".join(texts), latest[entity]) for entity, texts in lines.items()}
