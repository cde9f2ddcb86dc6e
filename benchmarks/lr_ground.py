"""What ratings alone say on the fixed splits, without any text: a bias model, the belief, and the network on top of it.

    python -m benchmarks.lr_ground
    python -m benchmarks.lr_ground --dataset amazon-beauty --split random-0

COUNTERPOINT_BENCH, COUNTERPOINT_DATA and COUNTERPOINT_HOME as for `benchmarks/lr_recsys.py`, whose runs without texts
these are. All three are fitted on training rows for the figures on validation rows, and on both for those on test rows.
Writes `benchmarks/results/lr_recsys/ground/<dataset>/<split>.json`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import torch
import typer

from benchmarks.lr.examples import examples, together
from benchmarks.lr.ground import ground_of
from benchmarks.lr.judge import Scorer, peers_of, scorer
from benchmarks.lr.runs import Run, run_variant, write_predictions
from benchmarks.lr.settings import config_of, plan_of
from benchmarks.lr.splits import BY_TIME, BenchSplit
from benchmarks.lr.variants import VARIANTS
from benchmarks.lr.world import WORLD, split_of
from benchmarks.record import RESULTS, write_result
from features.batch import FeatureBatch, TrainingSet
from features.settings import BenchFolders, HostSettings
from models.base import RunContext, Scores
from models.methods.bias import Bias, BiasConfig
from models.methods.lr_recsys import LRRecsysConfig
from models.metrics.rating import ece_by_chance, rmse

DATASETS = ("amazon-musical-instruments", "amazon-beauty", "ml-100k", "ml-latest-small")
DAMPINGS = (2.0, 5.0, 10.0, 25.0)
"""Of consumers and of products, chosen on validation rows."""
Predict = Callable[[FeatureBatch], Scores]


def main(
    dataset: Annotated[list[str] | None, typer.Option(help="Only these datasets.")] = None,
    split: Annotated[list[str] | None, typer.Option(help="Only these splits.")] = None,
) -> None:
    """Runs what was not run yet, and writes and prints the figures."""
    settings = HostSettings.from_environment()
    for name in dataset or DATASETS:
        config, folders = config_of(name), None if name == WORLD else BenchFolders.from_environment()
        for part in split or [each for each in plan_of(name).splits if each not in BY_TIME]:
            loaded = split_of(name, part, folders)
            known = _known(loaded, config, settings)
            figures = _judged(known, scorer(loaded, folders), peers_of(loaded, folders))
            path = write_result(f"lr_recsys/ground/{loaded.key}", figures)
            typer.echo(f"{table(loaded.key, figures)}\nwritten to {path.relative_to(Path(RESULTS).parent.parent)}")


def _known(split: BenchSplit, config: LRRecsysConfig, settings: HostSettings) -> dict[str, tuple[float, str]]:
    """By what was fitted, the error on validation rows and the file of what it says of test rows."""
    folder = settings.home / "benchmark" / split.key
    train, valid, _ = examples(split, "none", settings)
    both = together(split, "none", settings)
    damping = _best_damping(train, valid, split)

    def belief(rows: TrainingSet) -> Predict:
        return believing(rows, split, config, folder / "grounds")

    def fitted(name: str, fit: Callable[[TrainingSet], Predict]) -> tuple[float, str]:
        said = fit(both.train)(both.test.batch)
        return _error(fit(train), valid), write_predictions(folder / f"{name}.csv.gz", both.test, said)

    network: Run = run_variant(split, VARIANTS["no_expl"], config, settings, RunContext())
    return {
        "bias": fitted("bias", lambda rows: _bias(rows, damping, split)),
        "ground": fitted("ground", belief),
        "network": (network.valid_rmse, network.file),
    }


def believing(rows: TrainingSet, split: BenchSplit, config: LRRecsysConfig, folder: Path) -> Predict:
    """What the factorization of some rows says by itself."""
    scale = split.train.scale
    ground = ground_of(rows, config, scale, folder, RunContext())

    def predict(batch: FeatureBatch) -> Scores:
        belief = ground.model.believe(batch)
        return Scores(belief.mean.numpy(), belief.at_least(torch.tensor(scale.like_from)).numpy())

    return predict


def _best_damping(train: TrainingSet, valid: TrainingSet, split: BenchSplit) -> BiasConfig:
    tried = [
        BiasConfig(product_damping=of_product, consumer_damping=of_consumer)
        for of_product, of_consumer in product(DAMPINGS, DAMPINGS)
    ]
    return min(tried, key=lambda config: _error(_bias(train, config, split), valid))


def _bias(rows: TrainingSet, config: BiasConfig, split: BenchSplit) -> Predict:
    model = Bias(config, split.train.scale)
    model.fit(rows, rows, RunContext())
    return model.score


def _error(predict: Predict, rows: TrainingSet) -> float:
    return round(rmse(rows.rating, predict(rows.batch).rating), 5)


def _judged(known: dict[str, tuple[float, str]], score: Scorer, peers: dict[str, str]) -> dict[str, Any]:
    """Figures of each, and the network's gains over the others and over the peers."""
    ours = {name: file for name, (_, file) in known.items()}
    fitted = {
        name: {
            "valid_rmse": error,
            "test": score([file]),
            "ece_by_chance": round(ece_by_chance(pd.read_csv(file)["probability"]), 5),
        }
        for name, (error, file) in known.items()
    }
    network = ours.pop("network")
    return {
        "fitted": fitted,
        "network_minus": {name: score([file, network])["compare"] for name, file in (ours | peers).items()},
    }


def table(split: str, figures: dict[str, Any]) -> str:
    """The figures of a split for a terminal."""
    lines = [f"{split:<38}{'valid rmse':>12}{'test rmse':>12}{'auc':>9}{'ece':>9}{'by chance':>11}"]
    for name, found in figures["fitted"].items():
        test = found["test"]
        numbers = f"{found['valid_rmse']:>12.4f}{test['rmse']:>12.4f}{test['auc']:>9.4f}{test['ece']:>9.4f}"
        lines.append(f"  {name:<36}{numbers}{found['ece_by_chance']:>11.4f}")
    for name, gap in figures["network_minus"].items():
        low, high = gap["rmse"]["interval95"]
        lines.append(f"  network - {name:<26} rmse {gap['rmse']['b_minus_a']:+.4f} ({low:+.4f} to {high:+.4f})")
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
