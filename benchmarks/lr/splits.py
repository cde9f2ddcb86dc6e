"""Fixed splits as snapshots of training interactions, and what is held out of them.

The benchmark's own loader says which row is in which part; this repository's readers say what a row is. Both must
name the same consumers, products and ratings. Splits that are not by time lose their times here, so that nothing
after this file can use them; held-out rows keep nothing but who, what and the rating to be predicted.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import InputError, SettingError
from features.evidence import EvidenceWindow
from features.readers.dataset import Dataset
from features.readers.registry import read_dataset
from features.sampling import draw
from features.settings import BenchFolders
from features.types import Catalog, Interactions, RatingScale, Snapshot
from flows.recipe import ExplainSection, read_recipe

RANKING = "leave-last-out"
BY_TIME = ("time", RANKING)
"""Splits whose training rows see what was known strictly before them; the others have no times."""
DESCRIBED_BY_REVIEWS = frozenset({"amazon-beauty"})
"""Datasets whose descriptions a language model wrote from reviews, of which it may have seen those held out."""
SHUFFLE_SEED, EVIDENCE_SEED, FRACTION_SEED = 11, 12, 13
TIMELESS = pd.Timestamp("2000-01-01", tz="UTC").as_unit("us")
HELD_OUT_COLUMNS = ["row", "consumer_id", "product_id", "rating"]


@dataclass(frozen=True, eq=False)
class BenchSplit:
    """One split of one dataset."""

    dataset: str
    name: str
    section: ExplainSection
    """How the dataset's recipe has facts made and worded."""
    train: Snapshot
    """Training interactions alone, with `row` as the benchmark numbers it."""
    valid: pd.DataFrame
    """`HELD_OUT_COLUMNS`."""
    test: pd.DataFrame
    """`HELD_OUT_COLUMNS`."""
    reviewed: Catalog
    """The catalog with descriptions that were written from reviews, where there are such; else the same."""
    data: Path
    """Folder of the dataset."""
    fraction: float = 1.0
    """Share of the training rows that is left."""

    @property
    def key(self) -> str:
        """Names the split in folders and files."""
        share = "" if self.fraction == 1 else f"@{self.fraction:g}"
        return f"{self.dataset}/{self.name}{share}"

    @property
    def by_time(self) -> bool:
        """Whether training rows have times."""
        return self.name in BY_TIME

    @property
    def evidence(self) -> NDArray[np.bool_]:
        """(N,) training rows that facts of every entity may rest on, where the split is not by time.

        By time, each entity has a window of its own (`window`), and rows see what was known before them.
        """
        if self.by_time:
            raise SettingError(f"{self.key} is split by time.", remedy="Use `window`.")
        return draw(self.train.interactions.frame["row"], EVIDENCE_SEED) < self.section.evidence_share

    @property
    def evidence_snapshot(self) -> Snapshot:
        """The training rows that facts may be made of; times do not matter or are observed by `window`."""
        frame = self.train.interactions.frame
        kept = frame if self.by_time else frame[self.evidence]
        return replace(self.train, interactions=Interactions(kept.reset_index(drop=True)))

    @property
    def window(self) -> EvidenceWindow:
        """The share of an entity's rows of `evidence_snapshot` that its facts rest on."""
        return EvidenceWindow(self.section.evidence_share if self.by_time else 1.0)

    def reduced(self, fraction: float) -> BenchSplit:
        """The same split with a share of its training rows; smaller shares lie within larger ones.

        What is held out stays, also where its consumer or product then has no training row.
        """
        frame = self.train.interactions.frame
        kept = frame[draw(frame["row"], FRACTION_SEED) < fraction].reset_index(drop=True)
        return replace(self, train=replace(self.train, interactions=Interactions(kept)), fraction=fraction)


def load_split(dataset: str, split: str, folders: BenchFolders | None = None) -> BenchSplit:
    """Reads a dataset and takes it apart.

    Args:
        dataset: a folder of the data and of the benchmark's splits, with a recipe `<dataset>/lr_recsys`.
        split: `random-0`, `time` and so on.
        folders: by default those of the environment.

    Raises:
        SettingError: a folder is missing.
        InputError: reader and benchmark disagree about a row.
    """
    folders = folders or BenchFolders.from_environment()
    recipe = read_recipe(f"{dataset}/lr_recsys")
    read = read_dataset(recipe.data.layout, folders.data / dataset)
    parts = _loader(folders.bench).read_split(dataset, split, folders.data, folders.bench / "splits")
    frame = _joined(read, parts)
    catalog = without_descriptions(read.catalog) if dataset in DESCRIBED_BY_REVIEWS else read.catalog
    snapshot = snapshot_of(frame, catalog, read.scale, timed=split in BY_TIME)
    valid, test = (held_out(frame, part) for part in ("valid", "test"))
    folder = folders.data / dataset
    return BenchSplit(dataset, split, recipe.explain, snapshot, valid, test, read.catalog, folder)


def snapshot_of(frame: pd.DataFrame, catalog: Catalog, scale: RatingScale, timed: bool) -> Snapshot:
    """The rows whose `part` is train, with their times or without."""
    train = frame[frame["part"] == "train"].drop(columns="part").reset_index(drop=True)
    train = train if timed else timeless(train)
    return Snapshot(Interactions(train), catalog, scale, after(train))


def timeless(frame: pd.DataFrame) -> pd.DataFrame:
    """Interactions in a seeded order, a second apart from 2000 on: their own times are gone."""
    order = np.argsort(draw(frame["row"], SHUFFLE_SEED), kind="stable")
    shuffled = frame.iloc[order].reset_index(drop=True)
    return shuffled.assign(timestamp=TIMELESS + pd.to_timedelta(np.arange(len(frame)), "s").as_unit("us"))


def without_descriptions(catalog: Catalog) -> Catalog:
    """The catalog with empty descriptions."""
    return replace(catalog, products=catalog.products.assign(description=""))


def _joined(read: Dataset, parts: pd.DataFrame) -> pd.DataFrame:
    """Our rows with their `part`. Raises InputError where the two readings differ."""
    ours = read.interactions.frame
    both = ours.merge(parts, on="row", how="outer", suffixes=("", "_bench"), indicator=True)
    differs = both["_merge"] != "both"
    for name in ("consumer_id", "product_id", "rating"):
        differs |= both[name] != both[f"{name}_bench"]
    if differs.any():
        first = both[differs].iloc[0]
        raise InputError(
            f"{read.name}: {int(differs.sum())} rows differ from the benchmark's, the first is row {first['row']}: "
            f"{first['consumer_id']!r}, {first['product_id']!r}, {first['rating']!r} here and "
            f"{first['consumer_id_bench']!r}, {first['product_id_bench']!r}, {first['rating_bench']!r} there.",
            remedy="Give the data that the splits were made from.",
        )
    return ours.assign(part=ours["row"].map(parts.set_index("row")["part"]))


def held_out(frame: pd.DataFrame, part: str) -> pd.DataFrame:
    """The rows of a part, with `HELD_OUT_COLUMNS`."""
    return frame.loc[frame["part"] == part, HELD_OUT_COLUMNS].sort_values("row").reset_index(drop=True)


def after(train: pd.DataFrame) -> datetime:
    last: pd.Timestamp = train["timestamp"].max()
    return (last + pd.Timedelta(milliseconds=2)).to_pydatetime()


def _loader(bench: Path) -> ModuleType:
    """The benchmark's own `load.py`."""
    path = bench / "load.py"
    spec = importlib.util.spec_from_file_location("bench_load", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise SettingError(f"There is no {path}.", remedy="Let COUNTERPOINT_BENCH name the benchmark's folder.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
