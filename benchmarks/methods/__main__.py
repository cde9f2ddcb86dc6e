"""Runs one method's benchmark and writes its result file.

    python -m benchmarks.methods --method sequences --dataset ml-100k
    python -m benchmarks.methods --method lane --dataset ml-100k --seeds 3

COUNTERPOINT_BENCH and COUNTERPOINT_DATA name the benchmark's and the data's folders. Everything is chosen on valid and
fitted on train; test is scored once per variant and seed, by the benchmark's script, over the full catalogue. Writes
`benchmarks/results/methods/<method>-<dataset>.json`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

import typer

from features.settings import BenchFolders


def main(
    method: Annotated[str, typer.Option(help="A module of this package with `run`, such as `combined`.")],
    dataset: Annotated[str, typer.Option(help="A folder of the benchmark's splits.")],
    seeds: Annotated[int, typer.Option(help="How many seeds.")] = 3,
    variant: Annotated[list[str] | None, typer.Option(help="Only these variants.")] = None,
    valid: Annotated[bool, typer.Option("--valid", help="Print NDCG@10 on valid, score no test.")] = False,
) -> None:
    """Runs the variants that are asked for."""
    run = import_module(f"benchmarks.methods.{method}").run
    typer.echo(run(dataset, BenchFolders.from_environment(), seeds, tuple(variant or ()), valid))


if __name__ == "__main__":
    typer.run(main)
