"""What a contract found: findings with numbers, and the one place that turns a blocking failure into an error."""

from __future__ import annotations

from dataclasses import dataclass

from features.errors import CheckError

SHOWN = 6
"""Failures spelled out in an error; the rest are counted."""


@dataclass(frozen=True)
class Finding:
    """One expectation with what was observed.

    `expectation` is Great Expectations' name for it; `column` is empty for a statement about the whole table.
    A finding that is not `blocking` only warns.
    """

    expectation: str
    column: str
    passed: bool
    observed: str
    expected: str
    blocking: bool
    reason: str = ""
    """Why the contract asks for this, in the words of the suite."""

    def __str__(self) -> str:
        subject = f"{self.column}: " if self.column else ""
        return f"{subject}found {self.observed}; expected {self.expected}" + (
            f" ({self.reason})" if self.reason else ""
        )


@dataclass(frozen=True)
class CheckReport:
    """The outcome of one contract on `n_rows` rows."""

    name: str
    findings: tuple[Finding, ...]
    n_rows: int
    seconds: float

    @property
    def failures(self) -> tuple[Finding, ...]:
        """What failed, blocking or not."""
        return tuple(finding for finding in self.findings if not finding.passed)

    @property
    def blocking_failures(self) -> tuple[Finding, ...]:
        """What stops the flow."""
        return tuple(finding for finding in self.failures if finding.blocking)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What should be looked at but stops nothing."""
        return tuple(finding for finding in self.failures if not finding.blocking)

    @property
    def passed(self) -> bool:
        """Whether nothing blocks; warnings may remain."""
        return not self.blocking_failures

    def enforce(self) -> CheckReport:
        """Returns the report itself, so that a flow can keep it. Raises CheckError on a blocking failure."""
        failed = self.blocking_failures
        if not failed:
            return self
        lines = [f"  - {finding}" for finding in failed[:SHOWN]]
        if len(failed) > SHOWN:
            lines.append(f"  - and {len(failed) - SHOWN} more")
        raise CheckError(
            f"The contract {self.name!r} failed on {self.n_rows:,} rows: "
            f"{len(failed)} of {len(self.findings)} expectations.\n" + "\n".join(lines),
            "Nothing was written to the next store; what was there is unchanged.",
            f"Correct the rows named above and run the stage again. The expectations of {self.name!r} stand in "
            "features/contracts, the full findings in the report of this run.",
        )
