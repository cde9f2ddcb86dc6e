"""The table of all methods: verdicts by the rule, figures as the files have them, and no file behind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.comparison.__main__ import DOCUMENT
from benchmarks.comparison.claims import STUDIES, Study, claim_of
from benchmarks.comparison.readers import read_rows
from benchmarks.comparison.rows import Gap, Row, without_doubles
from benchmarks.comparison.told import as_json, as_markdown, draw, put_between
from benchmarks.record import RESULTS

STUDY = Study("guided", "methods/guided-toy", ("mrr",), "base", ("random_columns", "text_columns"))
BEHIND = "The result files have changed: run `python -m benchmarks.comparison` and commit what it writes."


def gap(over: str, low: float) -> Gap:
    return Gap(over, low + 0.01, low, low + 0.02, 0.1)


def row(base: float | None, **controls: float) -> Row:
    """A row whose intervals begin at the given numbers."""
    backbone = None if base is None else gap("base", base)
    return Row(STUDY, "toy", "s", "", "mrr", 0.1, 3, backbone, tuple(gap(name, low) for name, low in controls.items()))


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (row(0.001, random_columns=0.001, text_columns=0.001), "reproduced"),
        (row(0.0, random_columns=0.001, text_columns=0.001), "no"),
        (row(0.001, random_columns=0.001, text_columns=-0.001), "no"),
        (row(0.001, random_columns=0.001), "not run"),  # a mandatory control is missing
        (row(None, random_columns=0.001, text_columns=0.001), "not run"),  # so is the backbone
        (row(-0.001), "no"),  # what is missing could not help
        (row(None), "not run"),
    ],
)
def test_reproduced_means_ahead_of_backbone_and_every_mandatory_control(found: Row, verdict: str) -> None:
    assert found.verdict == verdict


def test_less_error_is_a_gain() -> None:
    found = Gap.of("no_expl", "rmse", 0.80, -0.05, (-0.07, -0.03))
    assert (found.value, found.low, found.high) == (0.05, 0.03, 0.07)
    assert found.relative == pytest.approx(0.05 / 0.85)


def test_more_of_a_share_is_a_gain() -> None:
    found = Gap.of("none", "auc", 0.70, -0.01, (-0.02, 0.01))
    assert (found.value, found.low, found.high) == (-0.01, -0.02, 0.01)
    assert found.other == pytest.approx(0.71)


def test_seeds_are_averaged_end_by_end() -> None:
    found = Gap.mean([Gap("base", 0.2, 0.1, 0.3, 1.0), Gap("base", 0.0, -0.3, 0.3, 2.0)])
    assert found == Gap("base", 0.1, pytest.approx(-0.1), 0.3, 1.5)


def test_a_file_becomes_rows_and_a_missing_one_says_so(tmp_path: Path) -> None:
    differences = {"guided minus base": {"mrr": {"value": 0.02, "interval95": [0.01, 0.03]}}}
    own = {"seeds": [0, 1], "mean": {"mrr": 0.12}, "fit_processor_seconds": 7.0}
    content = {
        "dataset": "toy", "split": "last", "commit": "abc",
        "by_encoder": {"sasrec": {"guided": own}}, "differences": {"sasrec": differences},
    }  # fmt: skip
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "guided-toy.json").write_text(json.dumps(content))
    found, missing = read_rows(tmp_path, (STUDY, replace(STUDY, file="methods/guided-absent")))
    assert found.backbone == Gap("base", 0.02, 0.01, 0.03, pytest.approx(0.10))
    assert (found.value, found.seeds, found.cost.seconds, found.commit) == (0.12, 2, 7.0, "abc")
    assert found.missing == ("random_columns", "text_columns")
    assert (missing.dataset, missing.gaps, missing.verdict) == ("absent", (), "not run")


def test_what_one_file_lacks_and_another_has_is_told_once() -> None:
    run, lacking, other = row(0.1), row(None), replace(row(None), split="t")
    assert without_doubles([run, lacking, other]) == [run, other]


def test_every_study_has_a_claim_and_its_rows_name_what_they_miss() -> None:
    rows = read_rows(RESULTS)
    assert {it.method for it in STUDIES} == {it.study.method for it in rows}
    for it in rows:
        assert claim_of(it.study.method, it.metric).source
        assert {gap.over for gap in it.gaps} | set(it.missing) == {it.study.backbone, *it.study.controls}


def test_figures_are_those_of_the_files() -> None:
    """One figure of each method's form, looked up in its file."""
    rows = {(it["method"], it["file"], it["variant"], it["metric"]): it for it in as_json(read_rows(RESULTS))}

    def content(name: str) -> dict:
        return json.loads((RESULTS / name).read_text())

    world = content("lr_recsys/world.json")["splits"]["seed-211"]["against_controls"]["no_expl"]["rmse"]
    told = rows["lr_recsys", "lr_recsys/world.json", "", "rmse"]["backbone"]
    assert told["value"] == round(-world["b_minus_a"], 6)
    lane = content("methods/lane-ml-100k.json")["lane_minus"]["lane_other"][0]["ndcg@10/full"]
    others = rows["lane", "methods/lane-ml-100k.json", "sasrec", "ndcg@10/full"]["controls"]
    assert {it["over"]: it["interval95"] for it in others}["lane_other"] == lane["interval95"]
    guided = content("methods/guided-ml-100k.json")["differences"]["gru4rec"]["guided minus base"]["mrr"]
    told = rows["guided", "methods/guided-ml-100k.json", "gru4rec", "mrr"]["backbone"]
    assert (told["value"], told["relative"]) == (guided["value"], pytest.approx(guided["relative"], abs=2e-4))
    students = content("methods/reasoning_rec-ml-1m.json")["students"]
    told = next(it for key, it in rows.items() if key[1] == "methods/reasoning_rec-ml-1m.json")["backbone"]
    assert [told["value"], *told["interval95"]] == students["full-64"]["minus_zero_shot"]
    none = content("methods/explain_rec-everybody.json")["auc"]["none"]["minus_full"]
    told = rows["explain_rec", "methods/explain_rec-everybody.json", "everybody", "auc"]["backbone"]
    assert [told["value"], *told["interval95"]] == [-none[0], -none[2], -none[1]]


def test_the_table_is_what_the_files_say() -> None:
    assert json.loads((RESULTS / "methods" / "table.json").read_text())["rows"] == as_json(read_rows(RESULTS)), BEHIND


def test_the_document_is_what_the_files_say() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert put_between(document, as_markdown(read_rows(RESULTS))) == document, BEHIND


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    draw([row(0.001, random_columns=0.01), row(None)], tmp_path / "table.png")
    assert (tmp_path / "table.png").stat().st_size > 5000
