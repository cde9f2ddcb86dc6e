"""The ground of LR-Recsys by itself: what is fitted, on which rows, and what is told of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import lr_ground
from benchmarks.lr.world import WORLD
from models.backbones.collaborative import CollaborativeConfig
from models.methods.lr_recsys import LRRecsysConfig
from tests.benchmarks.letters import LetterEncoder

pytestmark = pytest.mark.slow  # the features of a world are made first

TOY = LRRecsysConfig(
    embedding_size=8, hidden=(8,), epochs=1,
    collaborative=CollaborativeConfig(rank=2, side_rank=8, sweeps=30, burn_in=10, samples=5, folds=2, starts=(0.3,)),
)  # fmt: skip


def test_bias_belief_and_network_are_told_of_valid_and_test_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "repository" / "benchmarks" / "results"
    monkeypatch.setattr("models.text.TextEncoder", LetterEncoder)
    monkeypatch.setattr("benchmarks.record.RESULTS", results)
    monkeypatch.setattr(lr_ground, "RESULTS", results)
    monkeypatch.setattr(lr_ground, "config_of", lambda dataset: TOY)
    monkeypatch.setenv("COUNTERPOINT_HOME", str(tmp_path / "home"))
    lr_ground.main([WORLD], ["seed-5"])
    found = json.loads((results / "lr_recsys" / "ground" / "world" / "seed-5.json").read_text())
    assert set(found["fitted"]) == {"bias", "ground", "network"}
    for figures in found["fitted"].values():
        assert 0.7 < figures["valid_rmse"] < 1.1
        assert 0.7 < figures["test"]["rmse"] < 1.1
        assert 0.02 < figures["ece_by_chance"] < 0.08
    gap = found["network_minus"]["ground"]["rmse"]["b_minus_a"]
    assert gap == pytest.approx(found["fitted"]["network"]["test"]["rmse"] - found["fitted"]["ground"]["test"]["rmse"])
    assert "network - bias" in capsys.readouterr().out
