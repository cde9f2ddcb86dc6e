"""A result file: the figures of one command, with the machine, the libraries and the commit they were made with."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flows.stage import code_commit

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("bentoml", "feast", "great_expectations", "prefect", "torch", "transformers")


def write_result(name: str, figures: dict[str, Any], commit: str | None = None) -> Path:
    """Writes `results/<name>.json` and returns where.

    Args:
        name: of the file; may hold a folder.
        figures: what was measured.
        commit: what the code was when the work was done; default: what it is now.
    """
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine(), "commit": commit or code_commit(), **figures}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def machine() -> dict[str, str]:
    """What the figures were made on."""
    cpu = f"{platform.machine()}, {os.cpu_count()} cores"
    return {"cpu": cpu, "python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}
