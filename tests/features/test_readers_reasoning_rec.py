"""ReasoningRec's layout: ratings by index with the item first, products as one JSON object by index."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from features.errors import InputError
from features.readers.registry import detect_layout, read_dataset

PRODUCTS = {
    "0": {"title": "Soap &amp; Water", "brand": "Unknown", "price": "", "description": "\n\nIt washes."},
    "7": {"title": "Comb", "brand": "Zinc", "price": "$11.94", "description": ""},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = ["item,user,rating,timestamp", "7,3,4.0,1155081600", "0,3,5.0,1155081601", "7,4,1.0,1155081602"]
    (tmp_path / "ratings.csv").write_text("\n".join(rows))
    (tmp_path / "processed_item_information.json").write_text(json.dumps(PRODUCTS))
    return tmp_path


def test_the_layout_is_told_from_its_files(folder: Path) -> None:
    assert detect_layout(folder) == "reasoning-rec"


def test_interactions_and_products_by_hand(folder: Path) -> None:
    dataset = read_dataset("", folder)
    frame = dataset.interactions.frame
    assert frame["row"].tolist() == [0, 1, 2]
    assert frame["consumer_id"].tolist() == ["3", "3", "4"]
    assert frame["product_id"].tolist() == ["7", "0", "7"]
    assert frame["rating"].tolist() == [4.0, 5.0, 1.0]
    assert dataset.catalog.products.to_numpy().tolist() == [["0", "Soap & Water", "It washes."], ["7", "Comb", ""]]
    assert dataset.catalog.attributes.to_numpy().tolist() == [["7", "brand", "Zinc"], ["7", "price_band", "10 to 25"]]


def test_a_missing_column_is_named(folder: Path) -> None:
    (folder / "ratings.csv").write_text("item,rating,timestamp\n7,4.0,1155081600\n")
    with pytest.raises(InputError, match="no column user"):
        read_dataset("reasoning-rec", folder)
