"""Your own tables: interactions and catalog as CSV, TSV, Parquet or JSON lines, plain or gzipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from features.errors import InputError
from features.readers.dataset import QUARANTINE_COLUMNS, Dataset, RawTables, finish, no_rows
from features.readers.files import attribute_rows, listing, price_band, read_delimited, read_records, reading
from features.readers.mapping import CatalogColumns, Mapping, choose_columns, read_mapping
from features.types import ATTRIBUTE_COLUMNS, RatingScale

INTERACTION_NAMES = ("interactions", "ratings", "reviews", "events")
CATALOG_NAMES = ("catalog", "products", "items", "movies", "books")
_PACKED = (f".{kind}{packed}" for kind in ("csv", "tsv", "jsonl", "json") for packed in ("", ".gz"))
ENDINGS = (*_PACKED, ".parquet")


def read(
    source: Path,
    scale: RatingScale | None = None,
    catalog: Path | None = None,
    mapping: Path | None = None,
) -> Dataset:
    """Reads a folder with interactions and catalog, or a file of interactions.

    The mapping is `mapping`, or `mapping.toml` or `mapping.json` beside the tables, or guessed. Without a
    catalog, products are known by their ids alone. `scale` wins over the mapping's.
    """
    folder = source if source.is_dir() else source.parent
    chosen = _mapping(folder, mapping)
    named = folder / chosen.interactions.file if chosen.interactions.file else None
    file = source if not source.is_dir() else named or find_table(folder, INTERACTION_NAMES)
    if file is None:
        raise InputError(
            f"{folder} has no table of interactions; it holds {listing(folder)}.",
            f"Its name is one of {', '.join(INTERACTION_NAMES)}, ending in {', '.join(ENDINGS)}.",
            'Rename it, or write its name into mapping.toml: interactions = {file = "..."}.',
        )
    events, rejected = _events(file, chosen)
    listed = folder / chosen.catalog.file if chosen.catalog.file else find_table(folder, CATALOG_NAMES)
    catalog = catalog or listed
    products, attributes = _catalog(catalog, chosen.catalog) if catalog else (None, no_rows(ATTRIBUTE_COLUMNS))
    name = source.name if source.is_dir() else source.name.split(".")[0]
    return finish(RawTables(name, file.name, events, products, attributes, scale or chosen.rating_scale(), rejected))


def find_table(folder: Path, names: tuple[str, ...]) -> Path | None:
    """The first file with one of the names and a known ending."""
    paths = (folder / f"{name}{ending}" for name in names for ending in ENDINGS)
    return next((path for path in paths if path.is_file()), None)


def _mapping(folder: Path, given: Path | None) -> Mapping:
    """The mapping given, the one beside the tables, or the empty one."""
    beside = (folder / name for name in ("mapping.toml", "mapping.json"))
    path = given or next((path for path in beside if path.is_file()), None)
    return read_mapping(path) if path else Mapping()


def _read_table(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A table with its `row` numbers, and the rows that could not be taken apart."""
    plain = path.name.removesuffix(".gz")
    if plain.endswith((".jsonl", ".json")):
        return _json_lines(path)
    if plain.endswith(".parquet"):
        try:
            with reading(path):
                frame = pd.read_parquet(path)
        except pa.ArrowInvalid as error:
            raise InputError(f"{path} is not a Parquet file: {error}.", remedy="Write it again.") from error
    elif plain.endswith((".csv", ".tsv")):
        frame = read_delimited(path, "\t" if plain.endswith(".tsv") else ",")
    else:
        raise InputError(f"{path} is no known kind of table.", f"It ends in one of {', '.join(ENDINGS)}.")
    return frame.assign(row=range(len(frame))), no_rows(QUARANTINE_COLUMNS)


def _json_lines(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """As `_read_table`. Raises InputError if no line is a record, as in a file that holds one JSON array."""
    frame, rejected = read_records(path, dict[str, Any])
    if frame.empty:
        raise InputError(
            f"{path} is empty." if rejected.empty else f"{path} has no line that is a JSON object.",
            "JSON lines hold one object on each line, without brackets or commas around them.",
            f"A JSON array becomes lines with: jq -c '.[]' {path.name}",
        )
    return frame, rejected


def _events(path: Path, mapping: Mapping) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Interactions under our names, and the rejected rows."""
    frame, rejected = _read_table(path)
    found = [name for name in map(str, frame.columns) if name != "row"]
    required = ["consumer_id", "product_id", "timestamp", "rating"]
    columns = choose_columns(str(path), found, mapping.interactions, required)
    events = pd.DataFrame({ours: frame[theirs] for ours, theirs in columns.items()})
    return events.assign(row=frame["row"], review=events.get("review")), rejected


def _catalog(path: Path, wanted: CatalogColumns) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Products under our names, and the other columns as attributes."""
    frame, rejected = _read_table(path)
    if len(rejected):
        raise InputError(
            f"Row {rejected['row'].iloc[0]} of {path} is not a JSON object ({len(rejected)} such rows).",
            remedy="Mend or remove the rows: a catalog is read whole or not at all.",
        )
    frame = frame.drop(columns="row")
    found = list(map(str, frame.columns))
    columns = choose_columns(str(path), found, wanted, ["product_id", "title"])
    products = pd.DataFrame({ours: frame[theirs] for ours, theirs in columns.items()})
    if "description" not in products:
        products["description"] = ""
    extra = [name for name in found if name not in columns.values()]
    if wanted.attributes is not None:
        choose = [name for name in wanted.attributes if name not in found]
        if choose:
            raise InputError(f"{path} has no column {', '.join(choose)}; it has {', '.join(found)}.")
        extra = list(wanted.attributes)
    parts = [_attribute(products["product_id"], name, frame[name], wanted.separator) for name in extra]
    return products, pd.concat([no_rows(ATTRIBUTE_COLUMNS), *parts])


def _attribute(product_ids: pd.Series, name: str, values: pd.Series, separator: str) -> pd.DataFrame:
    """One column as attributes: lists and separated cells give several values, a price becomes a band."""
    if name.lower() == "price":
        return attribute_rows(product_ids, "price_band", values.map(price_band))
    several = values.map(lambda cell: cell.split(separator) if isinstance(cell, str) else _listed(cell))
    return attribute_rows(product_ids, name, several)


def _listed(cell: Any) -> Any:
    """Arrays (as Parquet gives lists) become lists; other values stay."""
    return list(cell) if hasattr(cell, "__len__") else cell
