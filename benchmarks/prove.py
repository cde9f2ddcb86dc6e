"""Tries to break the promises, at full size, and writes what came out under `benchmarks/results/proofs/`.

    python -m benchmarks.prove              # all
    python -m benchmarks.prove kills        # one

Exits with 1 if a promise was broken. The everyday tests run the same code on smaller sizes.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module
from pathlib import Path

import typer

from benchmarks.proofs import Proof
from benchmarks.record import write_result

PROOFS = sorted(path.stem for path in (Path(__file__).parent / "proofs").glob("[!_]*.py"))


def main(names: list[str] = typer.Argument(None, help=f"Which: {', '.join(PROOFS)}; default: all.")) -> None:  # noqa: B008
    """Runs the proofs and says how each went."""
    broken = []
    for name in names or PROOFS:
        started = time.perf_counter()
        proof: Proof = import_module(f"benchmarks.proofs.{name}").prove()
        if proof.not_run:
            typer.echo(f"not run {name}: {proof.not_run}")
            continue
        seconds = round(time.perf_counter() - started, 1)
        figures = {"promise": proof.promise, "kept": proof.kept, "seconds": seconds, **proof.figures}
        path = write_result(f"proofs/{name}", figures)
        typer.echo(f"{'kept  ' if proof.kept else 'BROKEN'} {name} ({seconds} s): {proof.promise} -> {path}")
        broken += [] if proof.kept else [name]
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    typer.run(main)
