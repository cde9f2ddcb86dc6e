"""Which column of your own tables means what: a TOML or JSON mapping, or a guess from common names."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from features.errors import InputError
from features.readers.files import reading
from features.types import RatingScale

SYNONYMS = {
    "consumer_id": [
        "consumer_id",
        "consumer",
        "user_id",
        "user",
        "userid",
        "customer_id",
        "customer",
        "reviewer_id",
        "reviewerid",
        "uid",
    ],
    "product_id": [
        "product_id",
        "product",
        "item_id",
        "item",
        "itemid",
        "movie_id",
        "movieid",
        "asin",
        "parent_asin",
        "sku",
        "book_id",
        "iid",
    ],
    "timestamp": [
        "timestamp",
        "time",
        "datetime",
        "date",
        "created_at",
        "unixreviewtime",
        "review_time",
        "event_time",
        "ts",
    ],
    "rating": ["rating", "stars", "score", "overall", "rate"],
    "review": ["review", "review_text", "reviewtext", "text", "comment", "body"],
    "title": ["title", "name", "product_title", "product_name", "item_name"],
    "description": ["description", "summary", "plot", "overview", "details", "about"],
}
EXAMPLE = """[interactions]
consumer_id = "user"
product_id = "sku"
timestamp = "bought_at"
rating = "stars"
review = "comment"        # optional

[catalog]
product_id = "sku"
title = "name"
description = "blurb"     # optional
"""


class _Section(BaseModel):
    """Strict and unchangeable: an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class InteractionColumns(_Section):
    """Their names for our columns of interactions; a name left out is guessed."""

    file: str | None = None
    consumer_id: str | None = None
    product_id: str | None = None
    timestamp: str | None = None
    rating: str | None = None
    review: str | None = None


class CatalogColumns(_Section):
    """Their names for our columns of the catalog; columns left over become attributes."""

    file: str | None = None
    product_id: str | None = None
    title: str | None = None
    description: str | None = None
    attributes: tuple[str, ...] | None = None
    """Which columns become attributes; all others if left out."""
    separator: str = "|"
    """Parts several values of one attribute in one cell."""


class Scale(_Section):
    """The stars: lowest, highest, and from where a rating counts as liked."""

    low: float = 1.0
    high: float = 5.0
    like_from: float = 4.0

    @model_validator(mode="after")
    def in_order(self) -> Self:
        """Some ratings count as liked and some do not."""
        if not self.low < self.like_from <= self.high:
            raise ValueError("low must be less than like_from, and like_from at most high")
        return self


class Mapping(_Section):
    """A whole mapping file; every part may be left out."""

    interactions: InteractionColumns = InteractionColumns()
    catalog: CatalogColumns = CatalogColumns()
    scale: Scale = Scale()

    def rating_scale(self) -> RatingScale:
        """The scale as readers use it."""
        return RatingScale(self.scale.low, self.scale.high, self.scale.like_from)


def read_mapping(path: Path) -> Mapping:
    """Reads a mapping. Raises InputError naming the keys that are wrong."""
    with reading(path):
        text = path.read_text(encoding="utf-8")
    try:
        content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        return Mapping.model_validate(content)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise InputError(f"The mapping {path} is wrong. {wrong}.", "A mapping looks like this:", EXAMPLE) from error
    except ValueError as error:
        raise InputError(
            f"The mapping {path} is neither valid TOML nor JSON: {error}.", "A mapping looks like this:", EXAMPLE
        ) from error


def choose_columns(file: str, found: list[str], wanted: _Section, required: list[str]) -> dict[str, str]:
    """For each of our columns the source's name for it, as mapped or as guessed.

    Raises:
        InputError: a mapped column is not there, or a required one is neither mapped nor guessed.
    """
    chosen: dict[str, str] = {}
    plain = {name.strip().lower().replace(" ", "_").replace("-", "_"): name for name in reversed(found)}
    for ours in SYNONYMS.keys() & type(wanted).model_fields.keys():
        mapped: Any = getattr(wanted, ours)
        if mapped is not None and mapped not in found:
            raise _missing(file, found, f"no column {mapped!r}, which the mapping gives for {ours}")
        guess = mapped or next((plain[name] for name in SYNONYMS[ours] if name in plain), None)
        if guess is not None:
            chosen[ours] = guess
    if lacking := [ours for ours in required if ours not in chosen]:
        _stop_if_in_one_piece(file, found)
        note = " (ratings are required: explanations are about liking, not about having seen)"
        raise _missing(file, found, f"no column for {', '.join(lacking)}{note if 'rating' in lacking else ''}")
    return chosen


def _stop_if_in_one_piece(file: str, found: list[str]) -> None:
    """Raises InputError if the header was not taken apart, because another sign stands between its names."""
    signs = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}
    between = next((sign for sign in signs if len(found) == 1 and sign in found[0]), None)
    if between is not None:
        raise InputError(
            f"{file} has a single column, {found[0]!r}: its fields are parted by {signs[between]}.",
            "Fields of a .csv are parted by commas, those of a .tsv by tabs.",
            "Write it again so, or give a file with tabs a name that ends in .tsv.",
        )


def _missing(file: str, found: list[str], what: str) -> InputError:
    """The one message about columns: found, expected, and how to write the mapping."""
    return InputError(
        f"{file} has {what}; its columns are {', '.join(found)}.",
        "Interactions need consumer_id, product_id, timestamp and rating; a catalog needs product_id and title.",
        f"Write a mapping.toml beside the files (or name one), your names on the right:\n\n{EXAMPLE}",
    )
