"""Runs of the LR-Recsys benchmark: what is planned, made once, made again to the bit, compared and drawn."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import lr_recsys
from benchmarks.lr.figures import draw
from benchmarks.lr.judge import judged, peers_of, scorer, table
from benchmarks.lr.runs import Run, run_variant
from benchmarks.lr.settings import AT_RANDOM, plan_of, texts_of
from benchmarks.lr.texts import TEXT_SETS
from benchmarks.lr.variants import QUICK, VARIANTS
from benchmarks.lr.wording import word
from features.errors import SettingError
from models.base import RunContext
from models.llm.scripted import ScriptedEngine
from models.methods.lr_recsys import LRRecsys, LRRecsysConfig
from models.metrics.rating import ece_by_chance
from tests.benchmarks.toy_bench import SCORER, TOY, repeat_fact


def test_shares_of_the_training_rows_are_planned_on_one_split_alone():
    plan = plan_of("ml-100k")
    assert {"full", "full@0.5", "no_expl@0.5"} < set(plan.variants_of("random-0"))
    assert not [name for name in plan.variants_of("u1") if "@" in name]
    assert texts_of("ml-100k")[:4] == [f"ml-100k/{name}" for name in (*AT_RANDOM, "u1")]
    assert {"ml-100k/random-0@0.05", "ml-100k/random-0@0.125"} < set(texts_of("ml-100k"))
    assert not [name for name in texts_of("amazon-beauty") if "@" in name]
    assert plan_of("amazon-beauty").text_sets_of("random-0") == ["model", "none", "shuffled", "product_text"]
    assert plan.text_sets_of("random-0", 0.5) == ["model", "none"]
    assert texts_of("ml-100k")[-1] == "ml-100k/leave-last-out"
    assert plan.text_sets_of("leave-last-out") == ["model", "none", "shuffled", "product_text"]
    with pytest.raises(SettingError, match="no proof on 'toys'"):
        texts_of("toys")


def test_variants_differ_in_nothing_but_what_they_name():
    config = LRRecsysConfig()
    for variant in VARIANTS.values():
        assert variant.texts in TEXT_SETS
        LRRecsysConfig.model_validate(variant.changed(config).model_dump())
    assert set(QUICK) <= set(VARIANTS)


def test_a_run_is_made_once_and_then_read(bench, monkeypatch):
    made = run_variant(bench.split(), VARIANTS["product_text"], TOY, bench.settings, RunContext())
    predicted = pd.read_csv(made.file, dtype={"consumer_id": str, "product_id": str})
    assert len(predicted) == len(bench.split().test)
    assert predicted["prediction"].between(1, 5).all()
    assert predicted["probability"].between(0, 1).all()
    assert len(made.rmse) == TOY.members
    assert all(sum(third) == pytest.approx(1, abs=1e-3) for third in zip(*made.attention.values(), strict=True))
    monkeypatch.setattr(LRRecsys, "fit_from", None)
    assert run_variant(bench.split(), VARIANTS["product_text"], TOY, bench.settings, RunContext()) == made


@pytest.mark.slow
def test_a_rerun_without_a_language_model_predicts_the_same_to_the_bit(bench, tmp_path):
    split = bench.split()
    word(split, ScriptedEngine(repeat_fact), bench.settings)
    first = run_variant(split, VARIANTS["full"], TOY, bench.settings, RunContext())
    predicted = Path(first.file).rename(tmp_path / "first.csv.gz")
    shutil.rmtree(bench.home / "benchmark" / split.key / "runs")
    shutil.rmtree(bench.home / "benchmark" / split.key / "grounds")
    again = run_variant(split, VARIANTS["full"], TOY, bench.settings, RunContext())
    assert again.rmse == first.rmse
    pd.testing.assert_frame_equal(pd.read_csv(again.file), pd.read_csv(predicted), check_exact=True)


@pytest.mark.slow
def test_gains_are_the_full_method_minus_the_other(bench):
    (bench.folders.bench / "score.py").write_text(SCORER)
    peers = bench.folders.bench / "peers" / "ml-100k" / "random-0" / "rating"
    peers.mkdir(parents=True)
    test = bench.split().test
    test[["consumer_id", "product_id"]].assign(prediction=3.0).to_csv(peers / "flat.csv.gz", index=False)
    files = {}
    for name, miss in (("full", 0.5), ("no_expl", 1.0)):
        files[name] = str(bench.home / f"{name}.csv.gz")
        bench.home.mkdir(exist_ok=True)
        told = test[["consumer_id", "product_id"]].assign(prediction=test["rating"] + miss, probability=0.5)
        told.to_csv(files[name], index=False)
    runs = [
        Run(name, "ml-100k/random-0", path, "", [0.1, 0.3], 2, 1.0, 10, 0.2, "abc", {}) for name, path in files.items()
    ]
    split = bench.split()
    figures = judged(runs, scorer(split, bench.folders), peers_of(split, bench.folders))
    assert figures["variants"]["full"]["mean"]["rmse"] == pytest.approx(0.5)
    assert figures["variants"]["full"]["sd_of_seeds"] == pytest.approx(0.141421)
    by_chance = ece_by_chance(np.full(len(test), 0.5))
    assert figures["variants"]["full"]["ece_by_chance"] == pytest.approx(by_chance, abs=1e-6)
    assert figures["against_controls"]["no_expl"]["rmse"]["b_minus_a"] == pytest.approx(-0.5)
    assert figures["against_peers"]["flat"]["rmse"]["b_minus_a"] < 0
    text = table("random-0", {**figures, "not_run": {"summary": "no texts"}})
    assert "full - no_expl" in text
    assert "not run: summary: no texts" in text


def test_the_picture_shows_every_comparison(tmp_path):
    gap = {"rmse": {"b_minus_a": -0.1, "interval95": [-0.2, 0.0]}}
    split = {"compared": "full", "against_controls": {"shuffled": gap}, "against_peers": {"flat": gap}}
    draw("toy/random-0", split, tmp_path / "gains.png")
    assert (tmp_path / "gains.png").stat().st_size > 5_000
    draw("toy/random-0", {"against_controls": {}, "against_peers": {}}, tmp_path / "nothing.png")
    assert not (tmp_path / "nothing.png").exists()


@pytest.mark.slow
def test_the_command_runs_goes_on_and_writes_a_file_of_its_form(bench, monkeypatch):
    """`--quick` on a tiny dataset; what was run once is not run again."""
    (bench.folders.bench / "score.py").write_text(SCORER)
    for name, value in (("BENCH", bench.folders.bench), ("DATA", bench.folders.data), ("HOME", bench.home)):
        monkeypatch.setenv(f"COUNTERPOINT_{name}", str(value))
    results = bench.home / "repository" / "benchmarks" / "results"
    monkeypatch.setattr("benchmarks.record.RESULTS", results)
    monkeypatch.setattr(lr_recsys, "RESULTS", results)
    monkeypatch.setattr(lr_recsys, "config_of", lambda dataset: TOY)
    word(bench.split(), ScriptedEngine(repeat_fact), bench.settings)
    lr_recsys.main("ml-100k", split=["random-0"], variant=["full"], quick=True)
    lr_recsys.main("ml-100k", split=["random-0"], quick=True)
    file = results / "lr_recsys" / "quick" / "ml-100k" / "random-0.json"
    found = json.loads(file.read_text())
    assert set(found["variants"]) == set(QUICK)
    assert found["not_run"] == {}
    assert set(found["against_controls"]) == set(QUICK) - {"full"}
    assert sum(each["rows"] for each in found["reliability"]["full"]) == len(bench.split().test)
    assert {path.suffix for path in file.parent.iterdir()} == {".json", ".png"}
    monkeypatch.setattr(LRRecsys, "fit_from", None)
    lr_recsys.main("ml-100k", split=["random-0"], quick=True)
    assert json.loads(file.read_text()) == found
