"""Makes an adapter's files from rows, and says what that took and reached on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.base import Progress, silent
from models.llm.weights import MODEL_NAME
from models.lora.rows import Row
from models.lora.student import Student
from models.lora.training import Trainer


@dataclass(frozen=True)
class TuningReport:
    """What training took and reached."""

    steps: int
    tokens: int
    """Trained on in all, over resumed runs too."""
    seconds: float
    """Of this run."""
    loss: float
    """On the last tenth of the steps."""
    valid_loss: float
    """On rows never trained on."""
    untuned_loss: float
    """The same before this training."""
    examples: str
    """Hash of all that was learned from."""


def make_adapter(
    student: Student, rows: Sequence[Row], valid: Sequence[Row], out: Path, seed: int, progress: Progress = silent
) -> TuningReport:
    """Trains an adapter, or finishes one that was begun with the same settings and rows, and writes it.

    Args:
        student: as it begins.
        rows: what is learned.
        valid: others; at least one.
        out: where the adapter goes; its half-done state lies beside it, in `<out>.part`.
        seed: of order and dropout.
        progress: called with ("tuning", steps done, steps).
    """
    trainer = Trainer(student, rows, seed, out.with_name(out.name + ".part"))
    before = trainer.mean_loss(valid)
    trained = trainer.run(progress)
    student.write(out, MODEL_NAME)
    return TuningReport(
        steps=trained.steps,
        tokens=trained.tokens,
        seconds=trained.seconds,
        loss=trained.loss,
        valid_loss=round(trainer.mean_loss(valid), 4),
        untuned_loss=round(before, 4),
        examples=trainer.fingerprint,
    )
