"""Contracts of what comes out: a model's metrics against the bias baseline and the live release, online reads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pandas as pd

from features.contracts.engine import WARN, expectations, joined, missing_columns, validate
from features.contracts.report import CheckReport, Finding

LOWER_IS_BETTER = ("rmse", "mae", "logloss", "ece")
"""Metrics of which less is better; of all others more is."""
GATED = ("rmse", "auc")
"""Metrics that decide: whether a candidate may replace the live release."""
MIN_ROWS = 500
"""Fewest test rows on which a release is judged: there the standard error of an AUC is about 0.02, the tolerance."""
ONLINE_COLUMNS = ("entity_kind", "entity_id", "present", "age_seconds", "version")


@dataclass(frozen=True)
class Paired:
    """A metric of a candidate and of the live model on the same rows.

    `low` and `high` are the 95 % interval of the difference, candidate minus live, on the same resamples.
    """

    candidate: float
    live: float
    low: float
    high: float

    def worse_by(self, metric: str) -> tuple[float, float]:
        """By how much the candidate is worse, and the least the interval allows; negative where it is better."""
        if metric in LOWER_IS_BETTER:
            return self.candidate - self.live, self.low
        return self.live - self.candidate, -self.high


def check_metrics(
    candidate: Mapping[str, float],
    bias: Mapping[str, float],
    tolerance: float = 0.02,
    rows: int = MIN_ROWS,
    replaces: bool = True,
) -> CheckReport:
    """The gate before a release: finite, and no worse than the bias model.

    On fewer than `MIN_ROWS` test rows a difference proves little. Then nothing that is live is replaced by what is
    worse at all, and a first release, which replaces nothing, goes live with warnings.

    Args:
        candidate: Metric values by name; `rmse` is required.
        bias: The same of the bias baseline (mean plus consumer and product offsets) on the same rows.
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
    if suite := _no_worse(gxe, named, bias, accepted, binding):
        reports.append(validate("metrics against the bias baseline", frame, suite))
    return joined("metrics", reports)


def check_against_live(
    metrics: Mapping[str, Paired], release_id: str, tolerance: float = 0.02, rows: int = MIN_ROWS
) -> CheckReport:
    """The gate against the live model on the same test rows, with the interval of the paired difference.

    A candidate is refused if it is clearly worse, which is if the whole interval says so, however little; and if its
    value is worse by more than the tolerance, whatever the interval, since with few rows an interval holds anything.
    On fewer than `MIN_ROWS` rows the tolerance is nothing.

    Args:
        metrics: By name, both models' values and the interval of their difference.
        release_id: What is live.
        tolerance: How much worse is still accepted where the interval holds 0, as a share of the live model's value.
        rows: Test rows that the metrics rest on.
    """
    accepted = tolerance if rows >= MIN_ROWS else 0.0
    gxe = expectations()
    columns: dict[str, list[float]] = {}
    suite = []
    for name, pair in metrics.items():
        worse, surely = f"{name} worse by", f"{name} surely worse by"
        columns[worse], columns[surely] = ([value] for value in pair.worse_by(name))
        told = (
            f"{pair.candidate:.4f} against {pair.live:.4f} of {release_id} on the same {rows:,} rows, a difference of "
            f"{pair.candidate - pair.live:+.4f} with the 95 % interval {pair.low:+.4f} to {pair.high:+.4f}"
        )
        for column, bound in ((worse, abs(pair.live) * accepted), (surely, 0.0)):
            suite.append(gxe.ExpectColumnValuesToBeBetween(column=column, max_value=bound, notes=told))
    return validate("metrics against the live release", pd.DataFrame(columns, dtype="float64"), suite)


def not_compared(release_id: str, cause: str) -> CheckReport:
    """A warning that the live model could not be scored, so that the candidate was only held against the baseline."""
    finding = Finding(
        "the live release is scored on the same rows",
        "",
        passed=False,
        observed=cause,
        expected=f"the model of {release_id}",
        blocking=False,
    )
    return CheckReport("metrics against the live release", (finding,), 0, 0.0)


def _enough(rows: int) -> CheckReport:
    """Warns where the metrics rest on too few rows to decide."""
    frame = pd.DataFrame({"test_rows": [float(rows)]})
    least = expectations().ExpectColumnValuesToBeBetween(
        column="test_rows", min_value=MIN_ROWS, severity=WARN, notes="on fewer rows differences prove little"
    )
    return validate("metrics", frame, [least])


def _no_worse(
    gxe: Any, named: Mapping[str, float], bias: Mapping[str, float], tolerance: float, binding: bool
) -> list[Any]:
    """One expectation per metric that the baseline has too."""
    suite = []
    for name in named:
        reference = float(bias.get(name, math.nan))
        if not math.isfinite(reference):
            continue
        lower = name in LOWER_IS_BETTER
        bound = reference + abs(reference) * (tolerance if lower else -tolerance)
        suite.append(
            gxe.ExpectColumnValuesToBeBetween(
                column=name,
                **{"max_value" if lower else "min_value": bound},
                severity="critical" if name in GATED and binding else WARN,
                notes=f"no worse than the bias baseline, which has {reference:.4f}, by more than {tolerance:.0%}",
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
