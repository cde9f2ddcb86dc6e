"""The proof of LR-Recsys on the fixed splits of a dataset: the method, its controls, and the peers to beat.

    python -m benchmarks.lr_recsys --dataset ml-100k --split random-0 --quick
    python -m benchmarks.lr_recsys --dataset amazon-musical-instruments
    python -m benchmarks.lr_recsys --dataset world

COUNTERPOINT_BENCH and COUNTERPOINT_DATA name the benchmark's and the data's folders, COUNTERPOINT_HOME the home that
holds the texts (`benchmarks/lr/generate.py`) and every run that was made. A stopped proof goes on; a variant whose
texts are not there is reported as not run. Writes `benchmarks/results/lr_recsys/variants/<dataset>/<split>.json`, with
`--quick` under `quick/`, and plots beside it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.lr.diagnostics import diagnosed
from benchmarks.lr.figures import draw, draw_diagnostics
from benchmarks.lr.judge import judged, peers_of, scorer, table
from benchmarks.lr.runs import Run, run_variant
from benchmarks.lr.settings import config_of, plan_of
from benchmarks.lr.splits import BenchSplit
from benchmarks.lr.variants import QUICK, VARIANTS
from benchmarks.lr.world import WORLD, split_of
from benchmarks.record import RESULTS, write_result
from features.errors import InputError
from features.settings import BenchFolders, HostSettings
from models.base import RunContext
from models.methods.lr_recsys import LRRecsysConfig


def main(
    dataset: Annotated[str, typer.Option(help="A folder of the benchmark's splits.")],
    split: Annotated[list[str] | None, typer.Option(help="Only these splits.")] = None,
    variant: Annotated[list[str] | None, typer.Option(help="Only these variants.")] = None,
    quick: Annotated[bool, typer.Option(help="One seed, and the controls a gain is claimed over.")] = False,
    seeds: Annotated[int | None, typer.Option(help="Members trained together; default: as many as is planned.")] = None,
) -> None:
    """Runs what was not run yet, judges everything, and prints the table."""
    settings = HostSettings.from_environment()
    folders = None if dataset == WORLD else BenchFolders.from_environment()
    plan = plan_of(dataset)
    for name in split or plan.splits:
        members = 1 if quick else seeds or plan.members_of(name)
        config, loaded = config_of(dataset).model_copy(update={"members": members}), split_of(dataset, name, folders)
        names = variant or (QUICK if quick else plan.variants_of(name))
        runs, absent = _runs(loaded, names, config, settings)
        score = scorer(loaded, folders)
        figures = {
            **judged(runs, score, peers_of(loaded, folders)),
            **diagnosed(loaded, runs, score),
            "not_run": absent,
        }
        typer.echo(table(name, figures))
        typer.echo(f"written to {_written(loaded, config, figures, 'quick' if quick else 'variants')}")


def _written(split: BenchSplit, config: LRRecsysConfig, figures: dict[str, Any], folder: str) -> Path:
    """Where the figures and pictures of a split are, under the project's folder."""
    about = {"dataset": split.dataset, "split": split.name, "config": config.model_dump(mode="json")}
    path = write_result(f"lr_recsys/{folder}/{split.key}", about | figures)
    draw(split.key, figures, path.with_suffix(".png"))
    draw_diagnostics(split.key, figures, path.with_name(f"{path.stem}-diagnostics.png"))
    return path.relative_to(RESULTS.parent.parent)


def _runs(
    split: BenchSplit, names: list[str] | tuple[str, ...], config: LRRecsysConfig, settings: HostSettings
) -> tuple[list[Run], dict[str, str]]:
    """The runs that could be made, and why the others could not."""
    runs, absent = [], {}
    for number, name in enumerate(names, 1):
        sys.stderr.write(f"{split.key}: {name} ({number} of {len(names)})\n")
        try:
            runs.append(run_variant(split, VARIANTS[name], config, settings, RunContext()))
        except InputError as error:
            absent[name] = str(error)
    return runs, absent


if __name__ == "__main__":
    typer.run(main)
