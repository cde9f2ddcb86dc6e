"""Amazon reviews: JSON lines with the field names of 2014, 2018 or 2023, and optional product metadata.

J. Ni, J. Li, J. McAuley, EMNLP-IJCNLP 2019 (2018 set); Y. Hou et al., arXiv 2403.03952 (2023 set).
Names of reviewers are never taken from the file.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from features.errors import InputError
from features.readers.dataset import Dataset, RawTables, finish, no_rows
from features.readers.files import attribute_rows, only_file, plain_text, price_band, read_delimited, read_records
from features.types import ATTRIBUTE_COLUMNS, RatingScale

CONSUMER = ("reviewerID", "user_id")
PRODUCT = ("parent_asin", "asin")
"""The parent comes first: since 2023 the metadata lists parents, of which `asin` is a variant."""
FIELDS = {
    "consumer_id": CONSUMER,
    "product_id": PRODUCT,
    "timestamp": ("unixReviewTime", "timestamp"),
    "rating": ("overall", "rating"),
}
HEADLINE, BODY = ("summary", "title"), ("reviewText", "text")
_ENDINGS = (".json", ".jsonl", ".json.gz", ".jsonl.gz")


def read(source: Path, scale: RatingScale | None = None, catalog: Path | None = None) -> Dataset:
    """Reads a file of reviews, or the only one in a folder; metadata from `catalog` or from `*meta*` beside it."""
    file = reviews_file(source)
    frame, rejected = read_records(file, _take_review)
    if not len(frame):
        raise InputError(f"{file} holds no review.", remedy="Give a file of JSON lines, one review a line.")
    _require_fields(file, frame)
    meta = catalog or _metadata_file(file)
    products, attributes = _read_metadata(meta) if meta else (None, no_rows(ATTRIBUTE_COLUMNS))
    name = file.parent.name if source.is_dir() else file.name.split(".")[0]
    return finish(RawTables(name, file.name, frame, products, attributes, scale or RatingScale(), rejected))


def reviews_file(source: Path) -> Path:
    """The file of reviews. Raises InputError if a folder holds none or several."""
    if source.is_file():
        return source
    named = sorted(source.iterdir()) if source.is_dir() else []
    found = [path for path in named if path.name.endswith(_ENDINGS) and "meta" not in path.name.lower()]
    return only_file(source, found, "files of reviews")


def looks_like_reviews(record: dict[str, Any]) -> bool:
    """Whether a record has the fields of an Amazon review."""
    return all(any(name in record for name in names) for names in (CONSUMER, PRODUCT, FIELDS["rating"]))


def _first(record: dict[str, Any], names: Sequence[str]) -> Any:
    """The first of the named values that is there."""
    return next((record[name] for name in names if record.get(name) is not None), None)


def _take_review(record: dict[str, Any]) -> dict[str, Any]:
    """Our columns of one review; the headline opens the text."""
    headline, body = (plain_text(_first(record, names)) for names in (HEADLINE, BODY))
    if headline and not body.lower().startswith(headline.lower().rstrip(".!… ")):
        ended = headline if headline[-1] in ".!?…" else f"{headline}."
        body = f"{ended} {body}".strip()
    return {**{ours: _first(record, names) for ours, names in FIELDS.items()}, "review": body or None}


def _require_fields(file: Path, frame: pd.DataFrame) -> None:
    """Raises InputError if a field is missing from every record."""
    absent = [ours for ours in FIELDS if frame[ours].isna().all()]
    if not absent:
        return
    expected = "; ".join(f"{ours}: {' or '.join(FIELDS[ours])}" for ours in absent)
    raise InputError(
        f"No record of {file} has a {' or a '.join(absent)}.",
        f"The Amazon layout names them: {expected}.",
        "Use the layout `tables` with a mapping for files of another shape; ratings and times are required.",
    )


def _metadata_file(reviews: Path) -> Path | None:
    """The metadata beside a file of reviews, if there is just one."""
    ends = (*_ENDINGS, ".csv", ".csv.gz")
    found = [path for path in reviews.parent.iterdir() if "meta" in path.name.lower() and path.name.endswith(ends)]
    return found[0] if len(found) == 1 else None


def _read_metadata(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Products and attributes from JSON lines, or from a CSV (Product ID, Description, price, Category)."""
    if path.name.endswith((".csv", ".csv.gz")):
        frame = _csv_metadata(path)
    else:
        frame, rejected = read_records(path, _take_product, _loose_json)
        if len(rejected):
            raise InputError(
                f"Row {rejected['row'].iloc[0]} of {path} is not a JSON object ({len(rejected)} such rows).",
                remedy="Restore the metadata from the original download.",
            )
    names = ("category", "brand", "price_band")
    attributes = [attribute_rows(frame["product_id"], name, frame[name]) for name in names]
    return frame, pd.concat(attributes)


def _csv_metadata(path: Path) -> pd.DataFrame:
    """The CSV form; its Description is the product's title."""
    wanted = ["Product ID", "Description", "price", "Category"]
    frame = read_delimited(path, ",")
    if missing := [name for name in wanted if name not in frame]:
        raise InputError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(frame.columns)}.",
            f"Metadata as CSV has {', '.join(wanted)}.",
            "Rename the columns, or use the layout `tables` with a mapping.",
        )
    return pd.DataFrame(
        {
            "product_id": frame["Product ID"],
            "title": frame["Description"].map(plain_text),
            "description": "",
            "category": frame["Category"].map(plain_text),
            "brand": "",
            "price_band": frame["price"].map(price_band),
        }
    )


def _take_product(record: dict[str, Any]) -> dict[str, Any]:
    """Our columns of one product."""
    details = record.get("details")
    brand = record.get("brand") or (details.get("Brand") if isinstance(details, dict) else None) or record.get("store")
    return {
        "product_id": _first(record, PRODUCT),
        "title": plain_text(record.get("title")),
        "description": plain_text([record.get("description"), record.get("features", record.get("feature"))]),
        "category": _categories(_first(record, ("categories", "category", "main_category"))),
        "brand": plain_text(brand),
        "price_band": price_band(record.get("price")),
    }


def _categories(value: Any) -> list[str]:
    """The path of categories below its root, each once; 2014 nests several paths."""
    paths = value if isinstance(value, list) and value and isinstance(value[0], list) else [value]
    listed: dict[str, None] = {}
    for path in paths:
        steps = [plain_text(step) for step in (path if isinstance(path, list) else [path])]
        listed.update(dict.fromkeys(filter(None, steps[1:] or steps)))
    return list(listed)


def _loose_json(line: str) -> Any:
    """JSON, or the Python literals that the 2014 metadata is written in."""
    try:
        return json.loads(line)
    except ValueError:
        return ast.literal_eval(line)
