"""Makes one table of all methods from their result files, and those of LR-Recsys' own page.

    python -m benchmarks.comparison

Nothing is run: what the files under benchmarks/results say is put beside the papers' claims. Writes
`benchmarks/results/methods/table.json` and `table.png`, and the tables of `docs/methods/README.md` and `lr_recsys.md`.
"""

from __future__ import annotations

from pathlib import Path

import typer

from benchmarks.comparison import lr_recsys
from benchmarks.comparison.markdown import with_tables
from benchmarks.comparison.readers import read_rows
from benchmarks.comparison.told import as_json, as_markdown, draw
from benchmarks.record import RESULTS, write_result

DOCUMENT = RESULTS.parents[1] / "docs" / "methods" / "README.md"
LR_RECSYS = DOCUMENT.with_name("lr_recsys.md")


def main() -> None:
    """Reads the files and writes the table in its three forms."""
    rows = read_rows(RESULTS)
    path = write_result("methods/table", {"rows": as_json(rows)})
    draw(rows, path.with_suffix(".png"))
    _put(DOCUMENT, {"": as_markdown(rows)})
    _put(LR_RECSYS, lr_recsys.tables(RESULTS))
    typer.echo("\n".join(map(str, (path, path.with_suffix(".png"), DOCUMENT, LR_RECSYS))))


def _put(path: Path, tables: dict[str, str]) -> None:
    """Puts tables in their places."""
    path.write_text(with_tables(path.read_text(encoding="utf-8"), tables), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
