"""RecBole's atomic files: `.inter` and `.item`, tab-separated with typed headers (`item_id:token`).

W. X. Zhao et al., RecBole, CIKM 2021; https://recbole.io/docs/user_guide/data/atomic_files.html
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from features.errors import InputError
from features.readers.dataset import Dataset, RawTables, finish, no_rows
from features.readers.files import attribute_rows, only_file, price_band, read_delimited
from features.types import ATTRIBUTE_COLUMNS, RatingScale

_EVENT = {"consumer_id": "user_id", "product_id": "item_id", "timestamp": "timestamp", "rating": "rating"}
_REVIEW = ("review", "review_text", "text")
_DESCRIPTION = ("description", "plot", "overview")


def read(source: Path, scale: RatingScale | None = None) -> Dataset:
    """Reads `<name>.inter` and, where it is there, `<name>.item`; a folder holds one `.inter` file."""
    file = source if source.is_file() else only_file(source, sorted(source.glob("*.inter")), ".inter files")
    frame, _ = _atomic(file, list(_EVENT.values()))
    review = next((name for name in _REVIEW if name in frame), None)
    events = pd.DataFrame({ours: frame[theirs] for ours, theirs in _EVENT.items()})
    events = events.assign(row=range(len(events)), review=frame[review] if review else None)
    items = file.with_suffix(".item")
    products, attributes = _items(items) if items.is_file() else (None, no_rows(ATTRIBUTE_COLUMNS))
    return finish(RawTables(file.stem, file.name, events, products, attributes, scale or RatingScale()))


def _atomic(path: Path, required: list[str]) -> tuple[pd.DataFrame, dict[str, str]]:
    """An atomic file under its bare column names, and their types."""
    frame = read_delimited(path, "\t", quoted=False)
    header = [str(name).partition(":") for name in frame.columns]
    frame.columns = pd.Index([name for name, _, _ in header])
    if missing := [name for name in required if name not in frame]:
        raise InputError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(frame.columns)}.",
            f"It needs {', '.join(required)}, each with its type, such as `rating:float`.",
            "Add the columns; ratings and times are required.",
        )
    return frame, {name: kind for name, _, kind in header}


def _items(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Products with the first title-like column as title; other tokens as attributes, `token_seq` split."""
    frame, kinds = _atomic(path, ["item_id"])
    title = next((name for name in kinds if "title" in name or name.endswith("name")), None)
    description = next((name for name in _DESCRIPTION if name in frame), None)
    products = pd.DataFrame(
        {
            "product_id": frame["item_id"],
            "title": frame[title] if title else frame["item_id"],
            "description": frame[description] if description else "",
        }
    )
    parts = [no_rows(ATTRIBUTE_COLUMNS)]
    for name, kind in kinds.items():
        if name in ("item_id", title, description):
            continue
        if kind.startswith("token"):
            values = frame[name].str.split(" ") if kind == "token_seq" else frame[name]
            parts.append(attribute_rows(frame["item_id"], name, values))
        elif name == "price":
            parts.append(attribute_rows(frame["item_id"], "price_band", frame[name].map(price_band)))
    return products, pd.concat(parts)
