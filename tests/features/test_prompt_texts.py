"""What prompts say is what the lake holds, as old as its evidence."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd

from features.prompt_texts import prompt_texts
from features.records import to_frame
from features.types import EntityKind, Explanation, Facet, Stance

PRODUCTS = pd.DataFrame({"product_id": ["p", "q"], "title": ["Tea", "Coffee"], "description": ["Mild.", ""]})


def facet(kind: EntityKind, entity: str, rank: int, day: int, text: str) -> Facet:
    when = datetime(2020, 1, day, tzinfo=UTC)
    return Facet(f"{entity}{rank}", kind, entity, Stance.FOR, rank, text, 1.0, ("f",), when, "key", "hash", "model")


FACETS = to_frame(
    [
        facet(EntityKind.CONSUMER, "c", 0, 2, "They like mild drinks."),
        facet(EntityKind.CONSUMER, "c", 1, 5, "They like tea."),
        facet(EntityKind.CONSUMER, "c", 2, 9, "They like a third thing."),
        facet(EntityKind.PRODUCT, "p", 0, 3, "It is warm."),
    ],
    Facet,
)
PAIRS = to_frame(
    [Explanation("c", "p", Stance.AGAINST, "It may be cold.", ("f",), None, "pair", "model", "key")], Explanation
)


def at(day: int) -> np.datetime64:
    return np.datetime64(f"2020-01-{day:02}", "us")


def test_a_profile_is_told_only_after_all_its_evidence() -> None:
    texts = prompt_texts(PRODUCTS, FACETS, PAIRS)
    assert texts.profile("c", at(6)) == "They like mild drinks. They like tea."
    assert texts.profile("c", at(5)) == ""
    assert texts.profile("stranger", at(6)) == ""


def test_a_catalogs_description_has_no_age_and_a_products_facets_have() -> None:
    texts = prompt_texts(PRODUCTS, FACETS, PAIRS)
    assert texts.describe("p", at(1)) == "Mild."
    assert texts.describe("p", at(4)) == "Mild. It is warm."
    assert texts.describe("q", at(4)) == ""
    assert texts.titles["q"] == "Coffee"


def test_texts_of_pairs_are_kept_by_their_side() -> None:
    texts = prompt_texts(PRODUCTS, FACETS, PAIRS)
    assert texts.rationales == {("c", "p", Stance.AGAINST): "It may be cold."}


def test_a_lake_without_texts_is_no_fault() -> None:
    texts = prompt_texts(PRODUCTS, FACETS.iloc[:0], PAIRS.iloc[:0])
    assert (texts.profiles, texts.reviews, texts.rationales) == ({}, {}, {})
