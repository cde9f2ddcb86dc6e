"""Stages do their work once per content of their inputs."""

from __future__ import annotations

import re
from pathlib import Path

from flows.stage import ROOT, StageLog, StageResult, code_commit


class Counted(StageResult):
    n: int


class Work:
    def __init__(self) -> None:
        self.n = 0

    def __call__(self, made_from: str) -> Counted:
        self.n += 1
        return Counted(n=self.n)


def test_the_same_inputs_are_worked_on_once(tmp_path: Path) -> None:
    log, work = StageLog(tmp_path), Work()
    assert log.run("count", ["a"], Counted, work).n == 1
    assert log.run("count", ["a"], Counted, work).n == 1
    assert work.n == 1


def test_other_inputs_are_worked_on_again(tmp_path: Path) -> None:
    log, work = StageLog(tmp_path), Work()
    log.run("count", ["a"], Counted, work)
    assert log.run("count", ["b"], Counted, work).n == 2


def test_a_lost_output_is_made_again(tmp_path: Path) -> None:
    log, work, output = StageLog(tmp_path), Work(), tmp_path / "table"
    output.touch()
    log.run("count", ["a"], Counted, work, [output])
    output.unlink()
    assert log.run("count", ["a"], Counted, work, [output]).n == 2


def test_a_damaged_record_is_as_good_as_none(tmp_path: Path) -> None:
    log, work = StageLog(tmp_path), Work()
    log.run("count", ["a"], Counted, work)
    (tmp_path / "count.json").write_text('{"stage": "count"')
    assert log.run("count", ["a"], Counted, work).n == 2


def test_a_stage_that_fails_leaves_no_record(tmp_path: Path) -> None:
    def fail(made_from: str) -> Counted:
        raise ValueError(made_from)

    log = StageLog(tmp_path)
    try:
        log.run("count", ["a"], Counted, fail)
    except ValueError:
        assert log.read("count") is None


def test_a_result_of_another_version_is_made_again(tmp_path: Path) -> None:
    class Wider(Counted):
        more: int

    log = StageLog(tmp_path)
    log.run("count", ["a"], Counted, Work())
    assert log.run("count", ["a"], Wider, lambda made_from: Wider(n=1, more=2)).more == 2


def test_a_result_that_is_not_enough_is_worked_on_again(tmp_path: Path) -> None:
    log, work = StageLog(tmp_path), Work()
    log.run("count", ["a"], Counted, work)
    assert log.run("count", ["a"], Counted, work, enough=lambda result: result.n >= 1).n == 1
    assert log.run("count", ["a"], Counted, work, enough=lambda result: result.n >= 2).n == 2


def test_a_record_names_the_commit_of_the_code_that_did_the_work(tmp_path: Path) -> None:
    log = StageLog(tmp_path)
    log.run("count", ["a"], Counted, Work())
    record = log.read("count")
    assert record is not None
    assert record.commit == code_commit()
    assert re.fullmatch(r"[0-9a-f]{40}\+?", record.commit) or not (ROOT / ".git").exists()
