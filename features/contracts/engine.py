"""All calls of Great Expectations: one suite on one frame in, one `CheckReport` out.

The process keeps a single ephemeral context, since a new one would replace the current project for every
thread. A suite's expectations say in `severity` whether they block (GX's default, critical) or only warn, and in
`notes` why they are there.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from features.contracts.report import CheckReport, Finding

if TYPE_CHECKING:
    from great_expectations.data_context.data_context.abstract_data_context import AbstractDataContext
    from great_expectations.expectations.expectation import Expectation

WARN = "warning"
"""Severity of an expectation that does not block."""

_SOURCE = "lake"
_ONE_AT_A_TIME = threading.Lock()
_EXAMPLES = 3


def expectations() -> Any:
    """The module `great_expectations.expectations`; imported here because that takes seconds."""
    os.environ["GX_ANALYTICS_ENABLED"] = "False"  # read when the library is imported
    from great_expectations import expectations as module

    return module


@cache
def _context() -> AbstractDataContext:
    os.environ["GX_ANALYTICS_ENABLED"] = "False"
    import great_expectations as gx

    # Its import sets this logger to INFO, to announce a temporary folder that nobody asked about.
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}  # type: ignore[assignment]
    context.data_sources.add_pandas(_SOURCE)
    return context


def validate(name: str, frame: pd.DataFrame, suite: Sequence[Expectation]) -> CheckReport:
    """Runs a suite on a frame. An expectation that could not be evaluated is a blocking failure."""
    started = time.perf_counter()
    for number, expectation in enumerate(suite):
        expectation.meta = {**(expectation.meta or {}), "number": number}
    with _ONE_AT_A_TIME:
        results = _run(name, frame, suite)
    results = sorted(results, key=lambda result: result.expectation_config.meta["number"])
    findings = tuple(_finding(result) for result in results)
    return CheckReport(name, findings, len(frame), time.perf_counter() - started)


def _run(name: str, frame: pd.DataFrame, suite: Sequence[Expectation]) -> list[Any]:
    import great_expectations as gx

    context = _context()
    source: Any = context.data_sources.get(_SOURCE)
    try:
        batch = source.get_asset(name).get_batch_definition("whole")
    except LookupError:
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("whole")
    kept = context.suites.add_or_update(gx.ExpectationSuite(name=name, expectations=list(suite)))
    definition = gx.ValidationDefinition(name=name, data=batch, suite=kept)
    outcome = context.validation_definitions.add_or_update(definition).run(
        batch_parameters={"dataframe": frame},
        result_format={"result_format": "SUMMARY", "partial_unexpected_count": 20},
    )
    return list(outcome.results)


def missing_columns(name: str, frame: pd.DataFrame, columns: Sequence[str]) -> CheckReport | None:
    """A failed report if the frame lacks columns, else None: checked first, since suites derive from them."""
    missing = [column for column in columns if column not in frame.columns]
    if not missing:
        return None
    finding = Finding(
        "expect_table_columns_to_match_set",
        ", ".join(missing),
        passed=False,
        observed=f"the columns {', '.join(map(str, frame.columns)) or 'none'}",
        expected=f"also {', '.join(missing)}",
        blocking=True,
    )
    return CheckReport(name, (finding,), len(frame), 0.0)


def joined(name: str, reports: Sequence[CheckReport]) -> CheckReport:
    """One report for a hand-over that needs several tables; `n_rows` is that of the first."""
    findings = tuple(finding for report in reports for finding in report.findings)
    return CheckReport(name, findings, reports[0].n_rows, sum(report.seconds for report in reports))


def write_data_docs(folder: Path) -> Path:
    """Great Expectations' own pages of every suite run in this process."""
    with _ONE_AT_A_TIME:
        context = _context()
        folder.mkdir(parents=True, exist_ok=True)
        name = f"counterpoint {folder.resolve()}"
        if name not in context.get_site_names():
            site: Any = {
                "class_name": "SiteBuilder",
                "store_backend": {
                    "class_name": "TupleFilesystemStoreBackend",
                    "base_directory": str(folder.resolve()),
                },
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            }
            context.add_data_docs_site(name, site)
        context.build_data_docs(site_names=[name])
    return folder / "index.html"


def _finding(result: Any) -> Finding:
    """One GX result in plain words."""
    config = result.expectation_config
    raised = _raised(result.exception_info or {})
    return Finding(
        expectation=config.type,
        column=_column(config.kwargs),
        passed=bool(result.success) and not raised,
        observed=f"nothing, because the check could not be made: {raised}" if raised else _observed(result),
        expected=_expected(config.type, config.kwargs),
        blocking=bool(raised) or config.severity.value != WARN,
        reason=config.notes if isinstance(config.notes, str) else "",
    )


def _raised(info: Mapping[str, Any]) -> str:
    """The last line of an exception met while checking, or nothing. GX nests it by metric, or not."""
    entries = [info] if "raised_exception" in info else list(info.values())
    messages = [str(entry.get("exception_message")) for entry in entries if entry.get("raised_exception")]
    return messages[0].strip().splitlines()[-1][:300] if messages else ""


def _column(kwargs: Mapping[str, Any]) -> str:
    if "column" in kwargs:
        return str(kwargs["column"])
    return ", ".join(map(str, kwargs.get("column_list", ())))


_WORDS = {
    "to not be ": "not ",
    "to be ": "",
    "to not match": "do not match",
    "to match": "match",
    "to contain": "contain",
}


def _expected(kind: str, kwargs: Mapping[str, Any]) -> str:
    """`values between 1 and 5`, from the expectation's name and arguments."""
    words = kind.removeprefix("expect_").removeprefix("column_").replace("_", " ")
    for long, short in _WORDS.items():
        words = words.replace(long, short)
    parts = [words.replace("between", _range(kwargs)).replace("regex list", "regex")]
    for key in ("value_set", "regex", "regex_list"):
        if kwargs.get(key):
            values = kwargs[key] if isinstance(kwargs[key], list) else [kwargs[key]]
            parts.append(", ".join(_shown(value).strip("'") for value in values))
    if kwargs.get("mostly"):
        parts.append(f"for at least {kwargs['mostly']:.0%} of the rows")
    return " ".join(part.strip() for part in parts)


def _range(kwargs: Mapping[str, Any]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    most = "below" if kwargs.get("strict_max") else "at most"
    parts = [] if low is None else [f"at least {_shown(low)}"]
    if low is not None and low == high:
        parts = [f"exactly {_shown(low)}"]
    elif high is not None:
        parts.append(f"{most} {_shown(high)}")
    return " and ".join(parts)


def _observed(result: Any) -> str:
    content = result.result or {}
    if "observed_value" in content:
        value = content["observed_value"]
        return _shown(value) if value is not None else "as expected" if result.success else "nothing"
    total, wrong = content.get("element_count", 0), content.get("unexpected_count", 0)
    if not wrong:
        return f"all {total:,} rows right"
    found = f"{wrong:,} of {total:,} rows wrong"
    if (result.expectation_config.meta or {}).get("private"):
        return found
    examples = list(dict.fromkeys(_shown(value) for value in content.get("partial_unexpected_list", ())))
    return f"{found}, for example {', '.join(examples[:_EXAMPLES])}" if examples else found


def _shown(value: object) -> str:
    """A value short enough for a line of a report."""
    if isinstance(value, int | float | np.number):
        number = float(value)
        return f"{number:,.0f}" if number.is_integer() and abs(number) < 1e15 else f"{number:.4g}"
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    if isinstance(value, dict):
        return " ".join(_shown(item) for item in value.values())
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
