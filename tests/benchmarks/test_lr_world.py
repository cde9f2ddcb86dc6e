"""The built-in world as a dataset of the proof: split, scored and compared like the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.lr.splits import BenchSplit
from benchmarks.lr.world import scored_world, world_split
from features.errors import SettingError


@pytest.fixture(scope="module")
def split() -> BenchSplit:
    return world_split("seed-5")


def test_a_world_is_split_into_parts_that_share_no_row(split: BenchSplit) -> None:
    parts = [set(frame["row"]) for frame in (split.train.interactions.frame, split.valid, split.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 6000
    assert 0.08 < len(parts[2]) / 6000 < 0.12
    assert world_split("seed-6").test["rating"].tolist() != split.test["rating"].tolist()


def test_other_names_are_refused() -> None:
    with pytest.raises(SettingError, match="random-0"):
        world_split("random-0")


def test_figures_have_the_form_of_the_benchmarks(split: BenchSplit, tmp_path: Path) -> None:
    files = {}
    for name, miss in (("near", 0.5), ("far", 1.0)):
        files[name] = str(tmp_path / f"{name}.csv")
        frame = split.test[["consumer_id", "product_id"]].sample(frac=1, random_state=0)  # any order will do
        frame.assign(prediction=split.test["rating"] + miss, probability=0.5).to_csv(files[name], index=False)
    near = scored_world([files["near"]], split)
    assert near["rmse"] == pytest.approx(0.5)
    assert near["interval95"]["rmse"] == pytest.approx([0.5, 0.5])
    gap = scored_world([files["far"], files["near"]], split)["compare"]["rmse"]
    assert gap["b_minus_a"] == pytest.approx(-0.5)
