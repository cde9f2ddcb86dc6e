"""Shared by tests of the LR-Recsys benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.settings import BenchFolders
from tests.benchmarks.letters import LetterEncoder
from tests.benchmarks.toy_bench import LOADER, Bench, write_data


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    import models.text

    monkeypatch.setattr(models.text, "TextEncoder", LetterEncoder)
    write_data(tmp_path / "data" / "ml-100k")
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "load.py").write_text(LOADER)
    return Bench(BenchFolders(tmp_path / "bench", tmp_path / "data"), tmp_path / "home")
