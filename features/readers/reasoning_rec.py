"""ReasoningRec's layout of Amazon reviews: ratings by index, and products described by a language model.

M. Bismay, X. Dong, J. Caverlee, ReasoningRec, arXiv 2410.23180; https://github.com/millenniumbismay/reasoningrec.
The descriptions were written from reviews. Which reviews is not known, so whoever holds some out must not use them.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from features.errors import InputError
from features.readers.dataset import Dataset, RawTables, finish
from features.readers.files import attribute_rows, find_file, plain_text, price_band, read_delimited, reading
from features.types import RatingScale

PRODUCTS = "processed_item_information.json"
COLUMNS = {"user": "consumer_id", "item": "product_id", "rating": "rating", "timestamp": "timestamp"}
NO_BRAND = "Unknown"


def read(folder: Path, scale: RatingScale | None = None) -> Dataset:
    """`ratings.csv` (item,user,rating,timestamp) and the products by index. Raises InputError."""
    path = find_file(folder, "ratings.csv")
    ratings = read_delimited(path, ",")
    if missing := [name for name in COLUMNS if name not in ratings]:
        raise InputError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(ratings.columns)}.",
            f"This layout has {', '.join(COLUMNS)}.",
        )
    events = ratings[list(COLUMNS)].rename(columns=COLUMNS).assign(row=range(len(ratings)), review=None)
    products = _products(find_file(folder, PRODUCTS))
    attributes = [attribute_rows(products["product_id"], name, products[name]) for name in ("brand", "price_band")]
    tables = RawTables(folder.name, path.name, events, products, pd.concat(attributes), scale or RatingScale())
    return finish(tables)


def _products(path: Path) -> pd.DataFrame:
    with reading(path):
        records = json.loads(path.read_text(encoding="utf-8"))
    brands = [plain_text(record["brand"]) for record in records.values()]
    return pd.DataFrame(
        {
            "product_id": list(records),
            "title": [plain_text(record["title"]) for record in records.values()],
            "description": [plain_text(record["description"]) for record in records.values()],
            "brand": ["" if brand == NO_BRAND else brand for brand in brands],
            "price_band": [price_band(record["price"]) for record in records.values()],
        }
    )
