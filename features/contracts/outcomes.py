"""Contracts of what comes out: a model's metrics against the bias baseline and the live release, online reads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pandas as pd

from features.contracts.engine import WARN, expectations, joined, missing_columns, validate
from features.contracts.report import CheckReport

LOWER_IS_BETTER = ("rmse", "mae", "logloss", "ece")
"""Metrics of which less is better; of all others more is."""
GATED = ("rmse", "auc")
"""Metrics that decide: whether a candidate may replace the live release."""
MIN_ROWS = 500
"""Fewest test rows on which a release is judged: there the standard error of an AUC is about 0.02, the tolerance."""
ONLINE_COLUMNS = ("entity_kind", "entity_id", "present", "age_seconds", "version")


def check_metrics(
    candidate: Mapping[str, float],
    bias: Mapping[str, float],
    live: Mapping[str, float] | None = None,
    tolerance: float = 0.02,
    rows: int = MIN_ROWS,
    replaces: bool = True,
) -> CheckReport:
    """The gate before a release: finite, no worse than the bias model, no worse than what is live.

    On fewer than `MIN_ROWS` test rows a difference proves little. Then nothing that is live is replaced by what is
    worse at all, and a first release, which replaces nothing, goes live with warnings.

    Args:
        candidate: Metric values by name; `rmse` is required.
        bias: The same of the bias baseline (mean plus consumer and product offsets) on the same rows.
        live: The same of the live release on the same rows; None if nothing is live or it was judged on others.
        tolerance: How much worse is still accepted, as a share of the other's value.
        rows: Test rows that the metrics rest on.
        replaces: Whether a release is live.
    """
    enough = rows >= MIN_ROWS
    gxe = expectations()
    named = {name: float(candidate.get(name, math.nan)) for name in sorted({"rmse", *candidate})}
    columns = {name: [value if math.isfinite(value) else None] for name, value in named.items()}
    finite = [
        gxe.ExpectColumnValuesToNotBeNull(
            column=name,
            severity="critical" if name in GATED and name in {"rmse", *bias} else WARN,
            notes="a finite number",
        )
        for name in columns
    ]
    frame = pd.DataFrame(columns, dtype="float64")
    reports = [validate("metrics", frame, finite), _enough(rows)]
    accepted, binding = (tolerance if enough else 0.0), enough or replaces
    for title, other in (("the bias baseline", bias), ("the live release", live or {})):
        suite = _no_worse(gxe, named, other, title, accepted, binding)
        if suite:
            reports.append(validate(f"metrics against {title}", frame, suite))
    return joined("metrics", reports)


def _enough(rows: int) -> CheckReport:
    """Warns where the metrics rest on too few rows to decide."""
    frame = pd.DataFrame({"test_rows": [float(rows)]})
    least = expectations().ExpectColumnValuesToBeBetween(
        column="test_rows", min_value=MIN_ROWS, severity=WARN, notes="on fewer rows differences prove little"
    )
    return validate("metrics", frame, [least])


def _no_worse(
    gxe: Any, named: Mapping[str, float], other: Mapping[str, float], title: str, tolerance: float, binding: bool
) -> list[Any]:
    """One expectation per metric that the other has too."""
    suite = []
    for name in named:
        reference = float(other.get(name, math.nan))
        if not math.isfinite(reference):
            continue
        lower = name in LOWER_IS_BETTER
        bound = reference + abs(reference) * (tolerance if lower else -tolerance)
        suite.append(
            gxe.ExpectColumnValuesToBeBetween(
                column=name,
                **{"max_value" if lower else "min_value": bound},
                severity="critical" if name in GATED and binding else WARN,
                notes=f"no worse than {title}, which has {reference:.4f}, by more than {tolerance:.0%}",
            )
        )
    return suite


def check_online_reads(frame: pd.DataFrame, version: str, max_age: timedelta, min_present: float = 0.9) -> CheckReport:
    """What serving reads: present, of the release's version, and not stale.

    Args:
        frame: `ONLINE_COLUMNS`, one row per entity read; age and version are null where nothing was present.
        version: The version that the live release expects.
        max_age: Oldest accepted; a fifth of the rows may be older with a warning.
        min_present: Least share of entities that have a row.
    """
    if failed := missing_columns("online_reads", frame, ONLINE_COLUMNS):
        return failed
    gxe = expectations()
    derived = frame.assign(present=frame["present"].astype(float))
    seconds = max_age.total_seconds()
    return validate(
        "online_reads",
        derived,
        [
            gxe.ExpectTableRowCountToBeBetween(min_value=1),
            gxe.ExpectColumnMeanToBeBetween(
                column="present", min_value=min_present, notes="share of entities that the online store knows"
            ),
            gxe.ExpectColumnValuesToBeInSet(column="version", value_set=[version], notes="as the live release expects"),
            gxe.ExpectColumnValuesToBeBetween(
                column="age_seconds", min_value=0, notes="a negative age is evidence from the future"
            ),
            gxe.ExpectColumnValuesToBeBetween(column="age_seconds", max_value=seconds, mostly=0.8, notes="fresh"),
            gxe.ExpectColumnValuesToBeBetween(
                column="age_seconds", max_value=seconds, severity=WARN, notes="all of them fresh"
            ),
        ],
    )
