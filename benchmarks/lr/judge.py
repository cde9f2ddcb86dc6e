"""What the runs of a split come to: the benchmark's figures, gains over the controls, and the peers.

A gain is the paired difference on the same test rows (`score.py --compare`): below 0 for RMSE means better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.lr.runs import Run, scored
from benchmarks.lr.splits import BenchSplit
from benchmarks.lr.world import WORLD, scored_world
from features.settings import BenchFolders
from models.metrics.rating import ece_by_chance

CONTROLS = ("no_expl", "shuffled", "product_text", "random", "swapped", "pos_only", "neg_only", "summary")


Scorer = Callable[[list[str]], dict[str, Any]]
"""What is said of one file of predictions, or of the second against the first."""


def scorer(split: BenchSplit, folders: BenchFolders | None) -> Scorer:
    """The benchmark's script, or, for the built-in world, our own evaluation."""
    if split.dataset == WORLD or folders is None:
        return partial(scored_world, split=split)
    return partial(scored, split=split, folders=folders)


def peers_of(split: BenchSplit, folders: BenchFolders | None) -> dict[str, str]:
    """Files of others' predictions by name; the built-in world has none."""
    found = (
        sorted((folders.bench / "peers" / split.dataset / split.name / "rating").glob("*.csv.gz")) if folders else []
    )
    return {path.name.removesuffix(".csv.gz"): str(path) for path in found}


def judged(runs: list[Run], score: Scorer, peers: Mapping[str, str]) -> dict[str, Any]:
    """Figures of every run; and of the full method (without its texts: the first run) against controls and peers."""
    by_name = {run.variant: run for run in runs}
    figures: dict[str, Any] = {
        "variants": {run.variant: _figures(run, score) for run in runs},
        "against_controls": {},
        "against_peers": {},
    }
    if not runs:
        return figures
    lead = by_name.get("full", runs[0])
    figures["compared"] = lead.variant
    for name in CONTROLS:
        if name in by_name and name != lead.variant:
            figures["against_controls"][name] = score([by_name[name].file, lead.file])["compare"]
    for name, file in peers.items():
        figures["against_peers"][name] = score([file, lead.file])["compare"]
    return figures


def table(split: str, figures: dict[str, Any]) -> str:
    """The figures of a split for a terminal."""
    lines = [f"{split:<24}{'rmse':>9}{'95 %':>20}{'auc':>9}{'ece':>8}{'by chance':>11}{'sd of seeds':>13}"]
    for name, found in figures["variants"].items():
        mean = found["mean"]
        low, high = mean["interval95"]["rmse"]
        numbers = f"{mean['rmse']:>9.4f}{f'{low:.4f} to {high:.4f}':>20}{mean['auc']:>9.4f}{mean['ece']:>8.4f}"
        lines.append(f"  {name:<22}{numbers}{found['ece_by_chance']:>11.4f}{found['sd_of_seeds']:>13.4f}")
    for kind in ("against_controls", "against_peers"):
        for name, gap in figures[kind].items():
            low, high = gap["rmse"]["interval95"]
            lines.append(
                f"  {figures['compared']} - {name:<26} rmse {gap['rmse']['b_minus_a']:+.4f} ({low:+.4f} to {high:+.4f})"
            )
    return "\n".join([*lines, *(f"  not run: {name}: {why}" for name, why in figures.get("not_run", {}).items())])


def _figures(run: Run, score: Scorer) -> dict[str, Any]:
    several = len(run.rmse) > 1
    return {
        "mean": score([run.file]),
        "ece_by_chance": round(ece_by_chance(pd.read_csv(run.file)["probability"]), 6),
        "rmse_of_seeds": run.rmse,
        "sd_of_seeds": round(float(np.std(run.rmse, ddof=1)), 6) if several else 0.0,
        "epochs": run.epochs,
        "seconds": run.seconds,
        "rows_per_second": run.rows_per_second,
        "valid_rmse": run.valid_rmse,
        "commit": run.commit,
        "attention_by_third": run.attention,
    }
