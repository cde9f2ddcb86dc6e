"""Has the texts of fixed splits written, in the order given; writes `benchmarks/results/lr_recsys/texts/`.

python -m benchmarks.lr.generate amazon-musical-instruments/random-0 ml-100k/u1 ml-100k/random-0@0.5

Answers go to the ledger of COUNTERPOINT_HOME one by one, so it may be stopped and started again.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from benchmarks.lr.splits import load_split
from benchmarks.lr.wording import figures, word
from benchmarks.record import write_result
from features.lake import Lake
from features.settings import HostSettings
from models.llm.engines import open_engine


def main(
    splits: Annotated[list[str], typer.Argument(help="DATASET/SPLIT, or DATASET/SPLIT@SHARE of the training rows.")],
) -> None:
    """Generates the texts of each split."""
    settings = HostSettings.from_environment()
    engine = open_engine(settings)
    for name in splits:
        path, _, share = name.partition("@")
        dataset, _, part = path.partition("/")
        split = load_split(dataset, part).reduced(float(share or 1))
        cost = word(split, engine, settings, _show)
        written = figures(split, cost, f"{engine.identity.name}@{engine.identity.revision}", Lake(settings.lake))
        typer.echo(f"{name}: {cost}\nwritten to {write_result(f'lr_recsys/texts/{split.key}', written)}")


def _show(what: str, done: int, total: int) -> None:
    sys.stderr.write(f"\r{what} {done}/{total} ")


if __name__ == "__main__":
    typer.run(main)
