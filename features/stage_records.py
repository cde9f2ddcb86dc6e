"""What is remembered of the stages of a home: a small JSON file each, written by `flows/stage.py`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

STAGES = ("ingest", "explain", "materialize", "train", "evaluate", "release")
"""In the order of a run."""


class StageRecord(BaseModel):
    """What is remembered of a finished stage."""

    model_config = ConfigDict(frozen=True)

    stage: str
    made_from: str
    seconds: float
    peak_memory_mb: float
    """Peak resident memory of the process up to the stage's end."""
    finished_at: datetime
    commit: str = ""
    """Of the code that did the work (`code_commit`)."""
    skipped: bool = False
    """Whether the last run found it done."""
    result: dict[str, object]


def read_record(folder: Path, stage: str) -> StageRecord | None:
    """The record of a stage, or None if it never finished."""
    try:
        return StageRecord.model_validate_json((folder / f"{stage}.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValidationError):
        return None
