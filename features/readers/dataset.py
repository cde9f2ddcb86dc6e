"""From raw tables to a validated dataset: the one gate every reader passes its rows through.

Rows that cannot be used are set aside with their file, row number and reason; nothing is dropped silently, and
the rows read are always the rows kept plus the rows quarantined.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import InputError
from features.types import (
    ATTRIBUTE_COLUMNS,
    CONSUMER_COLUMNS,
    INTERACTION_COLUMNS,
    PRODUCT_COLUMNS,
    VISUAL_COLUMNS,
    Catalog,
    Interactions,
    RatingScale,
)

QUARANTINE_COLUMNS = ("file", "row", "reason", "content")
MAX_FAULTY = 0.2
"""Above this share of faulty rows the mapping is wrong rather than the rows; repeats are no fault."""
REPEAT = "a later row of the same consumer and product is kept"
CONTENT_LENGTH = 300


def no_rows(columns: Iterable[str]) -> pd.DataFrame:
    """An empty frame with the given columns."""
    return pd.DataFrame({name: pd.Series(dtype=object) for name in columns})


@dataclass(frozen=True, eq=False)
class Dataset:
    """Validated interactions and catalog, and what was set aside on the way (`QUARANTINE_COLUMNS`)."""

    name: str
    interactions: Interactions
    catalog: Catalog
    scale: RatingScale
    quarantined: pd.DataFrame

    @property
    def n_read(self) -> int:
        """How many interaction rows the files held."""
        return len(self.interactions) + len(self.quarantined)


@dataclass(frozen=True, eq=False)
class RawTables:
    """What a reader found, before any check; `interactions` has `INTERACTION_COLUMNS` with values as read.

    `products` is None where the source has no catalog: each product seen is then known by its id alone.
    `rejected` (`QUARANTINE_COLUMNS`) holds rows that could not even be taken apart.
    """

    name: str
    file: str
    interactions: pd.DataFrame
    products: pd.DataFrame | None
    attributes: pd.DataFrame = field(default_factory=lambda: no_rows(ATTRIBUTE_COLUMNS))
    scale: RatingScale = field(default_factory=RatingScale)
    rejected: pd.DataFrame = field(default_factory=lambda: no_rows(QUARANTINE_COLUMNS))
    consumers: pd.DataFrame = field(default_factory=lambda: no_rows(CONSUMER_COLUMNS))
    """What is told of consumers beside their events (`CONSUMER_COLUMNS`)."""
    visuals: pd.DataFrame = field(default_factory=lambda: no_rows(VISUAL_COLUMNS))
    """What products look like (`VISUAL_COLUMNS`), where the source says it."""


def finish(raw: RawTables) -> Dataset:
    """Checks, types and orders raw tables.

    Raises:
        InputError: no usable row, repeated catalog ids, or more than `MAX_FAULTY` of the rows faulty.
    """
    n_read = len(raw.interactions) + len(raw.rejected)
    if n_read == 0:
        raise InputError(f"{raw.file} holds no interactions.", remedy="Give a file with at least one row.")
    typed = _typed(raw.interactions)
    catalog = _catalog(raw, typed)
    reasons = _reasons(raw.interactions, typed, raw.scale, catalog)
    _stop_if_mostly_faulty(raw, reasons, n_read)
    ordered = typed[np.equal(reasons, "")].sort_values(["timestamp", "row"], kind="stable")
    repeated = ordered.duplicated(["consumer_id", "product_id"], keep="last").to_numpy()
    reasons[ordered.index[repeated]] = REPEAT
    kept = ordered[~repeated].reset_index(drop=True)
    aside = _quarantine(raw, reasons)
    assert n_read == len(kept) + len(aside), "a row was neither kept nor quarantined"
    return Dataset(raw.name, Interactions(kept), catalog, raw.scale, aside)


def texts(column: pd.Series) -> pd.Series:
    """Values as stripped text, missing ones as an empty text; whole floats lose their `.0`."""
    if pd.api.types.is_float_dtype(column):
        column = column.astype("Int64") if (column.dropna() % 1 == 0).all() else column
    try:
        codes, distinct = pd.factorize(column)
    except TypeError:  # lists or objects, as JSON may hold
        codes, distinct = pd.factorize(column.astype(str).mask(column.isna()))
    # Each distinct value is cleaned once, and equal texts share one object.
    clean = np.array([*(str(value).strip() for value in distinct), ""], dtype=object)
    return pd.Series(clean[codes], index=column.index)


def parse_times(column: pd.Series) -> pd.Series:
    """Unix seconds, milliseconds, microseconds or nanoseconds (told apart by size), ISO 8601 or real times.

    Returns:
        datetime64[us, UTC] with the index of `column`; NaT where a value cannot be read.
    """
    if pd.api.types.is_datetime64_any_dtype(column):
        return pd.to_datetime(column, utc=True).dt.as_unit("us")
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    size = np.abs(numbers)
    per_unit = np.select([size < 1e11, size < 1e14, size < 1e17], [1e6, 1e3, 1.0], 1e-3)
    # Eight digits such as 20240131 are a date, not a morning of 1970.
    readable = (size < 1e20) & ~((numbers >= 19000101) & (numbers <= 21001231))
    micros = np.zeros(len(column), np.int64)
    micros[readable] = np.rint(numbers[readable] * per_unit[readable])
    times = pd.Series(micros.astype("datetime64[us]"), index=column.index).dt.tz_localize("UTC")
    times = times.where(readable)
    wordy = ~readable & column.notna().to_numpy() & ~(size >= 1e20)
    if wordy.any():
        read = pd.to_datetime(column[wordy].astype(str), format="ISO8601", utc=True, errors="coerce")
        times[wordy] = read.dt.as_unit("us")
    return times


def _typed(raw: pd.DataFrame) -> pd.DataFrame:
    """The interactions with their final types; unreadable values are NaN or NaT."""
    review = texts(raw["review"])
    review = review.where(review != "", None)
    frame = pd.DataFrame(
        {
            "row": raw["row"].to_numpy(np.int64),
            "consumer_id": texts(raw["consumer_id"]).to_numpy(),
            "product_id": texts(raw["product_id"]).to_numpy(),
            "timestamp": parse_times(raw["timestamp"]).array,
            "rating": pd.to_numeric(raw["rating"], errors="coerce").to_numpy(np.float64, na_value=np.nan),
            "review": review.to_numpy(),
        }
    )
    return frame[list(INTERACTION_COLUMNS)]


def _catalog(raw: RawTables, typed: pd.DataFrame) -> Catalog:
    """The catalog with text columns. Raises InputError on repeated ids."""
    if raw.products is None:
        ids = np.unique(typed["product_id"].to_numpy(str)).astype(object)
        named = pd.DataFrame({"product_id": ids, "title": ids, "description": ""})
        named = named[named["product_id"] != ""].reset_index(drop=True)
        return Catalog(named, no_rows(ATTRIBUTE_COLUMNS), _told(raw.consumers, CONSUMER_COLUMNS))
    products = pd.DataFrame({name: texts(raw.products[name]).to_numpy() for name in PRODUCT_COLUMNS})
    repeated = products["product_id"][products["product_id"].duplicated()].unique()
    if len(repeated):
        raise InputError(
            f"The catalog of {raw.name} lists {len(repeated)} product ids more than once, "
            f"for instance {', '.join(map(repr, repeated[:5]))}.",
            "Each product has one row.",
            "Remove or merge the repeated rows.",
        )
    products = products[products["product_id"] != ""].reset_index(drop=True)
    products["title"] = products["title"].where(products["title"] != "", products["product_id"])
    attributes = _told(raw.attributes, ATTRIBUTE_COLUMNS)
    listed = attributes["product_id"].isin(products["product_id"])
    visuals = raw.visuals[raw.visuals["product_id"].isin(products["product_id"])].reset_index(drop=True)
    told = _told(raw.consumers, CONSUMER_COLUMNS)
    return Catalog(products, attributes[listed].reset_index(drop=True), told, visuals)


def _told(raw: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """Attributes in long form as text columns, each once, without those that have no value."""
    told = pd.DataFrame({name: texts(raw[name]).to_numpy() for name in columns})
    return told[told["value"] != ""].drop_duplicates().reset_index(drop=True)


def _reasons(raw: pd.DataFrame, typed: pd.DataFrame, scale: RatingScale, catalog: Catalog) -> NDArray[np.object_]:
    """Per row the first reason it cannot be used, or an empty text. (N,)"""
    rating = typed["rating"]
    faults = {
        "the consumer id is empty": typed["consumer_id"] == "",
        "the product id is empty": typed["product_id"] == "",
        "the timestamp is missing": (raw["timestamp"].isna() | raw["timestamp"].eq("")).to_numpy(),
        "the timestamp is neither Unix time nor ISO 8601": typed["timestamp"].isna(),
        "the rating is not a number": rating.isna(),
        f"the rating is outside the scale {scale.low:g} to {scale.high:g}": ~rating.between(scale.low, scale.high),
        "the product is not in the catalog": ~typed["product_id"].isin(catalog.products["product_id"]),
    }
    reasons = np.full(len(typed), "", object)
    for reason, at_fault in faults.items():
        reasons[np.asarray(at_fault) & np.equal(reasons, "")] = reason
    return reasons


def _stop_if_mostly_faulty(raw: RawTables, reasons: NDArray[np.object_], n_read: int) -> None:
    """Raises InputError naming the commonest reasons and their first rows if too many rows are faulty."""
    rows = raw.interactions["row"].to_numpy()
    faulty = pd.concat(
        [
            raw.rejected[["row", "reason"]].astype(object),
            pd.DataFrame({"row": rows[reasons != ""], "reason": reasons[reasons != ""]}, dtype=object),
        ]
    )
    if len(faulty) <= MAX_FAULTY * n_read:
        return
    listed = [
        f"{reason}: {int(number)} rows (first: row {faulty['row'][faulty['reason'] == reason].min()})"
        for reason, number in faulty["reason"].value_counts().head(3).items()
    ]
    raise InputError(
        f"{len(faulty)} of {n_read} rows of {raw.file} cannot be used. {'; '.join(listed)}.",
        f"At most {MAX_FAULTY:.0%} of the rows may be faulty (rows count from 0, the header not included).",
        "Check the mapping of the columns, the rating scale and that the catalog belongs to these interactions.",
    )


def _quarantine(raw: RawTables, reasons: NDArray[np.object_]) -> pd.DataFrame:
    """The rows set aside, in source order, each with its content as JSON."""
    rows = raw.interactions[reasons != ""]
    shown = rows[[name for name in INTERACTION_COLUMNS if name != "row"]]
    content = [json.dumps(row, ensure_ascii=False, default=str)[:CONTENT_LENGTH] for row in shown.to_dict("records")]
    aside = pd.DataFrame(
        {"file": raw.file, "row": rows["row"].to_numpy(), "reason": reasons[reasons != ""], "content": content},
        columns=list(QUARANTINE_COLUMNS),
    )
    both = [frame for frame in (raw.rejected, aside) if len(frame)]
    if not both:
        return no_rows(QUARANTINE_COLUMNS)
    return pd.concat(both).sort_values("row", kind="stable").reset_index(drop=True)
