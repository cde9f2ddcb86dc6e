"""What cards are made of: frozen records, and the markdown of figures."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from models.evaluate import Interval


class Part(BaseModel):
    """Frozen; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Card(Part):
    """What is stored twice: as JSON for programs, as markdown for people."""

    stem: ClassVar[str]
    """Name of its files without their ends."""

    @abstractmethod
    def markdown(self) -> str:
        """The card for people."""

    def documents(self) -> dict[str, str]:
        """Both files by name."""
        return {f"{self.stem}.json": self.model_dump_json(indent=1) + "\n", f"{self.stem}.md": self.markdown()}


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A markdown table; a bar inside a cell would end it, so it is written as a slash."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |" for line in lines)


def with_interval(measured: Interval) -> str:
    """A value with its interval, as `0.9123 (0.9011 to 0.9250)`."""
    return f"{measured.value:.4f} ({measured.low:.4f} to {measured.high:.4f})"


def table_by_name(heading: str, columns: Mapping[str, Mapping[str, object]]) -> str:
    """A markdown table with a row per name in any of the columns; a cell is empty where a column lacks the name."""
    names = dict.fromkeys(name for column in columns.values() for name in column)
    return table([heading, *columns], ([name, *(_cell(it.get(name, "")) for it in columns.values())] for name in names))


def _cell(value: object) -> str:
    return with_interval(value) if isinstance(value, Interval) else str(value)
