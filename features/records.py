"""Facts, facets, explanations and entities' states as frames for the lake, and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from enum import StrEnum
from typing import Any, TypeVar

import pandas as pd

from features.freshness import EntityState
from features.types import EntityKind, Explanation, Facet, Fact, Stance

Record = TypeVar("Record", Fact, Facet, Explanation, EntityState)

_ENUMS: dict[str, type[StrEnum]] = {"entity_kind": EntityKind, "stance": Stance}
_TIMES = ("evidence_time", "made_at", "worded_at")
_LISTS = ("fact_ids", "aspects", "weights")


def to_frame(records: Iterable[Record], record_type: type[Record]) -> pd.DataFrame:
    """One row per record, one column per field; times in UTC microseconds, also where there is no record."""
    names = [item.name for item in fields(record_type)]
    rows = [[_stored(getattr(record, name)) for name in names] for record in records]
    frame = pd.DataFrame(rows, columns=names)
    for name in [name for name in names if name in _TIMES]:
        frame[name] = pd.to_datetime(frame[name], utc=True).dt.as_unit("us")
    return frame


def from_frame(frame: pd.DataFrame, record_type: type[Record]) -> list[Record]:
    """What `to_frame` was given."""
    names = [item.name for item in fields(record_type)]
    rows = zip(*(_restored(name, frame[name]) for name in names), strict=True)
    return [record_type(*row) for row in rows]


def _stored(value: object) -> object:
    if isinstance(value, StrEnum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def _restored(name: str, column: pd.Series) -> Iterable[Any]:
    """A column's values as records have them: column by column, since there are few kinds and many rows."""
    if name in _ENUMS:
        return column.map({value: _ENUMS[name](value) for value in column.unique()})
    if name in _LISTS:
        return map(tuple, column)
    if name in _TIMES:
        return (None if pd.isna(value) else value.to_pydatetime() for value in column)
    return column
