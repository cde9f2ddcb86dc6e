"""Splits keep time's order, keep equal times together, and agree with the benchmark's fixed parts."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError, SettingError
from features.readers.registry import read_dataset
from features.splits import SplitRule, split
from features.types import Interactions


def events(consumers: list[str], times: list[int], rows: list[int] | None = None) -> Interactions:
    n = len(times)
    return Interactions(
        pd.DataFrame(
            {
                "row": rows or list(range(n)),
                "consumer_id": consumers,
                "product_id": [f"p{number}" for number in range(n)],
                "timestamp": pd.to_datetime(times, unit="s", utc=True).as_unit("us"),
                "rating": 4.0,
                "review": None,
            }
        )
    )


def test_time_takes_the_first_eight_tenths_for_train_and_the_last_tenth_for_test():
    parts = split(events(["a"] * 10, list(range(10))), SplitRule("time"))
    assert parts.tolist() == ["train"] * 8 + ["valid", "test"]


def test_time_keeps_equal_times_together_in_the_earlier_part():
    parts = split(events(["a"] * 10, [0, 1, 2, 3, 4, 5, 6, 7, 7, 9]), SplitRule("time"))
    assert parts.tolist() == ["train"] * 9 + ["test"]


def test_time_does_not_care_in_which_order_the_rows_stand():
    parts = split(events(["a"] * 10, list(range(9, -1, -1))), SplitRule("time"))
    assert parts.tolist() == ["test", "valid"] + ["train"] * 8


def test_leave_last_out_takes_the_last_two_of_consumers_with_three_events():
    consumers = ["a", "b", "a", "b", "a"]
    parts = split(events(consumers, [1, 1, 2, 2, 3]), SplitRule("leave-last-out"))
    assert parts.tolist() == ["train", "train", "valid", "train", "test"]


def test_leave_last_out_breaks_equal_times_by_source_row():
    parts = split(events(["a"] * 3, [5, 5, 5], rows=[2, 0, 1]), SplitRule("leave-last-out"))
    assert parts.tolist() == ["test", "train", "valid"]


def test_random_tests_no_consumer_or_product_that_train_lacks():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"row": np.arange(500), "consumer_id": rng.integers(0, 40, 500).astype(str)})
    frame["product_id"] = rng.integers(0, 30, 500).astype(str)
    parts = split(Interactions(frame), SplitRule("random", seed=3))
    train, rest = frame[parts == "train"], frame[parts != "train"]
    assert (parts == "test").sum() == (parts == "valid").sum() == 50
    assert set(rest["consumer_id"]) <= set(train["consumer_id"])
    assert set(rest["product_id"]) <= set(train["product_id"])


def test_random_differs_by_seed_and_repeats_with_it():
    some = events(["a", "b"] * 50, list(range(100)))
    some.frame["product_id"] = ["x", "y", "z", "w"] * 25
    first, again, other = (split(some, SplitRule("random", seed=seed)) for seed in (1, 1, 2))
    assert first.tolist() == again.tolist() != other.tolist()


def test_a_split_that_leaves_nothing_to_test_is_refused():
    with pytest.raises(InputError, match="leaves no test rows"):
        split(events(["a"] * 10, [7] * 10), SplitRule("time"))


def test_a_single_interaction_or_none_is_refused():
    for times in ([1], []):
        with pytest.raises(InputError, match="leaves no"):
            split(events(["a"] * len(times), times), SplitRule("time"))


def test_unknown_kinds_and_impossible_shares_are_refused():
    with pytest.raises(SettingError, match="no split 'cold'"):
        SplitRule("cold")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="leaves nothing"):
        SplitRule("time", valid=0.6, test=0.4)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("time", SplitRule("time")),
        ("leave-last-out", SplitRule("leave-last-out")),
        ("random-0", SplitRule("random", seed=0)),
        ("random-4", SplitRule("random", seed=4)),
    ],
)
@pytest.mark.parametrize("dataset", ["ml-100k", "amazon-all-beauty-5core"])
def test_parts_equal_the_fixed_ones_of_the_benchmark(dataset: str, name: str, rule: SplitRule):
    data = os.environ.get("COUNTERPOINT_DATA")
    if not data:
        pytest.skip("COUNTERPOINT_DATA is not set")
    fixed = Path(data).parent / "bench" / "splits" / dataset / f"{name}.csv.gz"
    if not fixed.exists():
        pytest.skip("no benchmark splits lie beside COUNTERPOINT_DATA")
    interactions = read_dataset("", Path(data) / dataset).interactions
    expected = interactions.frame["row"].map(pd.read_csv(fixed).set_index("row")["part"]).fillna("train")
    assert split(interactions, rule).tolist() == expected.tolist()
