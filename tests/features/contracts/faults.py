"""What the tests of contracts share: a clean hand-over, one value changed, and whether that was caught."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from features.contracts.report import CheckReport
from features.errors import CheckError

AS_OF = datetime(2021, 1, 1, tzinfo=UTC)
START = datetime(2020, 1, 1, tzinfo=UTC)
Change = Callable[[pd.DataFrame], pd.DataFrame]


def at(frame: pd.DataFrame, row: int, column: str, value: Any) -> pd.DataFrame:
    """The frame with one value changed."""
    changed = frame.copy()
    changed[column] = changed[column].astype(object)
    changed.at[row, column] = value
    return changed.infer_objects()


def caught(report: CheckReport, column: str) -> None:
    """The fault is found in that column, and it stops the flow."""
    found = [finding.column for finding in report.blocking_failures]
    assert any(column in name for name in found), f"{column} not among {found}"
    with pytest.raises(CheckError, match=re.escape(column)):
        report.enforce()


def clean(report: CheckReport) -> None:
    assert report.failures == ()
    assert report.findings
    assert report.enforce() is report


def interactions() -> pd.DataFrame:
    rows = [
        (n, f"c{n // 4}", f"p{n % 4}", START + timedelta(days=n), 1.0 + n % 5, "good" if n % 3 else None)
        for n in range(20)
    ]
    frame = pd.DataFrame(rows, columns=["row", "consumer_id", "product_id", "timestamp", "rating", "review"])
    return frame.assign(timestamp=frame["timestamp"].astype("datetime64[us, UTC]"))
