"""Ids are read from what people have: a column of a table, or a line each."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from counterpoint.score import read_ids
from features.errors import InputError


@pytest.mark.parametrize("name", ["ids.csv", "ids.parquet", "ids.txt"])
def test_ids_come_once_each_in_their_order(tmp_path: Path, name: str) -> None:
    path, frame = tmp_path / name, pd.DataFrame({"n": [1, 2, 3, 4], "consumer_id": ["007", "b", "", "007"]})
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        path.write_text("\n".join(frame["consumer_id"]))
    assert read_ids(path, "consumer_id") == ["007", "b"]


def test_a_table_without_the_column_says_what_it_must_have(tmp_path: Path) -> None:
    (tmp_path / "ids.csv").write_text("who\n1\n")
    with pytest.raises(InputError, match="a column consumer_id"):
        read_ids(tmp_path / "ids.csv", "consumer_id")


def test_no_file_and_no_id_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.txt cannot be read"):
        read_ids(tmp_path / "nowhere.txt", "consumer_id")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(InputError, match="no id"):
        read_ids(tmp_path / "empty.txt", "consumer_id")


def test_a_byte_order_mark_is_no_part_of_the_first_id(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_text("a\nb\n", encoding="utf-8-sig")
    assert read_ids(path, "consumer_id") == ["a", "b"]
