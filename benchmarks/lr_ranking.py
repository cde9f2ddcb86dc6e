"""Whether reasons help to find the next product: the ranker with experts that count met reasons, and its controls.

    python -m benchmarks.lr.generate ml-100k/leave-last-out
    python -m benchmarks.lr_ranking --dataset ml-100k

The whole catalogue is ranked. The experts and the blend are those of `benchmarks/ranking.py`, fitted on train and
valid; the blend learns whom to trust from each consumer's validation event, which no text has seen. All variants have
equally many columns: `no_expl` counts nothing, `shuffled` meets another's reasons, `product_text` the texts of what a
consumer had. A seed is the blend's. Writes `benchmarks/results/lr_recsys/ranked/<dataset>.json`.
"""

from __future__ import annotations

import hashlib
import time
from functools import partial
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.kept_expert import Kept
from benchmarks.lr.met_reasons import MetReasons, met_reasons
from benchmarks.lr.settings import plan_of
from benchmarks.lr.splits import RANKING, BenchSplit, load_split
from benchmarks.lr.variants import QUICK, VARIANTS
from benchmarks.methods.lists import Judge, Ranked, means
from benchmarks.ranking import CHOSEN, Events, content_vectors, read_events
from benchmarks.record import write_result
from features.settings import BenchFolders, HostSettings
from features.types import content_hash
from models.backbones.experts import Expert
from models.backbones.next_product import NextProduct, standard_experts
from models.base import FitReport, RunContext
from models.threads import torch_threads

VERSION = 1
"""Changes when lists of older code must not be taken for lists of this."""
FULL = "full"


def main(
    dataset: Annotated[str, typer.Option(help="A folder of the benchmark's splits.")],
    seeds: Annotated[int, typer.Option(help="Seeds of the blend.")] = 3,
) -> None:
    """Ranks what was not ranked yet, has it scored and compared, writes the figures and prints the means."""
    plan_of(dataset)
    settings, folders = HostSettings.from_environment(), BenchFolders.from_environment()
    events, split = read_events(folders.bench, folders.data, dataset, RANKING), load_split(dataset, RANKING, folders)
    judge = Judge(dataset, "reasons", folders, events)
    with torch_threads(1):
        own = _own_experts(dataset, events, folders, settings)
        rows = [
            row for name in QUICK for row in _rows(name, seeds, judge, own, _reasons(name, split, settings, events))
        ]
    found = means(rows)
    figures = {
        "dataset": dataset,
        "split": RANKING,
        "fitted_on": "train and valid; texts rest on train",
        "config": CHOSEN[dataset].model_dump(),
        "means": found,
        "rows": rows,
        "full_minus": {
            other: [judge.minus(FULL, other, seed) for seed in range(seeds)] for other in QUICK if other != FULL
        },
        "minus_peers": {FULL: judge.minus_peers(FULL, 0)},
    }
    path = write_result(f"lr_recsys/ranked/{dataset}", figures)
    for name, metrics in found.items():
        typer.echo(f"{name:14}" + "".join(f"{metric} {value:.4f}  " for metric, value in metrics.items()))
    typer.echo(f"written to {path.name}")


def _rows(
    name: str, seeds: int, judge: Judge, own: dict[str, Expert], reasons: dict[str, MetReasons]
) -> list[dict[str, Any]]:
    """What came of a variant, by seed."""
    config = CHOSEN[judge.dataset]
    made_from = content_hash(VERSION, config.model_dump(), [_content(it) for it in reasons.values()])
    made = [partial(_ranked, judge, name, seed, own | reasons) for seed in range(seeds)]
    return [judge.kept(name, seed, made_from, make) for seed, make in enumerate(made)]


def _own_experts(dataset: str, events: Events, folders: BenchFolders, settings: HostSettings) -> dict[str, Expert]:
    """The ranker's own, which are the same in all variants: what each said is kept."""
    config = CHOSEN[dataset]
    content = content_vectors(events, dataset, folders.data) if "content" in config.experts else None
    home, whole = settings.home / "experts" / dataset, config.model_dump()
    made = standard_experts(config, RunContext(), content)
    return {name: Kept(home, content_hash(VERSION, name, whole), partial(_itself, it)) for name, it in made.items()}


def _itself(expert: Expert) -> Expert:
    return expert


def _reasons(name: str, split: BenchSplit, settings: HostSettings, events: Events) -> dict[str, MetReasons]:
    """The experts of a variant; those of `no_expl` count nothing."""
    return met_reasons(split, VARIANTS[name].texts, settings, events.consumers.tolist(), events.products.tolist())


def _content(expert: MetReasons) -> str:
    return hashlib.sha256(np.ascontiguousarray(expert.counted).tobytes()).hexdigest()


def _ranked(judge: Judge, name: str, seed: int, experts: dict[str, Expert]) -> Ranked:
    known, run, started = judge.events.histories("train", "valid"), RunContext(seed=seed), time.monotonic()
    ranker = NextProduct(CHOSEN[judge.dataset], experts)
    ranker.fit(known, run)
    return Ranked(name, seed, ranker.score(known), FitReport(0, 0, (), time.monotonic() - started, 0))


if __name__ == "__main__":
    typer.run(main)
