"""Where the gain falls is told from predictions alone, and drawn as far as there is something to draw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.lr.diagnostics import by_difficulty, diagnosed, reliability
from benchmarks.lr.figures import curve_of, draw_diagnostics
from benchmarks.lr.runs import Run
from benchmarks.lr.splits import BenchSplit
from benchmarks.lr.world import world_split

N_MEMBERS = 4


@pytest.fixture(scope="module")
def split() -> BenchSplit:
    return world_split("seed-5")


def run(split: BenchSplit, name: str, folder: Path, miss: np.ndarray) -> Run:
    """A run whose members miss the ratings by `miss` and a little of their own."""
    truth = split.test["rating"].to_numpy()
    own = np.random.default_rng(len(name)).normal(size=(N_MEMBERS, len(truth))) * np.abs(miss) / 10
    stars = truth + miss + own
    file, members = folder / f"{name}.csv", folder / f"{name}.npy"
    keys = split.test[["consumer_id", "product_id"]]
    keys.assign(prediction=stars.mean(0), probability=np.clip(stars.mean(0) / 5, 0, 1)).to_csv(file, index=False)
    np.save(members, stars)
    thirds = {"consumer": [0.8, 0.7, 0.6], "e_plus": [0.2, 0.3, 0.4]}
    return Run(name, split.key, str(file), str(members), [0.5] * N_MEMBERS, 2, 1.0, 10, 0.2, "abc", thirds)


@pytest.fixture
def runs(split: BenchSplit, tmp_path: Path) -> list[Run]:
    """The method misses hard rows by half of what it misses without explanations, easy ones by the same."""
    hard = np.arange(len(split.test)) % 3 == 0
    none = np.where(hard, 2.0, 0.2)
    misses = {"full": np.where(hard, 1.0, 0.2), "no_expl": none, "full_din": none, "no_expl_din": none}
    return [run(split, name, tmp_path, miss) for name, miss in misses.items()]


def score(files: list[str]) -> dict[str, object]:
    return {"compare": {"rmse": {"b_minus_a": -0.1, "interval95": [-0.2, 0.0]}}}


def test_a_gain_on_hard_rows_is_found_there_by_both_definitions(split: BenchSplit, runs: list[Run]) -> None:
    for terciles in by_difficulty(split, *runs[:2]).values():
        easy, _, hard = (each["difference"] for each in terciles)
        assert hard == pytest.approx(-1, abs=0.1)
        assert abs(easy) < 0.1


def test_reliability_counts_every_row_once_in_order_of_the_probability(split: BenchSplit, runs: list[Run]) -> None:
    bins = reliability(split, runs[0])
    assert sum(each["rows"] for each in bins) == len(split.test)
    assert [each["predicted"] for each in bins] == sorted(each["predicted"] for each in bins)
    assert bins[-1]["liked"] == 1
    assert bins[0]["liked"] == 0


def test_only_what_was_run_is_told(split: BenchSplit, runs: list[Run]) -> None:
    assert set(diagnosed(split, runs, score)["backends"]) == {"mlp", "din"}
    alone = diagnosed(split, runs[:1], score)
    assert set(alone["reliability"]) == {"full"}
    assert "by_difficulty" not in alone
    assert alone["backends"] == {}


def test_where_members_say_the_same_nothing_tells_how_hard_a_row_is(split: BenchSplit, runs: list[Run]) -> None:
    full, none = runs[:2]
    assert "by_difficulty" in diagnosed(split, [full, none], score)
    np.save(none.members, np.repeat(np.load(none.members)[:1], N_MEMBERS, axis=0))
    assert "by_difficulty" not in diagnosed(split, [full, none], score)


def test_rows_that_are_as_hard_as_each_other_are_not_told_apart_by_their_order(
    split: BenchSplit, runs: list[Run]
) -> None:
    """Two rows in five have members that agree, among them the first and the last of the file."""
    full, none = runs[:2]
    members, agree = np.load(none.members), np.arange(len(split.test)) % 5 < 2
    members[:, agree] = members[:1, agree]
    np.save(none.members, members)
    found = by_difficulty(split, full, none)
    assert found["variance"][0]["rows"] == agree.sum()
    assert sum(each["rows"] for each in found["variance"]) == len(split.test)
    assert sum(each["rows"] for each in found["error"]) == (~agree).sum()


def test_thirds_that_cannot_be_told_apart_are_left_out(split: BenchSplit, runs: list[Run]) -> None:
    full, none = runs[:2]
    members = np.load(none.members)
    members[:, 10:] = members[:1, 10:]
    np.save(none.members, members)
    assert set(by_difficulty(split, full, none)) == {"error"}


def test_a_learning_curve_needs_the_whole_and_a_part() -> None:
    variants = {name: {"mean": {"rmse": rmse}} for name, rmse in (("full", 0.8), ("full@0.25", 0.9), ("full_din", 0.7))}
    assert curve_of({"variants": variants}, "full") == [(0.25, 0.9), (1.0, 0.8)]
    assert curve_of({"variants": {"full": variants["full"]}}, "full") == []


def test_the_picture_has_a_panel_for_each_thing_that_was_run(
    split: BenchSplit, runs: list[Run], tmp_path: Path
) -> None:
    variants = {
        name: {"mean": {"rmse": 0.9}, "attention_by_third": runs[0].attention}
        for name in ("full", "full@0.5", "no_expl", "no_expl@0.5")
    }
    draw_diagnostics(split.key, {"variants": variants, **diagnosed(split, runs, score)}, tmp_path / "all.png")
    draw_diagnostics(split.key, {"variants": {"full": variants["full"]}, "backends": {}}, tmp_path / "one.png")
    draw_diagnostics(split.key, {"variants": {}}, tmp_path / "none.png")
    assert (tmp_path / "all.png").stat().st_size > 2 * (tmp_path / "one.png").stat().st_size
    assert not (tmp_path / "none.png").exists()
