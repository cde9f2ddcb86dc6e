"""Makes one table of all methods from their result files.

    python -m benchmarks.comparison

Nothing is run: what the files under benchmarks/results say is put beside the papers' claims. Writes
`benchmarks/results/methods/table.json` and `table.png`, and the tables of `docs/methods/README.md`.
"""

from __future__ import annotations

import typer

from benchmarks.comparison.readers import read_rows
from benchmarks.comparison.told import as_json, as_markdown, draw, put_between
from benchmarks.record import RESULTS, write_result

DOCUMENT = RESULTS.parents[1] / "docs" / "methods" / "README.md"


def main() -> None:
    """Reads the files and writes the table in its three forms."""
    rows = read_rows(RESULTS)
    path = write_result("methods/table", {"rows": as_json(rows)})
    draw(rows, path.with_suffix(".png"))
    document = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(put_between(document, as_markdown(rows)), encoding="utf-8")
    typer.echo("\n".join(map(str, (path, path.with_suffix(".png"), DOCUMENT))))


if __name__ == "__main__":
    typer.run(main)
