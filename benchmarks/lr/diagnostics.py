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
    if full and none and (gains := by_difficulty(split, full, none)):
        found["by_difficulty"] = gains
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


def by_difficulty(split: BenchSplit, full: Run, none: Run) -> dict[str, list[dict[str, float]]]:
    """RMSE with and without explanations by third of the rows by difficulty, easiest first (LR-Recsys, section 5).

    `error`: the absolute error of `no_expl`. It uses the test's ratings, so it is only diagnostic. Half of the members
    say how hard a row is and the other half are compared, since a row that a model happened to miss flatters whatever
    is set against that same model. So rows of which all members say the same are left out: there the halves are one
    model. Members that nearly agree still flatter. `variance`: how far all members of `no_expl` disagree.

    Rows that are as hard as each other stay together, so thirds differ in size; a kind with an empty third is left out.
    """
    truth = split.test["rating"].to_numpy(np.float64)
    with_texts, without = (np.load(run.members, allow_pickle=False).astype(np.float64) for run in (full, none))
    half, mean, apart = len(without) // 2, with_texts.mean(0), np.ptp(without, axis=0) > 0
    error, rest = np.abs(without[:half].mean(0) - truth), without[half:].mean(0)
    variance = np.where(apart, without.var(0), 0.0)  # of equal numbers rounding leaves a little
    kinds = {
        "error": _thirds(error[apart], truth[apart], mean[apart], rest[apart]),
        "variance": _thirds(variance, truth, mean, without.mean(0)),
    }
    return {kind: thirds for kind, thirds in kinds.items() if len(thirds) == 3}


def _thirds(difficulty: Reals, truth: Reals, full: Reals, none: Reals) -> list[dict[str, float]]:
    """The figures of those thirds that have rows."""
    third = np.ceil(3 * pd.Series(difficulty).rank().to_numpy() / max(len(difficulty), 1))
    found = []
    for rows in (third == it for it in np.unique(third)):
        own, other = _rmse(full[rows], truth[rows]), _rmse(none[rows], truth[rows])
        found.append({"rows": int(rows.sum()), "full": own, "no_expl": other, "difference": round(own - other, 5)})
    return found


def _rmse(predicted: Reals, truth: Reals) -> float:
    return round(float(np.sqrt(np.mean((predicted - truth) ** 2))), 5)


def _mean_rmse(run: Run) -> float:
    return round(float(np.mean(run.rmse)), 5)


def _mean(values: pd.Series) -> float:
    return round(float(values.mean()), 4)
