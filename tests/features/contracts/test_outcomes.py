"""Metrics, the comparison with what is live, and online reads: what passes, what warns, and what stops a release."""

from __future__ import annotations

import re
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from features.contracts.outcomes import Paired, not_compared
from features.contracts.report import CheckReport
from features.contracts.suites import check_against_live, check_metrics, check_online_reads
from features.errors import CheckError
from tests.features.contracts.faults import Change, at, caught, clean


class TestMetrics:
    bias = {"rmse": 0.95, "auc": 0.70, "mae": 0.75}  # noqa: RUF012  # compared, never changed

    def test_clean(self) -> None:
        clean(check_metrics({"rmse": 0.93, "auc": 0.72, "mae": 0.74}, self.bias))

    def test_a_little_worse_than_the_bias_baseline_is_accepted(self) -> None:
        clean(check_metrics({"rmse": 0.96, "auc": 0.70}, self.bias))

    def test_not_finite(self) -> None:
        caught(check_metrics({"rmse": float("nan"), "auc": 0.7}, self.bias), "rmse")

    def test_rmse_is_required(self) -> None:
        caught(check_metrics({"auc": 0.7}, self.bias), "rmse")

    def test_worse_than_the_bias_baseline(self) -> None:
        caught(check_metrics({"rmse": 1.0, "auc": 0.72}, self.bias), "rmse")

    def test_on_few_rows_a_first_release_goes_live_with_warnings(self) -> None:
        report = check_metrics({"rmse": 1.2, "auc": 0.6}, self.bias, rows=15, replaces=False)
        assert report.passed
        assert {finding.column for finding in report.warnings} == {"test_rows", "rmse", "auc"}

    def test_on_few_rows_nothing_live_is_replaced_by_what_is_worse(self) -> None:
        caught(check_metrics({"rmse": 1.2, "auc": 0.8}, self.bias, rows=15), "rmse")

    def test_not_finite_is_refused_on_few_rows_too(self) -> None:
        caught(check_metrics({"rmse": float("nan")}, self.bias, rows=15, replaces=False), "rmse")

    def test_a_metric_that_does_not_decide_only_warns(self) -> None:
        report = check_metrics({"rmse": 0.93, "auc": 0.72, "mae": 0.9}, self.bias)
        assert report.passed
        assert [finding.column for finding in report.warnings] == ["mae"]


class TestAgainstTheLiveRelease:
    better = Paired(candidate=0.92, live=0.93, low=-0.02, high=0.0)
    clearly_worse = Paired(candidate=0.935, live=0.93, low=0.001, high=0.009)
    perhaps_worse = Paired(candidate=0.94, live=0.93, low=-0.01, high=0.03)
    far_worse_on_few = Paired(candidate=1.1, live=0.93, low=-0.1, high=0.4)

    def check(self, rmse: Paired, rows: int = 1000) -> CheckReport:
        return check_against_live({"rmse": rmse}, "r1", tolerance=0.02, rows=rows)

    def test_clean(self) -> None:
        clean(self.check(self.better))

    def test_clearly_worse_is_refused_however_little_and_says_by_how_much(self) -> None:
        report = self.check(self.clearly_worse)
        caught(report, "rmse surely worse by")
        told = "0.9350 against 0.9300 of r1 on the same 1,000 rows, a difference of +0.0050 with the 95 % interval"
        with pytest.raises(CheckError, match=re.escape(told)):
            report.enforce()

    def test_worse_within_the_tolerance_is_accepted_where_the_interval_holds_zero(self) -> None:
        clean(self.check(self.perhaps_worse))

    def test_far_worse_is_refused_whatever_the_interval(self) -> None:
        caught(self.check(self.far_worse_on_few), "rmse worse by")

    def test_on_few_rows_worse_at_all_is_refused(self) -> None:
        caught(self.check(self.perhaps_worse, rows=15), "rmse worse by")

    def test_of_an_auc_more_is_better(self) -> None:
        fallen = Paired(candidate=0.70, live=0.71, low=-0.02, high=-0.001)
        caught(check_against_live({"auc": fallen}, "r1"), "auc surely worse by")
        risen = Paired(candidate=0.72, live=0.71, low=0.001, high=0.02)
        clean(check_against_live({"auc": risen}, "r1"))

    def test_a_live_model_that_cannot_be_scored_only_warns(self) -> None:
        report = not_compared("r1", "The model store has no artifact.")
        assert report.passed
        assert "no artifact" in str(report.warnings[0])


class TestOnlineReads:
    frame = pd.DataFrame(
        {
            "entity_kind": ["consumer"] * 10,
            "entity_id": [f"c{n}" for n in range(10)],
            "present": [True] * 9 + [False],
            "age_seconds": [60.0] * 9 + [np.nan],
            "version": ["v1"] * 9 + [None],
        }
    )

    def check(self, frame: pd.DataFrame) -> CheckReport:
        return check_online_reads(frame, "v1", timedelta(hours=1))

    def test_clean(self) -> None:
        clean(self.check(self.frame))

    @pytest.mark.parametrize(
        ("column", "change"),
        [
            ("present", lambda frame: frame.assign(present=[True] * 8 + [False] * 2)),
            ("version", lambda frame: at(frame, 0, "version", "v0")),
            ("age_seconds", lambda frame: frame.assign(age_seconds=7200.0)),
            ("age_seconds", lambda frame: at(frame, 0, "age_seconds", -1.0)),
        ],
    )
    def test_fault(self, column: str, change: Change) -> None:
        caught(self.check(change(self.frame)), column)

    def test_a_single_old_row_only_warns(self) -> None:
        report = self.check(at(self.frame, 0, "age_seconds", 7200.0))
        assert report.passed
        assert report.warnings
