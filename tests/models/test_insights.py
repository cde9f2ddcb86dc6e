"""Insights count tastes over all consumers, and tell no single one."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from features.records import to_frame
from features.types import EntityKind, Facet, Fact, Stance
from models.explanations.insights import Insights, Meeting
from models.explanations.published import Published
from models.release import ReleaseTexts

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def fact(kind: EntityKind, entity_id: str, aspect: str, polarity: int, weight: float = 1.0) -> Fact:
    name = f"{entity_id}-{aspect}"
    return Fact(name, kind, entity_id, aspect, f"Of {name}.", polarity, weight, "attribute", NOON)


@pytest.fixture
def insights() -> Insights:
    tastes = [("a", "Drama", 1), ("b", "Drama", 1), ("c", "Drama", -1), ("a", "Horror", 1), ("b", "Western", 1)]
    facts = [fact(EntityKind.CONSUMER, who, aspect, side) for who, aspect, side in tastes]
    facts += [fact(EntityKind.CONSUMER, "d", "Drama", -1), fact(EntityKind.CONSUMER, "d", "Horror", 0)]
    product = [("Drama", 0, 1.0), ("Horror", 0, 1.0), ("plot", -1, 0.5), ("cast", -1, 0.9), ("score", 1, 0.4)]
    facts += [fact(EntityKind.PRODUCT, "p", *which) for which in product]
    facet = Facet(
        "f", EntityKind.PRODUCT, "p", Stance.AGAINST, 0, "A weak plot.", 0.5, ("p-plot",), NOON, "k", "h", "smol"
    )
    products = pd.DataFrame({"product_id": ["p"], "title": ["P"], "description": [""]})
    facets = to_frame([facet], Facet).assign(vector=[[1.0, 0.0]])
    return Insights(Published(ReleaseTexts(products, facets, to_frame(facts, Fact), pd.DataFrame(columns=PAIR))))


PAIR = [
    "consumer_id",
    "product_id",
    "stance",
    "text",
    "fact_ids",
    "evidence_time",
    "granularity",
    "model",
    "request_key",
]


def test_tastes_are_counted_by_consumers_and_single_ones_are_not_told(insights: Insights) -> None:
    assert insights.meetings("p") == (Meeting("Drama", 2, 2),)


def test_arguments_are_worded_facets_then_unworded_facts_with_what_they_rest_on(insights: Insights) -> None:
    said = insights.arguments("p")
    assert [(it.stance, it.model, [fact.aspect for fact in it.facts]) for it in said] == [
        (Stance.FOR, "template", ["score"]),
        (Stance.AGAINST, "smol", ["plot"]),
        (Stance.AGAINST, "template", ["cast"]),
    ]


def test_of_an_unknown_product_nothing_is_said(insights: Insights) -> None:
    assert (insights.arguments("q"), insights.meetings("q")) == ((), ())
