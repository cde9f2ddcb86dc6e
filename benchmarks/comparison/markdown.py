"""Tables in Markdown, and their places in a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

END = "<!-- /table -->"


def begin(name: str = "") -> str:
    """What stands before a table; a document with several names them."""
    told = f"table {name}" if name else "table"
    return f"<!-- {told}: python -m benchmarks.comparison -->"


def with_tables(document: str, tables: Mapping[str, str]) -> str:
    """The document with each table between its markers. Raises ValueError where a marker is missing."""
    for name, table in tables.items():
        before = document.index(begin(name)) + len(begin(name))
        after = document.index(END, before)
        document = f"{document[:before]}\n\n{table}\n\n{document[after:]}"
    return document


def as_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells of text under their heads."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def signed(value: float, low: float, high: float) -> str:
    """A difference with its interval."""
    return f"{value:+.4f} ({low:+.4f} to {high:+.4f})"
