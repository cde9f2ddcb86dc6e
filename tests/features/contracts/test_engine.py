"""How a suite is evaluated, whatever it expects."""

from __future__ import annotations

import pandas as pd

from features.contracts.engine import expectations, validate


class TestEngine:
    def test_an_expectation_that_cannot_be_evaluated_blocks(self) -> None:
        suite = [expectations().ExpectColumnValuesToNotBeNull(column="absent", severity="warning")]
        report = validate("broken", pd.DataFrame({"x": [1]}), suite)
        assert "could not be made" in report.blocking_failures[0].observed

    def test_findings_keep_the_order_of_the_suite(self) -> None:
        gxe = expectations()
        suite = [gxe.ExpectColumnValuesToNotBeNull(column=name) for name in "cab"]
        report = validate("order", pd.DataFrame({"a": [1], "b": [1], "c": [1]}), suite)
        assert [finding.column for finding in report.findings] == ["c", "a", "b"]

    def test_the_same_suite_again_sees_the_new_rows(self) -> None:
        suite = lambda: [expectations().ExpectColumnValuesToBeUnique(column="a")]  # noqa: E731
        assert validate("again", pd.DataFrame({"a": [1, 2]}), suite()).passed
        assert not validate("again", pd.DataFrame({"a": [1, 1]}), suite()).passed
