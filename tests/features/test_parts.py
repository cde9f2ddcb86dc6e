"""Tables that grow: an addition touches no other, a kill or another writer loses nothing, and parts stay few."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features import parts as parts_module
from features.errors import StoreError
from features.lake import Lake
from features.parts import Parts


@pytest.fixture
def grown(tmp_path: Path) -> Parts:
    """Without a row so far."""
    return Parts(Lake(tmp_path), "grown", "key", "one")


def rows(keys: Iterable[str]) -> pd.DataFrame:
    """A row for each key, with a value that says which."""
    return pd.DataFrame([{"key": key, "value": np.full(3, ord(key[0]), np.float32)} for key in keys])


def found(table: Parts, keys: Iterable[str]) -> dict[str, list[float]]:
    frame = table.read(list(keys))
    return {key: value.tolist() for key, value in zip(frame["key"], frame.get("value", []), strict=True)}


def files(table: Parts) -> dict[str, bytes]:
    """What is on the disk."""
    return {path.name: path.read_bytes() for path in table.lake.folder.rglob("*.parquet")}


def test_those_asked_for_come_back_from_whichever_part_they_are_in(grown: Parts) -> None:
    assert found(grown, "a") == {}
    grown.add(rows("ab"))
    grown.add(rows("cd"))
    assert found(grown, "adx") == {"a": [97.0] * 3, "d": [100.0] * 3}
    assert found(grown, "") == {}


def test_an_addition_writes_no_row_again(grown: Parts) -> None:
    grown.add(rows("ab"))
    before = files(grown)
    grown.add(rows("cd"))
    assert before.items() <= files(grown).items()
    assert len(files(grown)) == 2


def test_a_table_in_one_piece_is_a_part(grown: Parts) -> None:
    grown.lake.write("grown", rows("ab"), "one")
    grown.add(rows("c"))
    assert found(grown, "abc").keys() == set("abc")
    grown.keep_only({"a", "c"})
    assert found(grown, "abc").keys() == set("ac")
    assert grown.lake.read("grown")["key"].tolist() == ["a"]


def test_rows_made_from_something_else_are_not_taken_up_and_go_when_rows_are_forgotten(grown: Parts) -> None:
    other = Parts(grown.lake, "grown", "key", "two")
    other.add(rows("a"))
    assert found(grown, "a") == {}
    grown.add(rows("b"))
    assert found(other, "ab").keys() == {"a"}
    grown.keep_only({"a", "b"})
    assert found(other, "a") == {}
    assert found(grown, "ab").keys() == {"b"}


def test_forgetting_leaves_no_row_and_no_part_of_others_on_the_disk(grown: Parts) -> None:
    for keys in ("ab", "cd", "ef"):
        grown.add(rows(keys))
    whole = files(grown)
    grown.keep_only(set("abc"))
    assert found(grown, "abcdef").keys() == set("abc")
    assert len(files(grown)) == 2  # of "ef" nothing is left
    assert len(whole.items() & files(grown).items()) == 1  # "ab" was not written again
    assert len(list(grown.lake.folder.rglob("*"))) == 4  # with the folder and its lock: nothing half


def test_many_small_parts_are_put_together_and_a_large_one_is_left_alone(
    grown: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_module, "MANY", 4)
    grown.add(rows(f"large-{n}" for n in range(1000)))
    (large,) = files(grown)
    keys = [f"{n}" for n in range(20)]
    for key in keys:
        grown.add(rows([key]))
        assert len(files(grown)) <= 4
    assert large in files(grown)
    assert found(grown, [*keys, "large-7"]).keys() == {*keys, "large-7"}


def test_a_row_is_written_again_about_as_often_as_its_table_doubles(
    grown: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, write = [], Lake.write
    monkeypatch.setattr(parts_module, "MANY", 2)
    monkeypatch.setattr(Lake, "write", lambda self, *args: (written.append(len(args[1])), write(self, *args)))
    for n in range(64):
        grown.add(rows([f"{n}"]))
    assert len(found(grown, map(str, range(64)))) == 64
    assert sum(written) <= 64 * 7  # were all put together with every addition: 2,080 and more


def test_who_is_killed_while_parts_are_put_together_leaves_every_row_once_for_the_reader(
    grown: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_module, "MANY", 2)
    grown.add(rows("a"))
    grown.add(rows("b"))
    with monkeypatch.context() as killed:
        killed.setattr(Lake, "delete", interrupt)
        with pytest.raises(KeyboardInterrupt):
            grown.add(rows("c"))
    assert sorted(grown.read(list("abc"))["key"]) == list("abc")
    grown.keep_only(set("ab"))
    assert found(grown, "abc").keys() == set("ab")


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_who_is_killed_while_writing_loses_nothing_and_what_is_half_goes_with_the_next(
    grown: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown.add(rows("a"))
    with monkeypatch.context() as killed:
        killed.setattr("os.replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            grown.add(rows("b"))
    assert found(grown, "ab").keys() == {"a"}
    assert list(grown.lake.folder.rglob("*.half"))
    grown.add(rows("c"))
    assert found(grown, "abc").keys() == set("ac")
    assert not list(grown.lake.folder.rglob("*.half"))


_WRITER = """
import sys
import numpy as np, pandas as pd
from pathlib import Path
from features import parts
parts.MANY = 3
table = parts.Parts(parts.Lake(Path(sys.argv[1])), "grown", "key", "one")
for n in range(25):
    table.add(pd.DataFrame({"key": [f"{sys.argv[2]}{n}"], "value": [np.zeros(3, np.float32)]}))
    assert len(table.read([f"{sys.argv[2]}{seen}" for seen in range(n + 1)])) == n + 1
"""


@pytest.mark.slow
def test_two_processes_that_write_at_once_both_keep_what_they_wrote(grown: Parts) -> None:
    command = [sys.executable, "-c", _WRITER, str(grown.lake.folder)]
    both = [subprocess.Popen([*command, name], stderr=subprocess.PIPE, text=True) for name in "ab"]
    assert [(process.wait(120), process.stderr.read() if process.stderr else "") for process in both] == [(0, "")] * 2
    assert len(grown.read([f"{name}{n}" for name in "ab" for n in range(25)])) == 50


def test_a_damaged_part_is_made_anew_and_rows_that_cannot_be_read_are_an_error(grown: Parts) -> None:
    grown.add(rows("a"))
    (part,) = grown.lake.folder.rglob("*.parquet")
    whole = part.read_bytes()
    part.write_bytes(whole[:-20])
    assert found(grown, "a") == {}
    n_footer = int.from_bytes(whole[-8:-4], "little") + 8
    part.write_bytes(whole[:4] + bytes(len(whole) - 4 - n_footer) + whole[-n_footer:])
    with pytest.raises(StoreError, match="is damaged"):
        grown.read(["a"])


def test_a_lake_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "grown").write_text("a file where the folder would be")
    with pytest.raises(StoreError, match="cannot be opened"):
        Parts(Lake(tmp_path), "grown", "key", "one").add(rows("a"))
