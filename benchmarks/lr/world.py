"""The built-in world as a dataset of the proof: the reasons for every rating are planted, so texts can carry them.

Splits are at random, one per seed of the world; the benchmark's script does not know them, so they are scored by the
platform's own evaluation, in the form of that script's answers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.lr.splits import BenchSplit, held_out, load_split, snapshot_of
from features.errors import SettingError
from features.readers.world import WorldConfig, generate_world
from features.sampling import draw
from features.settings import BenchFolders
from flows.recipe import read_recipe
from models.evaluate import Interval, Predictions, compare_predictions, evaluate_predictions

WORLD = "world"
N_CONSUMERS, N_PRODUCTS, N_INTERACTIONS = 300, 200, 6000
N_PER_STANCE = 4
"""Facets of an entity for, and against: consumers have about five likes and four aversions."""
HELD_OUT, PART_SEED = 0.1, 14
_PREFIX = "seed-"


def world_split(name: str) -> BenchSplit:
    """The split `seed-N`: 80, 10 and 10 % of the interactions of the world of that seed. Raises SettingError."""
    if not name.removeprefix(_PREFIX).isdecimal():
        raise SettingError(f"The built-in world has no split {name!r}.", remedy=f"Give {_PREFIX}N with a number N.")
    config = WorldConfig(int(name.removeprefix(_PREFIX)), N_CONSUMERS, N_PRODUCTS, N_INTERACTIONS)
    dataset = generate_world(config).dataset
    frame = dataset.interactions.frame
    share = draw(frame["row"], PART_SEED)
    parts = np.select([share < HELD_OUT, share < 2 * HELD_OUT], ["test", "valid"], "train")
    frame = frame.assign(part=parts)
    section = read_recipe("world/demo").explain.model_copy(update={"n_per_stance": N_PER_STANCE})
    train = snapshot_of(frame, dataset.catalog, dataset.scale, timed=False)
    valid, test = (held_out(frame, part) for part in ("valid", "test"))
    return BenchSplit(WORLD, name, section, train, valid, test, dataset.catalog, Path())


def split_of(dataset: str, name: str, folders: BenchFolders | None = None) -> BenchSplit:
    """A split of the built-in world, or of a dataset as `load_split` reads it. Raises what these raise."""
    return world_split(name) if dataset == WORLD else load_split(dataset, name, folders)


def scored_world(files: list[str], split: BenchSplit) -> dict[str, Any]:
    """Figures of one file of predictions, or the second minus the first, in the form of the benchmark's answers."""
    predictions = [_predictions(file, split) for file in files]
    if len(predictions) == 1:
        found = _named(evaluate_predictions(WORLD, predictions[0]).metrics)
        means = {name: interval.value for name, interval in found.items()}
        return {**means, "interval95": {name: [each.low, each.high] for name, each in found.items()}}
    found = _named(compare_predictions(*predictions))
    return {
        "compare": {name: {"b_minus_a": gap.value, "interval95": [gap.low, gap.high]} for name, gap in found.items()}
    }


def _named(metrics: dict[str, Interval]) -> dict[str, Interval]:
    """The metrics that the benchmark has too, by its names."""
    stars = next(name for name in metrics if name.startswith("rmse/") and name != "rmse/0-1")
    return {"rmse": metrics[stars], "auc": metrics["auc_soft"], "ece": metrics["ece"]}


def _predictions(file: str, split: BenchSplit) -> Predictions:
    keys = ["consumer_id", "product_id"]
    both = split.test.merge(pd.read_csv(file, dtype=dict.fromkeys(keys, str)), on=keys, validate="one_to_one")
    rating, scale = both["rating"].to_numpy(np.float64), split.train.scale
    return Predictions(
        both["consumer_id"].to_numpy(object),
        rating,
        (rating >= scale.like_from).astype(np.float64),
        both["prediction"].to_numpy(np.float64),
        both["probability"].to_numpy(np.float64),
        scale,
    )
