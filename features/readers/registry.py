"""Every layout a dataset may have, by name; and telling the layout of a folder from its files."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

from features.errors import InputError
from features.readers import amazon, movielens, reasoning_rec, recbole, tables
from features.readers.dataset import Dataset
from features.readers.files import listing, open_text, reading
from features.types import RatingScale

LAYOUTS = ("movielens-100k", "movielens-1m", "movielens-csv", "amazon", "recbole", "reasoning-rec", "tables")
_WITH_CATALOG = ("amazon", "tables")


def read_dataset(
    layout: str,
    source: Path,
    *,
    scale: RatingScale | None = None,
    catalog: Path | None = None,
    mapping: Path | None = None,
) -> Dataset:
    """Reads and validates a dataset.

    Args:
        layout: one of `LAYOUTS`, or empty to tell it from the files.
        source: the folder, or the file of interactions (`amazon`, `recbole`, `tables`).
        scale: the stars, where they are not the layout's own.
        catalog: file of product metadata (`amazon`, `tables`) that does not lie beside the interactions.
        mapping: mapping of column names (`tables`).

    Raises:
        InputError: the source cannot be used, or an option is not the layout's.
    """
    source = Path(source)
    if not source.exists():
        raise InputError(f"There is no file or folder {source}.", remedy="Check the path.")
    layout = layout or detect_layout(source)
    if layout not in LAYOUTS:
        raise InputError(f"There is no layout {layout!r}.", f"Layouts are {', '.join(LAYOUTS)}.")
    if mapping and layout != "tables":
        raise InputError(f"The layout {layout} takes no mapping.", remedy="Leave it out, or use the layout `tables`.")
    if catalog and layout not in _WITH_CATALOG:
        raise InputError(f"The layout {layout} has a catalog of its own.", remedy="Leave the catalog option out.")
    if layout == "tables":
        return tables.read(source, scale, catalog, mapping)
    if layout == "amazon":
        return amazon.read(source, scale, catalog)
    if layout == "recbole":
        return recbole.read(source, scale)
    read = {
        "movielens-100k": movielens.read_100k,
        "movielens-1m": movielens.read_1m,
        "movielens-csv": movielens.read_csv,
        "reasoning-rec": reasoning_rec.read,
    }
    return read[layout](source, scale)


def detect_layout(source: Path) -> str:
    """Tells the layout from file names, and from the first record where names do not say it.

    Raises:
        InputError: no layout fits; the message lists what was found.
    """
    folder = source if source.is_dir() else source.parent
    names = {path.name for path in folder.iterdir()} if source.is_dir() else {source.name}
    if {"mapping.toml", "mapping.json"} & names:
        return "tables"
    if "u.data" in names:
        return "movielens-100k"
    if "ratings.dat" in names:
        return "movielens-1m"
    if {"ratings.csv", "movies.csv"} <= names and "movieId" in _first_line(folder / "ratings.csv"):
        return "movielens-csv"
    if {"ratings.csv", reasoning_rec.PRODUCTS} <= names:
        return "reasoning-rec"
    if any(name.endswith(".inter") for name in names):
        return "recbole"
    if any(amazon.looks_like_reviews(_first_record(folder / name)) for name in sorted(names) if ".json" in name):
        return "amazon"
    if source.is_file() or tables.find_table(folder, tables.INTERACTION_NAMES):
        return "tables"
    raise InputError(
        f"No known layout fits {source}; it holds {listing(folder)}.",
        f"Layouts are {', '.join(LAYOUTS)}.",
        "Name your own tables interactions.csv and catalog.csv, or write a mapping.toml (see docs/data.md).",
    )


def _first_line(path: Path) -> str:
    """The first line of a text file."""
    with reading(path), open_text(path) as lines:
        return next(islice(lines, 1), "")


def _first_record(path: Path) -> dict[str, Any]:
    """The first line of a file as a JSON object, or an empty one."""
    try:
        record = json.loads(_first_line(path))
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
