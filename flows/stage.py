"""Stages that know when they are done: each records the hash of its inputs and its result.

A stage whose inputs have not changed returns its recorded result at once, so a second run is quick and a
stopped run goes on where it was. What a stage wrote is checked by the stage itself (`outputs`).
"""

from __future__ import annotations

import json
import logging
import resource
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from features.files import write_whole
from features.stage_records import StageRecord, read_record
from features.types import content_hash

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parent.parent
"""Of the repository."""

Result = TypeVar("Result", bound="StageResult")


class StageResult(BaseModel):
    """Base of what stages return: small, typed, kept as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@cache
def code_commit() -> str:
    """The commit of this code, with a `+` where it was changed since; empty where it is no git checkout.

    Looked up once per process, since a process goes on with the code it started with.
    """
    if not (ROOT / ".git").exists():
        return ""
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return _git("rev-parse", "HEAD") + ("+" if changed else "")


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:  # a checkout on a machine without git
        return ""


class StageLog:
    """The records of one home, a small JSON file per stage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, stage: str) -> StageRecord | None:
        """The record of a stage, or None if it never finished."""
        return read_record(self.folder, stage)

    def write(self, record: StageRecord) -> None:
        """Replaces a stage's record atomically."""
        write_whole(self.folder / f"{record.stage}.json", json.dumps(record.model_dump(mode="json"), indent=1))

    def worked(self, stage: str) -> bool:
        """Whether the last run did the stage's work, and did not find it done."""
        record = self.read(stage)
        return record is not None and not record.skipped

    def run(
        self,
        stage: str,
        inputs: Sequence[object],
        result_type: type[Result],
        work: Callable[[str], Result],
        outputs: Sequence[Path] = (),
        enough: Callable[[Result], bool] = lambda _: True,
    ) -> Result:
        """Does a stage's work unless its record says that the same inputs were already worked on.

        Args:
            stage: Its name.
            inputs: Everything that can change the result; hashed as canonical JSON.
            result_type: What `work` returns.
            work: Called with the hash of the inputs.
            outputs: Files that must still exist for the record to count.
            enough: Whether a recorded result of the same inputs will do, or the stage has to go on.
        """
        made_from = content_hash(stage, *inputs)
        record = self.read(stage)
        if record and record.made_from == made_from and all(path.exists() for path in outputs):
            try:
                known = result_type.model_validate(record.result)
            except ValidationError:
                logger.info("the record of stage %s is of another version; it is done again", stage)
            else:
                if enough(known):
                    self.write(record.model_copy(update={"skipped": True}))
                    return known
        started = time.perf_counter()
        result = work(made_from)
        self.write(
            StageRecord(
                stage=stage,
                made_from=made_from,
                seconds=round(time.perf_counter() - started, 2),
                peak_memory_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
                finished_at=datetime.now(UTC),
                commit=code_commit(),
                result=result.model_dump(mode="json"),
            )
        )
        return result
