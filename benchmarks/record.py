"""A result file: the figures of one command, with the machine, the libraries and the commit they were made with."""

from __future__ import annotations

import json
import math
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from features.files import write_whole
from flows.stage import code_commit

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("bentoml", "feast", "great_expectations", "prefect", "torch", "transformers")


def write_result(name: str, figures: dict[str, Any], commit: str | None = None) -> Path:
    """Writes `results/<name>.json`, which any reader of JSON reads, and returns where.

    Args:
        name: of the file; may hold a folder.
        figures: what was measured; NaN, which JSON has no word for, is written as null.
        commit: what the code was when the work was done; default: what it is now.
    """
    path = RESULTS / f"{name}.json"
    content = {"machine": machine(), "commit": commit or code_commit(), **figures}
    write_whole(path, json.dumps(strict(content), indent=1, allow_nan=False) + "\n")
    return path


def strict(value: Any) -> Any:
    """The same with null for NaN, at any depth."""
    if isinstance(value, dict):
        return {name: strict(it) for name, it in value.items()}
    if isinstance(value, list | tuple):
        return [strict(it) for it in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def machine() -> dict[str, str]:
    """What the figures were made on."""
    cpu = f"{platform.machine()}, {os.cpu_count()} cores"
    return {"cpu": cpu, "python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}
