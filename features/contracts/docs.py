"""Reports people read: one self-contained page of findings, and Great Expectations' own Data Docs.

Data Docs load their style sheets from the network; the page made here needs nothing but a browser.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from features.contracts.engine import write_data_docs
from features.contracts.report import CheckReport, Finding
from features.files import write_whole

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2433; --soft: #5d6880; --page: #f5f6f9; --card: #fff; --line: #dfe3eb;
  --good: #14703d; --good-back: #e0f4e8; --warn: #8a5300; --warn-back: #fdf0d8;
  --bad: #a61b29; --bad-back: #fde6e8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9f0; --soft: #9aa5bb; --page: #12161f; --card: #1b2130;
  --line: #2d3548; --good: #7fdca4; --good-back: #163425; --warn: #f2c069; --warn-back: #3a2c10; --bad: #ff9aa4;
  --bad-back: #43191f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 20px 64px; }
h1 { margin: 0 0 4px; font-size: 28px; letter-spacing: -.01em; }
h2 { display: inline; font-size: 17px; margin: 0; }
p { margin: 0 0 20px; color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 24px 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px;
  color: var(--soft); }
.tile b { display: block; font-size: 26px; line-height: 1.2; color: var(--ink);
  font-variant-numeric: tabular-nums; }
details { background: var(--card); border: 1px solid var(--line); border-radius: 10px; margin: 0 0 12px;
  overflow: hidden; }
summary { padding: 14px 16px; cursor: pointer; }
summary small { color: var(--soft); margin-left: 8px; font-size: 13px; }
.scroll { overflow-x: auto; border-top: 1px solid var(--line); }
table { border-collapse: collapse; width: 100%; min-width: 720px; font-size: 14px; }
th, td { text-align: left; vertical-align: top; padding: 8px 16px; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 600; font-size: 13px; }
tr:last-child td { border-bottom: 0; }
td small { display: block; color: var(--soft); }
td.subject { min-width: 130px; font-family: ui-monospace, monospace; font-size: 13px; }
.mark { display: inline-block; min-width: 68px; text-align: center; white-space: nowrap; padding: 1px 9px;
  border-radius: 99px; font-size: 13px; font-weight: 600; margin-right: 8px; }
.passed { color: var(--good); background: var(--good-back); }
.warning { color: var(--warn); background: var(--warn-back); }
.failed { color: var(--bad); background: var(--bad-back); }
"""

_ORDER = {"failed": 0, "warning": 1, "passed": 2}


def write_report(reports: Sequence[CheckReport], path: Path, title: str = "Data contracts") -> Path:
    """Writes one page of all reports, failed contracts open and failures first; replaces the file atomically."""
    write_whole(path, _page(reports, title))
    return path


def build_data_docs(folder: Path) -> Path:
    """Great Expectations' own pages of all suites run in this process; returns their index.

    They look right only with a network; `write_report` is the page to send around.
    """
    return write_data_docs(folder)


def _page(reports: Sequence[CheckReport], title: str) -> str:
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    cards = "\n".join(_card(report) for report in reports)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n<p>{_verdict(reports)} Checked {made}.</p>\n"
        f'<div class="tiles">{_tiles(reports)}</div>\n{cards}\n</main>\n</body>\n</html>\n'
    )


def _verdict(reports: Sequence[CheckReport]) -> str:
    failed = [report.name for report in reports if not report.passed]
    if not reports:
        return "No contract was checked."
    if failed:
        return f"Stopped by {escape(', '.join(failed))}: the stores after it were not written."
    return "Nothing blocks."


def _tiles(reports: Sequence[CheckReport]) -> str:
    values = {
        "contracts": len(reports),
        "expectations": sum(len(report.findings) for report in reports),
        "blocking failures": sum(len(report.blocking_failures) for report in reports),
        "warnings": sum(len(report.warnings) for report in reports),
        "seconds": round(sum(report.seconds for report in reports), 2),
    }
    return "".join(f'<div class="tile"><b>{value:,}</b>{name}</div>' for name, value in values.items())


def _card(report: CheckReport) -> str:
    status = "failed" if not report.passed else "warning" if report.warnings else "passed"
    findings = sorted(report.findings, key=lambda finding: _ORDER[_status(finding)])
    rows = "".join(_row(finding) for finding in findings)
    passed = len(report.findings) - len(report.failures)
    return (
        f"<details{' open' if report.failures else ''}><summary>{_mark(status)}<h2>{escape(report.name)}</h2>"
        f"<small>{passed} of {len(report.findings)} expectations hold on {report.n_rows:,} rows, "
        f"{report.seconds:.2f} s</small></summary>"
        '<div class="scroll"><table><thead><tr><th>Result</th><th>Column</th><th>Expected</th><th>Found</th></tr>'
        f"</thead><tbody>{rows}</tbody></table></div></details>"
    )


def _row(finding: Finding) -> str:
    reason = f"<small>{escape(finding.reason)}</small>" if finding.reason else ""
    return (
        f'<tr><td>{_mark(_status(finding))}</td><td class="subject">{escape(finding.column or "table")}</td>'
        f"<td>{escape(finding.expected)}{reason}</td><td>{escape(finding.observed)}</td></tr>"
    )


def _status(finding: Finding) -> str:
    if finding.passed:
        return "passed"
    return "failed" if finding.blocking else "warning"


def _mark(status: str) -> str:
    return f'<span class="mark {status}">{status}</span>'
