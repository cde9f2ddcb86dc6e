"""ExplainRec on real data: students on TALLRec's prompts, strangers and new products, looks, and other domains.

    COUNTERPOINT_DATA=DIR COUNTERPOINT_BENCH=DIR python -m benchmarks.methods.explain_rec students --seeds 3
    ... python -m benchmarks.methods.explain_rec parts strangers --seeds 3
    ... python -m benchmarks.methods.explain_rec looks --seeds 3
    ... python -m benchmarks.methods.explain_rec cross-domain --seeds 2

Runs of students are kept under COUNTERPOINT_HOME, so that a stopped benchmark goes on. Epochs are chosen on valid
rows; test rows are scored once per run. Intervals are 95 %, of a bootstrap over consumers. Writes
`benchmarks/results/methods/explain_rec-<what>.json`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from benchmarks.record import write_result
from flows.stage import code_commit
from models.threads import torch_threads

app = typer.Typer(add_completion=False)
Seeds = Annotated[int, typer.Option(help="How many seeds.")]


@app.command()
def students(
    seeds: Seeds = 3,
    most_seeds: Annotated[int, typer.Option(help="Seeds of 256 shots and of reasons, which take longest.")] = 3,
) -> None:
    """TALLRec's mode on TALLRec's prompts, by shots, beside the student as it is, one that learns reasons, and one that
    is tuned in two stages.
    """
    from benchmarks.explain.students import measured

    wanted = {"zero-shot": 1, "tallrec-16": seeds, "tallrec-64": seeds}
    wanted |= {"two-stage-16": seeds, "two-stage-64": seeds}
    wanted |= {name: most_seeds for name in ("reasons-64", "tallrec-256") if most_seeds}
    _write("students", lambda: measured(wanted))


@app.command()
def parts(
    setting: Annotated[str, typer.Argument(help="strangers, new-products or everybody.")], seeds: Seeds = 3
) -> None:
    """ML-100K: all parts, none, and one left out, where each part claims to help."""
    from benchmarks.explain.parts import measured

    _write(setting, lambda: measured(setting, seeds))


@app.command()
def looks(seeds: Seeds = 3) -> None:
    """ML latest-small: new films with looks, without, with others' looks, and with fewer and fewer."""
    from benchmarks.explain.looks import measured

    _write("looks", lambda: measured(seeds))


@app.command()
def cross_domain(
    only: Annotated[list[str] | None, typer.Option(help="Cases to measure; all if not given.")] = None,
    seeds: Seeds = 2,
) -> None:
    """Trained on some datasets and asked in another, of which no id is known: all parts, and TALLRec's mode."""
    from benchmarks.explain.domains import CASES, measured

    _write("cross-domain", lambda: measured(only or list(CASES), seeds))


def _write(what: str, measure: Callable[[], dict[str, Any]]) -> None:
    started, commit = time.perf_counter(), code_commit()
    with torch_threads(1):
        figures = measure()
    figures["seconds"] = round(time.perf_counter() - started)
    typer.echo(write_result(f"methods/explain_rec-{what}", figures, commit))


if __name__ == "__main__":
    app()
