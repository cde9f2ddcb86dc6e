"""A first lesson from a file of instructions: what a line must be, what of it is learned, and what is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from counterpoint.cli import app
from features.errors import InputError, TrainingError
from models.llm.adapter import read_changes
from models.lora.instructions import (
    SYSTEM,
    Instruction,
    InstructionConfig,
    instruction_row,
    read_instructions,
    tune_on_instructions,
)
from models.lora.low_rank import LoraConfig
from models.lora.student import Student

GOOD = {"instruction": "Name the taste.", "input": "honey", "output": "sweet"}


def write(folder: Path, *lines: str) -> Path:
    (folder / "told.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder / "told.jsonl"


def test_lines_are_read_in_order_and_an_input_may_be_left_out(tmp_path: Path) -> None:
    file = write(tmp_path, json.dumps(GOOD), "", '{"instruction": "Say\u2028hello.", "output": "Hello."}')
    assert read_instructions(file) == [
        Instruction("Name the taste.", "honey", "sweet"),
        Instruction("Say\u2028hello.", "", "Hello."),
    ]


def test_a_file_of_windows_is_read(tmp_path: Path) -> None:
    """With the mark that its editors begin with, and its ends of lines."""
    (tmp_path / "told.jsonl").write_bytes(f"\ufeff{json.dumps(GOOD)}\r\n{json.dumps(GOOD)}\r\n".encode())
    assert read_instructions(tmp_path / "told.jsonl") == [Instruction("Name the taste.", "honey", "sweet")] * 2


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (r'{"instruction": "x", "output": "\ud83d"}', "`output` holds half a character"),
        ("{no json", "this is not JSON"),
        ('["a"]', "a list was found"),
        ('{"instruction": "x"}', "there is no `output`"),
        ('{"instruction": "x", "output": " "}', "`output` is ' '"),
        ('{"instruction": 3, "output": "y"}', "`instruction` is 3"),
        ('{"instruction": "x", "input": null, "output": "y"}', "`input` is None"),
    ],
)
def test_a_line_that_is_no_instruction_is_named(tmp_path: Path, line: str, found: str) -> None:
    with pytest.raises(InputError, match=f"line 2: {found}.*\nEach line must be"):
        read_instructions(write(tmp_path, json.dumps(GOOD), line))


def test_a_file_without_instructions_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_instructions(tmp_path / "nothing.jsonl")
    with pytest.raises(InputError, match="holds no instruction"):
        read_instructions(write(tmp_path, ""))
    (tmp_path / "told.jsonl").write_bytes(b"\xff")
    with pytest.raises(InputError, match="cannot be read"):
        read_instructions(tmp_path / "told.jsonl")


def test_the_output_alone_is_learned(tiny_base: Path) -> None:
    student = Student(tiny_base, LoraConfig(), dtype=torch.float32)
    for told, asked in (
        (Instruction("Name the taste.", "honey", "sweet"), ("Name the taste.", "honey")),
        (Instruction("Say hello.", " ", "sweet"), (SYSTEM, "Say hello.")),
    ):
        row = instruction_row(student, told)
        assert student.decode(row.tokens[: -row.n_answer]) == student.chat(*asked)
        assert student.decode(row.tokens[-row.n_answer :]) == "sweet" + student.decode([student.end])


def test_an_adapter_is_tuned_measured_and_described(tiny_base: Path, tmp_path: Path) -> None:
    long = {**GOOD, "input": "honey " * 200}
    file = write(tmp_path, *[json.dumps({**GOOD, "input": f"honey {n}"}) for n in range(20)], json.dumps(long))
    config = InstructionConfig(rank=2, layers=1, epochs=4, rate=1e-2, max_tokens=100, n_rows=12, dropout=0.0)
    report = tune_on_instructions(tiny_base, tmp_path / "out", file, config)
    assert report.steps == 8  # 12 rows, since one is too long and others measure
    assert report.valid_loss < report.untuned_loss
    assert {name.rpartition(".")[2] for name in read_changes(tmp_path / "out")} == {"q_proj", "v_proj"}
    card = (tmp_path / "out" / "README.md").read_text()
    assert "12 instructions of told.jsonl" in card
    assert "1 were longer than 100 tokens" in card
    assert str(tmp_path) not in card
    again = tune_on_instructions(tiny_base, tmp_path / "out", file, config)
    assert (again.steps, again.valid_loss) == (report.steps, report.valid_loss)


def test_too_few_short_instructions_are_an_error(tiny_base: Path, tmp_path: Path) -> None:
    file = write(tmp_path, json.dumps(GOOD))
    with pytest.raises(TrainingError, match="1 different instructions have at most 512 tokens"):
        tune_on_instructions(tiny_base, tmp_path / "out", file)


def test_what_is_measured_on_was_not_learned_under_another_number(tiny_base: Path, tmp_path: Path) -> None:
    """Files of instructions repeat themselves: one that stands twice is either learned or measured on."""
    file = write(tmp_path, *[json.dumps({**GOOD, "input": f"honey {n % 4}"}) for n in range(40)])
    config = InstructionConfig(rank=2, layers=1, batch_size=1)
    assert tune_on_instructions(tiny_base, tmp_path / "out", file, config).steps == 3


def test_the_command_tunes_on_a_file(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.llm.gguf.converted", lambda models: tiny_base)
    file = write(tmp_path, *[json.dumps({**GOOD, "input": f"honey {n}"}) for n in range(4)])
    command = ["tune-explainer", "--out", str(tmp_path / "out"), "--instructions", str(file), "--examples", "2"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert read_changes(tmp_path / "out")
    assert "2 instructions of told.jsonl" in (tmp_path / "out" / "README.md").read_text()
