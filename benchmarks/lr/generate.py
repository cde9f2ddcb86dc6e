"""Has the texts of fixed splits written and coded, in the order given; writes `benchmarks/results/lr_recsys/texts/`.

python -m benchmarks.lr.generate amazon-musical-instruments ml-100k/u1 ml-100k/random-0@0.5
python -m benchmarks.lr.generate world/seed-211 --pairs

Answers go to the ledger of COUNTERPOINT_HOME one by one, so it may be stopped and started again. Vectors and codes of
all text sets that the proof reads there are left in the lake, so that `examples` has nothing left to encode.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from itertools import chain
from typing import Annotated

import typer

from benchmarks.lr.codes import reconstruction, text_tables
from benchmarks.lr.pair_texts import word_pairs
from benchmarks.lr.settings import plan_of, texts_of
from benchmarks.lr.splits import BenchSplit
from benchmarks.lr.texts import PAIR_SETS, CodedBy, text_set
from benchmarks.lr.wording import figures, word
from benchmarks.lr.world import split_of
from benchmarks.record import write_result
from features.errors import InputError
from features.lake import Lake
from features.settings import HostSettings
from models.llm.engines import open_engine


def main(
    splits: Annotated[
        list[str],
        typer.Argument(
            help="DATASET/SPLIT, DATASET/SPLIT@SHARE of its training rows, or DATASET: all its proof needs."
        ),
    ],
    pairs: Annotated[bool, typer.Option(help="Also two texts for each pair (`benchmarks/lr_granularity.py`).")] = False,
) -> None:
    """Generates the texts of each split."""
    settings = HostSettings.from_environment()
    engine = open_engine(settings)
    for name in chain.from_iterable([name] if "/" in name else texts_of(name) for name in splits):
        path, _, share = name.partition("@")
        dataset, _, part = path.partition("/")
        split = split_of(dataset, part).reduced(float(share or 1))
        cost = word(split, engine, settings, _show)
        written = figures(split, cost, f"{engine.identity.name}@{engine.identity.revision}", Lake(settings.lake))
        if pairs:
            written["pairs"] = asdict(word_pairs(split, engine, settings, _show))
        read = plan_of(dataset).text_sets_of(part, split.fraction)
        written["autoencoder"] = _coded(split, [*read, *(PAIR_SETS if pairs else ())], settings)
        typer.echo(f"{name}: {cost}\nwritten to {write_result(f'lr_recsys/texts/{split.key}', written)}")


def _coded(split: BenchSplit, names: list[str], settings: HostSettings) -> dict[str, dict[str, float]]:
    """Codes those sets that the dataset has; returns what tuning reached, by set."""
    reached = {}
    for name in names:
        try:
            text_tables(split, name, settings, _show)
        except InputError as error:
            typer.echo(f"{name}: {error}")
            continue
        if text_set(split, name, Lake(settings.lake)).coded_by is CodedBy.OWN:
            reached[name] = reconstruction(split, name, settings)
    return reached


def _show(what: str, done: int, total: int) -> None:
    sys.stderr.write(f"\r{what} {done}/{total} ")


if __name__ == "__main__":
    typer.run(main)
