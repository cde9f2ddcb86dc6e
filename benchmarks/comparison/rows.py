"""A row of the table: one method on one split by one metric, beside its backbone and its controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from benchmarks.comparison.claims import Claim, Study, claim_of

Verdict = Literal["reproduced", "no", "not run"]
LESS_IS_BETTER = ("rmse",)


@dataclass(frozen=True)
class Gap:
    """What a method has more than another on the same rows; above 0 the method is better, by errors too."""

    over: str
    value: float
    low: float
    """Lower end of the 95 % interval of the paired difference."""
    high: float
    other: float
    """The other's own figure."""

    @classmethod
    def of(cls, over: str, metric: str, own: float, gap: float, interval: Sequence[float]) -> Gap:
        """From the method's figure and what it has more than the other one; errors change their sign."""
        if metric in LESS_IS_BETTER:
            return cls(over, -gap, -interval[1], -interval[0], own - gap)
        return cls(over, gap, interval[0], interval[1], own - gap)

    @classmethod
    def mean(cls, gaps: Sequence[Gap]) -> Gap:
        """Of several seeds over the same consumers: the mean of values and of interval ends.

        The mean of the ends is what an interval of the mean would be if all seeds erred alike, so it is too wide rather
        than too narrow.
        """
        n = len(gaps)
        value, low, high, other = (
            sum(getattr(it, name) for it in gaps) / n for name in ("value", "low", "high", "other")
        )
        return cls(gaps[0].over, value, low, high, other)

    @property
    def relative(self) -> float:
        """Share of the other's figure."""
        return self.value / self.other


@dataclass(frozen=True)
class Cost:
    """What one fit took, as far as its file tells; None where it does not."""

    requests: int | None = None
    """To a language model."""
    tokens: int | None = None
    """Read, trained on and written by a language model."""
    seconds: float | None = None
    """Of making texts and of fitting."""
    peak_memory_mb: int | None = None


@dataclass(frozen=True)
class Row:
    """A method on a split."""

    study: Study
    dataset: str
    split: str
    variant: str
    """What of the method: its backbone, student or setting; may be empty."""
    metric: str
    value: float | None = None
    seeds: int | None = None
    backbone: Gap | None = None
    controls: tuple[Gap, ...] = ()
    cost: Cost = field(default_factory=Cost)
    commit: str = ""
    """Of the code that made the result file."""

    @property
    def claim(self) -> Claim:
        """What the paper says."""
        return claim_of(self.study.method, self.metric)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Over the backbone, if that was run, and over each control that was."""
        return (*([self.backbone] if self.backbone else []), *self.controls)

    @property
    def missing(self) -> tuple[str, ...]:
        """Backbone and mandatory controls that were not run."""
        run = {gap.over for gap in self.gaps}
        return tuple(name for name in (self.study.backbone, *self.study.controls) if name not in run)

    @property
    def verdict(self) -> Verdict:
        """Reproduced only if the method is beyond noise ahead of its backbone and of every mandatory control."""
        if any(gap.low <= 0 for gap in self.gaps):
            return "no"
        return "not run" if self.missing else "reproduced"


def without_doubles(rows: Sequence[Row]) -> list[Row]:
    """Leaves out what was not run in one file and was in another."""
    run = {(row.study.method, row.dataset, row.split) for row in rows if row.gaps}
    return [row for row in rows if row.gaps or (row.study.method, row.dataset, row.split) not in run]
