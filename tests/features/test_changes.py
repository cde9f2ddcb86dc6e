"""Changes are found by content: what says the same is the same, and stands as it stood."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from features.changes import Changes, EntityChanges, Reading, content_hashes, find_changes, keep_unchanged
from features.readers.tables import read

NOTHING = EntityChanges()
PRODUCTS = [
    {
        "product_id": "lamp",
        "title": "Oak Lamp",
        "description": "Warm light. Heavy.",
        "kind": ["light", "oak"],
        "price": 31.0,
    },
    {"product_id": "desk", "title": "Desk", "description": "A desk.", "kind": ["table"], "price": 90.0},
    {"product_id": "vase", "title": "Vase", "description": "", "kind": [], "price": 9.0},
]
EVENTS = [
    {"consumer_id": "ann", "product_id": "lamp", "timestamp": "2024-01-01", "rating": 5, "review": "Warm. Lovely."},
    {"consumer_id": "ann", "product_id": "desk", "timestamp": "2024-01-02", "rating": 2, "review": None},
    {"consumer_id": "bob", "product_id": "lamp", "timestamp": "2024-01-03", "rating": 4, "review": None},
]


@pytest.fixture
def reading(tmp_path: Path):
    """Reads products and events as JSON lines, as a user would give them."""

    def read_back(products: list[dict], events: list[dict]) -> Reading:
        for name, rows in (("catalog", products), ("interactions", events)):
            (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        dataset = read(tmp_path)
        return dataset.interactions, dataset.catalog

    return read_back


def changes(before: Reading, after: Reading) -> Changes:
    return find_changes(content_hashes(*before), content_hashes(*after))


def edited(rows: list[dict], place: int, **values: object) -> list[dict]:
    return [{**row, **values} if n == place else row for n, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("products", "events"),
    [
        (PRODUCTS[::-1], EVENTS),
        ([dict(reversed(row.items())) for row in PRODUCTS], EVENTS[::-1]),
        (edited(PRODUCTS, 0, description=" Warm  light.\n Heavy. ", title="Oak\tLamp"), EVENTS),
        (edited(PRODUCTS, 0, kind=["oak", "light"]), EVENTS),
        (edited(PRODUCTS, 0, price=32.0), EVENTS),  # the same price band
        (PRODUCTS, edited(EVENTS, 0, review="Warm.  Lovely.")),
        (PRODUCTS, [{"consumer_id": "", "product_id": "x", "timestamp": 0, "rating": 0}, *EVENTS]),  # quarantined
    ],
    ids=["rows", "keys", "white space", "attributes", "price", "review", "row numbers"],
)
def test_a_cosmetic_edit_changes_nothing(reading, monkeypatch, products: list[dict], events: list[dict]) -> None:
    monkeypatch.setattr("features.readers.dataset.MAX_FAULTY", 0.5)
    before = reading(PRODUCTS, EVENTS)
    after = reading(products, events)
    assert not changes(before, after)
    interactions, catalog = keep_unchanged(before, after)
    pd.testing.assert_frame_equal(catalog.products, before[1].products)
    assert sorted(catalog.attributes.to_numpy().tolist()) == sorted(before[1].attributes.to_numpy().tolist())
    pd.testing.assert_frame_equal(interactions.frame.drop(columns="row"), before[0].frame.drop(columns="row"))


@pytest.mark.parametrize(
    ("products", "expected"),
    [
        (edited(PRODUCTS, 0, description="Cold light."), EntityChanges(changed=("lamp",))),
        (edited(PRODUCTS, 1, kind=["table", "oak"]), EntityChanges(changed=("desk",))),
        (edited(PRODUCTS, 1, price=900.0), EntityChanges(changed=("desk",))),
        ([*PRODUCTS, {**PRODUCTS[0], "product_id": "rug"}], EntityChanges(added=("rug",))),
        (PRODUCTS[:2], EntityChanges(removed=("vase",))),
    ],
    ids=["description", "attribute", "price band", "added", "removed"],
)
def test_products_change_with_what_they_are(reading, products: list[dict], expected: EntityChanges) -> None:
    before, after = reading(PRODUCTS, EVENTS), reading(products, EVENTS)
    assert changes(before, after) == Changes(expected, NOTHING)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([*EVENTS, {**EVENTS[2], "product_id": "desk"}], EntityChanges(changed=("bob",))),
        (EVENTS[1:], EntityChanges(changed=("ann",))),
        (edited(EVENTS, 1, rating=3), EntityChanges(changed=("ann",))),
        (EVENTS[:2], EntityChanges(removed=("bob",))),
        ([*EVENTS, {**EVENTS[2], "consumer_id": "cem"}], EntityChanges(added=("cem",))),
    ],
    ids=["new event", "removed event", "altered event", "gone", "new"],
)
def test_consumers_change_with_their_events(reading, events: list[dict], expected: EntityChanges) -> None:
    assert changes(reading(PRODUCTS, EVENTS), reading(PRODUCTS, events)) == Changes(NOTHING, expected)


def test_what_stays_keeps_its_place_and_what_changed_is_new(reading) -> None:
    before = reading(PRODUCTS, EVENTS)
    after = reading([{**PRODUCTS[0], "product_id": "rug"}, *edited(PRODUCTS, 1, title="Big Desk")[::-1]], EVENTS)
    products = keep_unchanged(before, after)[1].products
    assert products["product_id"].tolist() == ["lamp", "desk", "vase", "rug"]
    assert products["title"].tolist() == ["Oak Lamp", "Big Desk", "Vase", "Oak Lamp"]
