"""Result files: any reader of JSON reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import record


def refused(name: str) -> float:
    """Called by the reader for a number that JSON does not have."""
    raise AssertionError(f"{name} is no JSON")


@pytest.mark.parametrize("path", sorted(record.RESULTS.rglob("*.json")), ids=lambda it: it.stem)
def test_every_result_file_is_strict_json(path: Path) -> None:
    json.loads(path.read_text(encoding="utf-8"), parse_constant=refused)


def test_what_was_not_measured_is_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    path = record.write_result("some/thing", {"shares": [0.5, float("nan")], "by": ({"name": float("nan")},)}, "abc")
    told = json.loads(path.read_text(encoding="utf-8"), parse_constant=refused)
    assert (told["shares"], told["by"], told["commit"]) == ([0.5, None], [{"name": None}], "abc")


def test_an_infinite_figure_is_an_error_of_the_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        record.write_result("infinite", {"loss": float("inf")}, "abc")
