"""Where a gain falls and how far a score can be trusted: from the predictions of finished runs, never from a fit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.lr.judge import Scorer
from benchmarks.lr.runs import Run
from benchmarks.lr.splits import BenchSplit
from models.backbones.fusion import BACKENDS

N_BINS = 10
Reals = NDArray[np.float64]


def diagnosed(split: BenchSplit, runs: list[Run], score: Scorer) -> dict[str, Any]:
    """What the runs of a split allow to say; a part whose runs were not made is left out."""
    by_name = {run.variant: run for run in runs}
    full, none = by_name.get("full"), by_name.get("no_expl")
    found: dict[str, Any] = {"reliability": {run.variant: reliability(split, run) for run in (full, none) if run}}
    if full and none and _differ(none):
        found["by_difficulty"] = by_difficulty(split, full, none)
    found["backends"] = {}
    for kind in BACKENDS:
        own, other = (by_name.get(name if kind == "mlp" else f"{name}_{kind}") for name in ("full", "no_expl"))
        if own and other:
            gain = score([other.file, own.file])["compare"]["rmse"]
            found["backends"][kind] = {"no_expl_rmse": _mean_rmse(other), "full_rmse": _mean_rmse(own), **gain}
    return found


def reliability(split: BenchSplit, run: Run) -> list[dict[str, float]]:
    """Predicted probability and share of liked rows, in bins of equally many test rows."""
    keys = ["consumer_id", "product_id"]
    said = split.test[[*keys, "rating"]].merge(pd.read_csv(run.file, dtype=dict.fromkeys(keys, str)), on=keys)
    said = said.assign(liked=said["rating"] >= split.train.scale.like_from).sort_values("probability", kind="stable")
    ends = np.linspace(0, len(said), min(N_BINS, len(said)) + 1).astype(int)
    parts = [said.iloc[start:end] for start, end in pairwise(ends)]
    return [
        {"rows": len(part), "predicted": _mean(part["probability"]), "liked": _mean(part["liked"])} for part in parts
    ]


def _differ(run: Run) -> bool:
    """Whether members disagree: stars that no network moves from the belief are the same of each of them."""
    return bool(np.ptp(np.load(run.members, allow_pickle=False), axis=0).any())


def by_difficulty(split: BenchSplit, full: Run, none: Run) -> dict[str, list[dict[str, float]]]:
    """RMSE with and without explanations by tercile of difficulty, easiest first (LR-Recsys, section 5).

    `error`: the absolute error of `no_expl`. It uses the test's ratings, so it is only diagnostic. Half of the members
    say how hard a row is and the other half are compared, since a row that a model happened to miss flatters whatever
    is set against that same model. `variance`: how far all members of `no_expl` disagree.
    """
    truth = split.test["rating"].to_numpy(np.float64)
    with_texts, without = (np.load(run.members, allow_pickle=False).astype(np.float64) for run in (full, none))
    half = len(without) // 2
    error, rest = np.abs(without[:half].mean(0) - truth), without[half:].mean(0)
    variance, mean = without.var(0), with_texts.mean(0)
    return {
        "error": _terciles(error, truth, mean, rest),
        "variance": _terciles(variance, truth, mean, without.mean(0)),
    }


def _terciles(difficulty: Reals, truth: Reals, full: Reals, none: Reals) -> list[dict[str, float]]:
    thirds = np.array_split(np.argsort(difficulty, kind="stable"), 3)
    errors = [(_rmse(full[third], truth[third]), _rmse(none[third], truth[third])) for third in thirds]
    return [{"full": own, "no_expl": other, "difference": round(own - other, 5)} for own, other in errors]


def _rmse(predicted: Reals, truth: Reals) -> float:
    return round(float(np.sqrt(np.mean((predicted - truth) ** 2))), 5)


def _mean_rmse(run: Run) -> float:
    return round(float(np.mean(run.rmse)), 5)


def _mean(values: pd.Series) -> float:
    return round(float(values.mean()), 4)
