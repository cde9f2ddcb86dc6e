"""One variant on one split: fitted, fitted again with the validation rows, predicted once, scored by the benchmark.

What a run came to is kept in the home under everything it was made from, so that a stopped proof goes on.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.lr.examples import examples, together
from benchmarks.lr.ground import ground_of
from benchmarks.lr.splits import BenchSplit
from benchmarks.lr.variants import Variant
from features.batch import TrainingSet
from features.files import write_whole
from features.settings import BenchFolders, HostSettings
from features.types import content_hash
from flows.stage import code_commit
from models.base import RunContext, Scores
from models.methods.lr_recsys import LRRecsys, LRRecsysConfig

VERSION = 7
"""Changes when runs of older code must not be taken for runs of this."""

MEMBERS = "members.npy"


@dataclass(frozen=True)
class Run:
    """What one variant came to on one split."""

    variant: str
    split: str
    file: str
    """Predictions of the members' mean, in the benchmark's form."""
    members: str
    """Stars that each member predicts, (M, N) in the order of the split's test rows."""
    rmse: list[float]
    """Of each member by itself, on the test rows."""
    epochs: int
    seconds: float
    """Of fitting the network twice, without the ground."""
    rows_per_second: float
    """Training rows x epochs x members by second, first fit."""
    valid_rmse: float
    commit: str
    """What the code was when the run was made."""
    attention: dict[str, list[float]]
    """Mean attention to each field, by tercile of how unsure the ratings leave the row."""


def run_variant(
    split: BenchSplit, variant: Variant, config: LRRecsysConfig, settings: HostSettings, run: RunContext
) -> Run:
    """Fits, predicts and keeps; a run that was made before is read."""
    config = variant.changed(config)
    name = content_hash(asdict(variant), config.model_dump(), run.seed, VERSION)[:16]
    folder = settings.home / "benchmark" / split.key / "runs" / f"{variant.name}-{name}"
    report = folder / "run.json"
    if not report.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(report, json.dumps(asdict(_made(split, variant, config, settings, run, folder))))
    return Run(**json.loads(report.read_text(encoding="utf-8")))


def _made(
    split: BenchSplit, variant: Variant, config: LRRecsysConfig, settings: HostSettings, run: RunContext, folder: Path
) -> Run:
    reduced, grounds = split.reduced(variant.fraction), settings.home / "benchmark" / split.key / "grounds"
    train, valid, test = examples(reduced, variant.texts, settings, progress=run.progress)
    method = LRRecsys(config, split.train.scale)
    ground = ground_of(train, config, split.train.scale, grounds, run)
    started = time.monotonic()
    report = method.fit_from(ground, train, valid, run)
    seconds = time.monotonic() - started
    valid_rmse = _rmse(method.score(valid.batch), valid)
    if not split.by_time:
        both = together(reduced, variant.texts, settings)
        train, test = both.train, both.test
        ground = ground_of(train, config, split.train.scale, grounds, run)
        method.refit_from(ground, train, report.best_epoch, run)
    mean, members = method.score(test.batch), method.score_members(test.batch)
    np.save(folder / MEMBERS, np.stack([member.rating for member in members]), allow_pickle=False)
    return Run(
        variant.name,
        split.key,
        write_predictions(folder / "test.csv.gz", test, mean),
        str(folder / MEMBERS),
        [_rmse(member, test) for member in members],
        report.best_epoch,
        round(time.monotonic() - started, 1),
        round(len(train) * report.epochs * config.members / seconds),
        valid_rmse,
        code_commit(),
        _attention(mean, ground.model.believe(test.batch).deviation.numpy()),
    )


def scored(files: list[str], split: BenchSplit, folders: BenchFolders, task: str = "rating") -> dict[str, Any]:
    """What the benchmark's script says of one file, or of the second against the first."""
    what = files if len(files) == 1 else ["--compare", *files]
    command = [sys.executable, str(folders.bench / "score.py"), "--dataset", split.dataset, "--split", split.name]
    command += ["--task", task, "--data", str(folders.data), "--splits", str(folders.bench / "splits"), *what]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    content: dict[str, Any] = json.loads(answer)
    return content


def write_predictions(path: Path, test: TrainingSet, scores: Scores) -> str:
    frame = pd.DataFrame(
        {
            "consumer_id": test.batch.consumers.consumer_ids,
            "product_id": test.batch.products.product_ids,
            "prediction": scores.rating,
            "probability": scores.click,
        }
    )
    frame.to_csv(path, index=False)
    return str(path)


def _rmse(scores: Scores, rows: TrainingSet) -> float:
    return round(float(np.sqrt(np.mean((scores.rating - rows.rating) ** 2))), 5)


def _attention(scores: Scores, deviation: np.ndarray[Any, Any]) -> dict[str, list[float]]:
    """Mean attention by field over the surest, the middle and the least sure third of the rows."""
    thirds = np.array_split(np.argsort(deviation, kind="stable"), 3)
    means = [scores.attention[third].mean(0) for third in thirds]
    return {name: [round(float(mean[k]), 4) for mean in means] for k, name in enumerate(scores.fields)}
