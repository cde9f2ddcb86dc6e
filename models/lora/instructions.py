"""General instructions as a first lesson: a file of them is read, and an adapter is tuned on it.

Source: TALLRec (Bao et al., RecSys 2023) and ExplainRec (Ma et al., arXiv 2511.14770), stage A: tuning on Alpaca's
instructions, before recommendation tuning begins with that adapter (`LoraConfig.start`). The file has one JSON object
a line with the texts `instruction`, `input` (which may be empty or left out) and `output`; no such data comes with the
platform.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from pydantic import Field

from features.errors import InputError, TrainingError
from models.base import Progress, silent
from models.lora.low_rank import LoraConfig
from models.lora.making import TuningReport, make_adapter
from models.lora.rows import Row
from models.lora.student import Student

SYSTEM = "You do what the instruction says."
"""Stands where an instruction has no input; with one, the instruction is the system's turn, as a student's is."""
EXPECTED = "Each line must be a JSON object with the texts `instruction` and `output`, and `input` where there is one."
CARD = """\
# A low-rank adapter of {model} that was tuned on instructions

Made by `counterpoint tune-explainer --instructions FILE`. A student's tuning begins with it where its settings name
this folder (`start`).

- **Data**: {n_rows} instructions of {file}, hash of the rows: {examples}; {n_long} were longer than {max_tokens} tokens
  and left out, and equal ones count once.
- **Training**: {steps} steps, {tokens} tokens, last loss {loss} per answer token; on {n_valid} instructions that were
  not trained on {valid_loss}, before training {untuned_loss}.

```json
{settings}
```
"""


@dataclass(frozen=True)
class Instruction:
    """What is wanted, what it is wanted of, and the answer that is learned."""

    instruction: str
    input: str
    output: str


class InstructionConfig(LoraConfig):
    """How an adapter is tuned on instructions."""

    seed: int = 0
    """Of the choice of instructions, and of the training."""
    n_rows: int = Field(default=0, ge=0)
    """Instructions that are learned at most; 0 is all."""
    n_valid: int = Field(default=64, ge=1)
    """Instructions whose loss is reported and that are not learned; a tenth where there are not so many."""
    max_tokens: int = 512
    """Of an instruction with its answer; longer ones are left out, since half an answer would be learned as one."""


def read_instructions(path: Path) -> list[Instruction]:
    """All instructions of a file, in order; empty lines are passed over.

    Raises:
        InputError: the file cannot be read, holds nothing, or has a line that is no instruction; which line it is,
            what was found there and what was expected is said.
    """
    try:
        # Not splitlines: texts may hold other line breaks. Windows' editors put a mark before the first line.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The instructions {path} cannot be read: {error}.", EXPECTED) from error
    read = [_read(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not read:
        raise InputError(f"The file {path} holds no instruction.", EXPECTED)
    return read


def _read(line: str, where: str) -> Instruction:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where}: this is not JSON ({error}): {line[:60]!r}.", EXPECTED) from None
    if not isinstance(record, dict):
        raise InputError(f"{where}: a {type(record).__name__} was found.", EXPECTED)
    return Instruction(*(_text(record, name, where) for name in ("instruction", "input", "output")))


def _text(record: dict[str, object], name: str, where: str) -> str:
    """One text of a record; the input alone may be missing or empty."""
    optional = name == "input"
    text = record.get(name, "" if optional else None)
    if not isinstance(text, str) or not (text.strip() or optional):
        found = f"`{name}` is {text!r}" if name in record else f"there is no `{name}`"
        raise InputError(f"{where}: {found}.", EXPECTED)
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InputError(f"{where}: `{name}` holds half a character (an escape such as `\\ud83d` by itself).", EXPECTED)
    return text


def instruction_row(student: Student, told: Instruction) -> Row:
    """The tokens of an instruction and its answer, of which the answer alone is learned."""
    system, asked = (told.instruction, told.input) if told.input.strip() else (SYSTEM, told.instruction)
    head = student.encode_chat(student.chat(system, asked))
    answer = [*student.encode(told.output), student.end]
    return Row([*head, *answer], len(answer))


def tune_on_instructions(
    base: Path, out: Path, file: Path, config: InstructionConfig | None = None, progress: Progress = silent
) -> TuningReport:
    """Tunes an adapter on a file of instructions, or finishes one that was begun with the same, and writes its card.

    Args:
        base: folder with the converted weights.
        out: where the adapter goes; its half-done state lies beside it, in `<out>.part`.
        file: of instructions.
        config: how.
        progress: called with ("tuning", steps done, steps).

    Raises:
        InputError: the file cannot be read (`read_instructions`).
        TrainingError: fewer than two different instructions are short enough.
    """
    config = config or InstructionConfig()
    told, student = read_instructions(file), Student(base, config, config.seed)
    every = {tuple(row.tokens): row for row in (instruction_row(student, it) for it in told)}
    short = [row for row in every.values() if len(row.tokens) <= config.max_tokens]
    rows, valid = _parted(short, config)
    report = make_adapter(student, rows, valid, out, config.seed, progress)
    card = CARD.format(
        model=base.name,
        file=file.name,
        n_rows=len(rows),
        n_valid=len(valid),
        n_long=len(every) - len(short),
        max_tokens=config.max_tokens,
        settings=config.model_dump_json(indent=1, exclude={"start"}),
        **vars(report),
    )
    (out / "README.md").write_text(card, encoding="utf-8")
    return report


def _parted(rows: Sequence[Row], config: InstructionConfig) -> tuple[list[Row], list[Row]]:
    """Rows to learn and rows to measure on, drawn by the seed."""
    if len(rows) < 2:
        raise TrainingError(
            f"{len(rows)} different instructions have at most {config.max_tokens} tokens.",
            "At least two are needed: one to learn, and one to measure on.",
        )
    shuffled = Random(config.seed).sample(list(rows), len(rows))
    n_valid = max(1, min(config.n_valid, len(rows) // 10))
    end = n_valid + config.n_rows if config.n_rows else len(rows)
    return shuffled[n_valid:end], shuffled[:n_valid]
