"""Where data contracts meet orchestration: a report is kept, attached to the run, and a failure stops it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from flows.artifacts import attach_table

if TYPE_CHECKING:
    from features.contracts.report import CheckReport
    from flows.workspace import Workspace


def enforce(report: CheckReport, workspace: Workspace) -> None:
    """Keeps a report and attaches it to the run; raises CheckError if a blocking expectation failed.

    Call it before the store behind the contract is written.
    """
    folder = checks_folder(workspace)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{report.name.replace('/', '-')}.json").write_text(
        json.dumps(asdict(report), indent=1, default=str), encoding="utf-8"
    )
    attach_table(f"check-{report.name}", [asdict(finding) for finding in report.findings])
    write_page(workspace)
    report.enforce()


def checks_folder(workspace: Workspace) -> Path:
    """Folder of the latest report of every contract, as JSON."""
    return workspace.settings.reports / "checks"


def write_page(workspace: Workspace) -> Path:
    """Writes the page of all contracts' latest reports; it looks right without a network."""
    from features.contracts.docs import write_report
    from features.contracts.report import CheckReport

    read = TypeAdapter(CheckReport).validate_json
    path = workspace.settings.reports / "quality.html"
    files = sorted(checks_folder(workspace).glob("*.json"), key=lambda file: file.stat().st_mtime)
    write_report([read(file.read_bytes()) for file in files], path)
    return path
