"""The table of all methods: verdicts by the rule, figures as the files have them, and no file behind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.comparison import lr_recsys
from benchmarks.comparison.__main__ import DOCUMENT, LR_RECSYS
from benchmarks.comparison.claims import STUDIES, Study, claim_of
from benchmarks.comparison.markdown import begin, with_tables
from benchmarks.comparison.readers import read_rows
from benchmarks.comparison.rows import Gap, Row, without_doubles
from benchmarks.comparison.told import as_json, as_markdown, draw
from benchmarks.record import RESULTS

STUDY = Study("guided", "methods/guided-toy.json", ("mrr",), "base", ("random_columns", "text_columns"))
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
    found, missing = read_rows(tmp_path, (STUDY, replace(STUDY, file="methods/guided-absent.json")))
    assert found.backbone == Gap("base", 0.02, 0.01, 0.03, pytest.approx(0.10))
    assert (found.value, found.seeds, found.cost.seconds, found.commit) == (0.12, 2, 7.0, "abc")
    assert found.missing == ("random_columns", "text_columns")
    assert (missing.dataset, missing.gaps, missing.verdict) == ("absent", (), "not run")


def test_splits_of_a_folder_with_the_most_controls_are_averaged(tmp_path: Path) -> None:
    def split(name: str, rmse: float, gains: dict[str, float]) -> dict:
        minus = {
            over: {"rmse": {"b_minus_a": -it, "interval95": [-it - 0.01, 0.01 - it]}} for over, it in gains.items()
        }
        full = {"mean": {"rmse": rmse}, "rmse_of_seeds": [rmse] * 5, "seconds": 10.0}
        return {
            "dataset": "toy", "split": name, "commit": "abc", "variants": {"full": full}, "against_controls": minus,
        }  # fmt: skip

    (tmp_path / "toy").mkdir()
    for content in (
        split("a", 0.8, {"no_expl": 0.02, "shuffled": 0.02}),
        split("b", 0.9, {"no_expl": 0.04, "shuffled": 0.01}),
        split("brief", 0.7, {"no_expl": 0.0}),
        {"dataset": "toy", "split": "c", "commit": "abc", "variants": {}, "against_controls": {}},
    ):
        (tmp_path / "toy" / f"{content['split']}.json").write_text(json.dumps(content))
    (found,) = read_rows(tmp_path, (Study("lr_recsys", "toy", ("rmse",), "no_expl", ("shuffled",)),))
    assert (found.split, found.value, found.seeds, found.cost.seconds) == ("2 splits", pytest.approx(0.85), 5, 10)
    assert (found.backbone.value, found.backbone.low) == (pytest.approx(0.03), pytest.approx(0.02))
    assert found.missing == ()


def test_what_one_file_lacks_and_another_has_is_told_once() -> None:
    run, lacking, other = row(0.1), row(None), replace(row(None), split="t")
    assert without_doubles([run, lacking, other]) == [run, other]


def test_without_a_paper_nothing_is_reproduced() -> None:
    ours = Study("combined", "methods/combined-toy.json", ("mrr",), "base", ("random_columns",))
    found = replace(row(0.001, random_columns=0.001), study=ours)
    assert found.verdict == "ahead"
    assert as_json([found])[0]["paper"] is None
    assert replace(found, backbone=gap("base", -0.001)).verdict == "no"


def test_the_combined_ranker_is_behind_by_more_error_and_by_less_of_a_share(tmp_path: Path) -> None:
    minus = {
        "rmse": {"b_minus_a": 0.01, "interval95": [0.0, 0.02]},
        "auc": {"b_minus_a": 0.02, "interval95": [0.01, 0.03]},
    }
    content = {
        "dataset": "toy", "split": "s", "commit": "abc", "means": {"combined": {"rmse": 0.9, "auc": 0.7}},
        "rows": [{"variant": "combined", "seed": 0, "rmse": 0.9, "auc": 0.7, "seconds": 3.0}, {"variant": "lane"}],
        "combined_minus": {"lr_recsys": [minus]},
    }  # fmt: skip
    (tmp_path / "toy.json").write_text(json.dumps(content))
    rmse, auc = read_rows(tmp_path, (Study("combined", "toy.json", ("rmse", "auc"), "lr_recsys", ("lane",)),))
    assert (rmse.backbone.value, rmse.backbone.high, auc.backbone.low) == (-0.01, -0.0, 0.01)
    assert (rmse.cost.seconds, rmse.missing) == (3.0, ("lane",))


def test_every_study_but_ours_has_a_claim_and_its_rows_name_what_they_miss() -> None:
    rows = read_rows(RESULTS)
    assert {it.method for it in STUDIES} == {it.study.method for it in rows}
    for it in rows:
        assert (claim_of(it.study.method, it.metric) is None) == (it.study.method == "combined")
        assert {gap.over for gap in it.gaps} | set(it.missing) == {it.study.backbone, *it.study.controls}


def test_figures_are_those_of_the_files() -> None:
    """One figure of each method's form, looked up in its file."""
    rows = {(it["method"], it["file"], it["variant"], it["metric"]): it for it in as_json(read_rows(RESULTS))}

    def content(name: str) -> dict:
        return json.loads((RESULTS / name).read_text())

    folder = "lr_recsys/variants/world"
    splits = [content(f"{folder}/{file.name}")["against_controls"] for file in (RESULTS / folder).glob("*.json")]
    gains = [-split["no_expl"]["rmse"]["b_minus_a"] for split in splits]
    assert rows["lr_recsys", folder, "", "rmse"]["backbone"]["value"] == pytest.approx(np.mean(gains), abs=1e-6)
    lane = content("methods/lane-ml-100k.json")["lane_minus"]["lane_other"][0]["ndcg@10/full"]
    others = rows["lane", "methods/lane-ml-100k.json", "sasrec", "ndcg@10/full"]["controls"]
    assert {it["over"]: it["interval95"] for it in others}["lane_other"] == lane["interval95"]
    guided = content("methods/guided-ml-100k.json")["differences"]["gru4rec"]["guided minus base"]["mrr"]
    told = rows["guided", "methods/guided-ml-100k.json", "gru4rec", "mrr"]["backbone"]
    assert (told["value"], told["relative"]) == (guided["value"], pytest.approx(guided["relative"], abs=2e-4))
    reasoning = content("methods/reasoning_rec-ml-1m.json")
    students, tuned = reasoning["students"], reasoning["goal"]["tuned"]
    told = next(it for key, it in rows.items() if key[1] == "methods/reasoning_rec-ml-1m.json")["backbone"]
    assert [told["value"], *told["interval95"]] == students[tuned]["minus_zero_shot"]
    stages = content("methods/explain_rec-students.json")["students"]["two-stage-64"]
    told = next(it for key, it in rows.items() if key[1] == "methods/explain_rec-students.json")
    assert [told["backbone"]["value"], *told["backbone"]["interval95"]] == stages["minus_zero_shot"]
    assert told["controls"][0]["interval95"] == stages["minus_one_stage"][1:]
    none = content("methods/explain_rec-everybody.json")["auc"]["none"]["minus_full"]
    told = rows["explain_rec", "methods/explain_rec-everybody.json", "everybody", "auc"]["backbone"]
    assert [told["value"], *told["interval95"]] == [-none[0], -none[2], -none[1]]


def test_the_table_is_what_the_files_say() -> None:
    assert json.loads((RESULTS / "methods" / "table.json").read_text())["rows"] == as_json(read_rows(RESULTS)), BEHIND


def test_the_documents_are_what_the_files_say() -> None:
    for path, tables in (DOCUMENT, {"": as_markdown(read_rows(RESULTS))}), (LR_RECSYS, lr_recsys.tables(RESULTS)):
        document = path.read_text(encoding="utf-8")
        assert with_tables(document, tables) == document, BEHIND


def test_a_table_goes_to_its_own_place() -> None:
    document = f"a\n{begin('x')}\nold\n<!-- /table -->\nb\n{begin('y')}\n<!-- /table -->\nc"
    told = with_tables(document, {"y": "new y", "x": "new x"})
    assert [it for it in told.splitlines() if it and not it.startswith("<")] == ["a", "new x", "b", "new y", "c"]
    with pytest.raises(ValueError, match="not found"):
        with_tables(document, {"z": ""})


def test_the_hardest_peer_has_the_least_error() -> None:
    against = {name: {"rmse": {"a": error, "b": 0.7}} for name, error in {"biases": 0.9, "myfm": 0.8}.items()}
    assert lr_recsys.hardest(against) == ("myfm", against["myfm"])
    assert lr_recsys.hardest({}) == ("", {})


def test_figures_of_the_ranker_s_page_are_those_of_its_files() -> None:
    file = RESULTS / "lr_recsys" / "variants" / "ml-100k" / "u1.json"
    content, tables = json.loads(file.read_text()), lr_recsys.tables(RESULTS)
    (row,) = [line for line in tables["peers"].splitlines() if "ml-100k/u1.json" in line]
    full, minus = content["variants"]["full"]["mean"], content["against_peers"]["myfm-implicit-side"]["rmse"]
    assert f"| {full['rmse']:.4f} |" in row
    assert f"**{minus['b_minus_a']:+.4f} ({minus['interval95'][0]:+.4f} to" in row
    (row,) = [line for line in tables["gains"].splitlines() if "ml-100k/u1.json" in line]
    assert f"| {content['against_controls']['shuffled']['rmse']['b_minus_a']:+.4f} (" in row


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    draw([row(0.001, random_columns=0.01), row(None)], tmp_path / "table.png")
    assert (tmp_path / "table.png").stat().st_size > 5000
