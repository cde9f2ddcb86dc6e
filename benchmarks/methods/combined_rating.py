"""Stars and liking by the combined ranker, against LR-Recsys and each method beneath it alone.

    python -m benchmarks.methods --method combined_rating --dataset world --seeds 1

What is beneath, and how, is the dataset's recipe; alone a method has the same settings. All are fitted on train, choose
on valid, and are asked for test once. The built-in world has the model's texts (`benchmarks/lr/generate.py` makes
them); ML-100K here has none.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.lr.examples import Examples, examples
from benchmarks.lr.judge import Scorer, scorer
from benchmarks.lr.runs import write_predictions
from benchmarks.lr.settings import config_of
from benchmarks.lr.splits import BenchSplit
from benchmarks.lr.world import split_of
from benchmarks.methods.lists import means
from benchmarks.record import write_result
from features.files import write_whole
from features.settings import BenchFolders, HostSettings
from features.types import content_hash
from flows.recipe import read_recipe
from flows.stage import code_commit
from models.base import MethodConfig, Recommender, RunContext, find_method
from models.methods.combined import CombinedConfig

SPLITS = {"world": "seed-211", "ml-100k": "random-0"}
TEXTS = {"world": "model", "ml-100k": "none"}
METRICS = ("rmse", "auc")
COMBINED, RANKER = "combined", "lr_recsys"


class Contest(NamedTuple):
    """What every run shares."""

    split: BenchSplit
    rows: Examples
    folder: Path


def run(dataset: str, folders: BenchFolders, seeds: int, variants: tuple[str, ...], valid: bool) -> str:
    """Fits what was not fitted yet, and returns what was written; with `valid` RMSE there."""
    settings, split = HostSettings.from_environment(), split_of(dataset, SPLITS[dataset], folders)
    folder = settings.home / "rating" / dataset
    folder.mkdir(parents=True, exist_ok=True)
    contest = Contest(split, examples(split, TEXTS[dataset], settings), folder)
    configs = configs_of(dataset)
    chosen = [name for name in configs if name in (variants or configs)]
    rows = [row for seed in range(seeds) for row in _rows(contest, {name: configs[name] for name in chosen}, seed)]
    if valid or variants:
        return "\n".join(f"{row['variant']:12} {row['seed']} {row['valid_rmse']:.4f}" for row in rows)
    score = scorer(split, folders)
    rows = [{**row, **_scored(score, row["file"])} for row in rows]
    files = {(row["variant"], row["seed"]): row.pop("file") for row in rows}
    others = [name for name in configs if name != COMBINED]
    figures = {
        "dataset": dataset,
        "split": SPLITS[dataset],
        "texts": TEXTS[dataset],
        "fitted_on": "train",
        "config": configs[COMBINED].model_dump(mode="json"),
        "means": means(rows, METRICS),
        "rows": rows,
        "combined_minus": {
            other: [_minus(score, files[other, seed], files[COMBINED, seed]) for seed in range(seeds)]
            for other in others
        },
    }
    return write_result(f"methods/combined-rating-{dataset}", figures).read_text()


def configs_of(dataset: str) -> dict[str, MethodConfig]:
    """The ranker by itself, each method of the dataset's recipe by itself, and the combined ranker."""
    ranker, recipe = config_of(dataset), read_recipe(f"{dataset}/{COMBINED}")
    combined = CombinedConfig.model_validate({**ranker.model_dump(), **recipe.method.config})
    alone = {it.name: it.method(combined.explanations)[1] for it in combined.beneath}
    return {RANKER: ranker, **alone, COMBINED: combined}


def _rows(contest: Contest, configs: dict[str, MethodConfig], seed: int) -> list[dict[str, Any]]:
    """A row of each method with a seed; read if it was made from the same before."""
    rows, like = [], None
    for name, config in configs.items():
        made_from = content_hash(name, config.model_dump(mode="json"), contest.split.key, seed)[:16]
        report = contest.folder / f"{name}-{made_from}.json"
        if not report.exists():
            method = find_method(name)(config, contest.split.train.scale)
            made = _made(contest, method, like, seed, report.with_suffix(".csv.gz"))
            write_whole(report, json.dumps(made))
            like = method if name == RANKER else like
        rows.append(json.loads(report.read_text(encoding="utf-8")))
    return rows


def _made(contest: Contest, method: Recommender, like: Recommender | None, seed: int, path: Path) -> dict[str, Any]:
    """Fits, predicts test once, and tells what it took. The ranker's ground is taken over where it is the same."""
    started, (train, valid, test) = time.monotonic(), contest.rows
    report = method.fit_like(like, train, valid, RunContext(seed=seed))
    seconds, scores = time.monotonic() - started, method.score(test.batch)
    attention = scores.attention.mean(0).round(4).tolist() if scores.fields else []
    return {
        "variant": method.name,
        "seed": seed,
        "file": write_predictions(path, test, scores),
        "valid_rmse": round(float(np.sqrt(np.mean((method.score(valid.batch).rating - valid.rating) ** 2))), 5),
        "epochs": report.epochs,
        "best_epoch": report.best_epoch,
        "parameters": report.n_parameters,
        "seconds": round(seconds, 1),
        "attention": dict(zip(scores.fields, attention, strict=True)) if method.name in (COMBINED, RANKER) else {},
        "commit": code_commit(),
    }


def _scored(score: Scorer, file: str) -> dict[str, Any]:
    told = score([file])
    metrics = {name: told[name] for name in METRICS}
    return {**metrics, "interval95": {name: told["interval95"][name] for name in METRICS}}


def _minus(score: Scorer, other: str, own: str) -> dict[str, Any]:
    told = score([other, own])["compare"]
    return {name: told[name] for name in METRICS}
