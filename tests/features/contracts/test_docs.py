"""Pages about checks: what a person reads after a run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from features.contracts.docs import build_data_docs, write_report
from features.contracts.report import CheckReport, Finding
from features.contracts.suites import check_interactions
from tests.features.contracts.faults import AS_OF, interactions


class TestPages:
    reports = (
        CheckReport(
            "facts",
            (
                Finding("e", "text", False, "'<script>alert(1)</script>'", "no <b>", True, "because"),
                Finding("e", "", True, "12", "rows", True),
            ),
            12,
            0.01,
        ),
        CheckReport("catalog", (Finding("e", "title", False, "1 of 9", "short", False),), 9, 0.01),
    )

    def test_is_self_contained_and_escaped(self, tmp_path: Path) -> None:
        page = write_report(self.reports, tmp_path / "deep" / "report.html", title="Run <1>").read_text()
        assert "<script" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "<title>Run &lt;1&gt;</title>" in page
        assert not re.search(r"https?://|src=|<link|@import|url\(", page)
        assert "prefers-color-scheme: dark" in page

    def test_says_what_stopped_the_flow(self, tmp_path: Path) -> None:
        page = write_report(self.reports, tmp_path / "report.html").read_text()
        assert "Stopped by facts" in page
        assert page.index("failed</span>") < page.index("passed</span>")
        assert "Nothing blocks" in write_report(self.reports[1:], tmp_path / "report.html").read_text()
        assert list(tmp_path.iterdir()) == [tmp_path / "report.html"]

    @pytest.mark.slow
    def test_data_docs(self, tmp_path: Path) -> None:
        check_interactions(interactions(), as_of=AS_OF)
        index = build_data_docs(tmp_path / "docs")
        assert "interactions" in index.read_text()
        assert build_data_docs(tmp_path / "docs") == index
