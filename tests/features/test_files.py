"""A file is there whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from features.files import write_whole


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder" / "row.json"
    write_whole(path, "old")
    seen, replace = [], os.replace
    monkeypatch.setattr(os, "replace", lambda *paths: (seen.append(path.read_text()), replace(*paths)))
    write_whole(path, "né")
    assert seen == ["old"]
    assert path.read_text(encoding="utf-8") == "né"


def test_who_is_stopped_while_writing_leaves_the_old_file_and_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "row.json"
    write_whole(path, "old")
    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, "new")
    assert [(it.name, it.read_text()) for it in tmp_path.iterdir()] == [("row.json", "old")]
