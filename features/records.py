"""Facts, facets and explanations as frames for the lake, and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, fields
from enum import StrEnum
from typing import Any, TypeVar

import pandas as pd

from features.types import EntityKind, Explanation, Facet, Fact, Stance

Record = TypeVar("Record", Fact, Facet, Explanation)

_ENUMS: dict[str, type[StrEnum]] = {"entity_kind": EntityKind, "stance": Stance}


def to_frame(records: Iterable[Record], record_type: type[Record]) -> pd.DataFrame:
    """One row per record, one column per field; times in UTC microseconds, also where there is no record."""
    names = [item.name for item in fields(record_type)]
    rows = [{name: _stored(value) for name, value in asdict(record).items()} for record in records]
    frame = pd.DataFrame(rows, columns=names)
    frame["evidence_time"] = pd.to_datetime(frame["evidence_time"], utc=True).dt.as_unit("us")
    return frame


def from_frame(frame: pd.DataFrame, record_type: type[Record]) -> list[Record]:
    """What `to_frame` was given."""
    names = [item.name for item in fields(record_type)]
    rows = zip(*(frame[name] for name in names), strict=True)
    return [record_type(**{n: _restored(n, v) for n, v in zip(names, row, strict=True)}) for row in rows]


def _stored(value: object) -> object:
    if isinstance(value, StrEnum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def _restored(name: str, value: Any) -> Any:
    if name in _ENUMS:
        return _ENUMS[name](value)
    if name == "fact_ids":
        return tuple(value)
    if name == "evidence_time":
        return None if pd.isna(value) else value.to_pydatetime()
    return value
