"""A tiny dataset with the benchmark's loader and scorer, for tests of the LR-Recsys benchmark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.lr.examples import Examples, examples
from benchmarks.lr.splits import BenchSplit, load_split
from features.lake import Lake
from features.settings import BenchFolders, HostSettings
from features.types import TextRequest
from models.backbones.collaborative import CollaborativeConfig
from models.methods.lr_recsys import LRRecsysConfig

N_CONSUMERS, N_PRODUCTS = 8, 10
SCORER = """
import argparse, json, pathlib, sys
import pandas as pd

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import load

parser = argparse.ArgumentParser()
for name in ("dataset", "split", "task", "data", "splits"):
    parser.add_argument("--" + name)
parser.add_argument("--compare", nargs=2)
parser.add_argument("file", nargs="?")
args = parser.parse_args()
events = load.read_split(args.dataset, args.split, pathlib.Path(args.data), None)

def rmse(path):
    keys = ["consumer_id", "product_id"]
    both = events[events["part"] == "test"].merge(pd.read_csv(path, dtype=dict.fromkeys(keys, str)), on=keys)
    return float(((both["prediction"] - both["rating"].astype(float)) ** 2).mean() ** 0.5)

if args.compare:
    gap = rmse(args.compare[1]) - rmse(args.compare[0])
    print(json.dumps({"compare": {"rmse": {"b_minus_a": gap, "interval95": [gap, gap]}}}))
else:
    found = rmse(args.file)
    print(json.dumps({"rmse": found, "auc": 0.5, "ece": 0.0, "interval95": {"rmse": [found, found]}}))
"""
"""As the benchmark's, of which it has the arguments and the form of the answer."""
LOADER = """
import pandas as pd

def read_split(dataset, split, data, splits):
    columns = ["consumer_id", "product_id", "rating", "timestamp"]
    frame = pd.read_csv(data / dataset / "u.data", sep="\\t", names=columns, dtype={name: str for name in columns[:2]})
    frame.insert(0, "row", range(len(frame)))
    return frame.assign(part=frame["row"].map(lambda row: {7: "test", 8: "valid"}.get(row % 10, "train")))
"""
"""The tenth of the rows that ends in 7 is test, that ends in 8 valid."""


@dataclass(frozen=True)
class Bench:
    """Folders with a dataset in the layout of ML-100K, and a home."""

    folders: BenchFolders
    home: Path

    @property
    def settings(self) -> HostSettings:
        return HostSettings.from_environment({"COUNTERPOINT_HOME": str(self.home)})

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.lake)

    def split(self, name: str = "random-0") -> BenchSplit:
        return load_split("ml-100k", name, self.folders)

    def examples(self, texts: str, name: str = "random-0", **options: float) -> Examples:
        return examples(self.split(name), texts, self.settings, **options)


def write_data(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame) -> None:
    rng = np.random.default_rng(0)
    pairs = rng.permutation(N_CONSUMERS * N_PRODUCTS)
    frame = pd.DataFrame({"consumer": pairs // N_PRODUCTS + 1, "product": pairs % N_PRODUCTS + 1})
    frame["rating"] = np.where(
        (frame["consumer"] + frame["product"]) % 2 == 0, rng.integers(4, 6, 80), rng.integers(1, 3, 80)
    )
    frame["time"] = 880_000_000 + np.arange(80) * 1000
    folder.mkdir(parents=True, exist_ok=True)
    change(frame).to_csv(folder / "u.data", sep="\t", header=False, index=False)
    genres = ["0"] * 19
    items = []
    for n in range(1, N_PRODUCTS + 1):
        flags = genres.copy()
        flags[1 if n % 2 else 8] = "1"
        items.append("|".join([str(n), f"Film {'ABCDEFGHIJ'[n - 1]} (1994)", "01-Jan-1994", "", "", *flags]))
    (folder / "u.item").write_text("\n".join(items), encoding="latin-1")


def repeat_fact(request: TextRequest) -> list[str]:
    """A model that says its opening and then the fact's own words."""
    return [f"{slot.opening} {fact.text}." for slot, fact in zip(request.slots, request.facts, strict=True)]


def content(split: Examples) -> list[object]:
    """All that models see of every part, to the byte, but outcomes."""
    seen: list[object] = []
    for part in split:
        who, what = part.batch.consumers, part.batch.products
        seen += [who.numeric.tobytes(), who.history_ratings.tobytes(), who.history_ids.tolist(), what.numeric.tobytes()]
        for stored in (who.facet_codes, what.facet_codes, what.content):
            seen += [stored.table.tobytes(), stored.index.tolist()]
    return seen


TOY = LRRecsysConfig(
    embedding_size=8, hidden=(8,), members=2, epochs=2,
    collaborative=CollaborativeConfig(rank=2, chains=1, sweeps=20, burn_in=10, samples=5, folds=2, starts=(0.3,)),
)  # fmt: skip
