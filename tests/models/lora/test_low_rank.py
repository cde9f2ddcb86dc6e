"""Only changes of low rank are trained; merged they are the same network, in files that others can read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from features.errors import SettingError
from models.llm.adapter import merged
from models.lora.low_rank import LoraConfig
from models.lora.student import Student

CONFIG = LoraConfig(rank=4, alpha=8, dropout=0.0)


def a_student(base: Path, config: LoraConfig = CONFIG) -> Student:
    """One whose changes do something, as after training."""
    student = Student(base, config, seed=1, dtype=torch.float32)
    generator = torch.Generator().manual_seed(2)
    for layer in student.changed.values():
        layer.up.data.normal_(std=0.1, generator=generator)
    student.network.eval()
    return student


def logits(student: Student, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return student.network(torch.tensor([ids])).logits[0]


def plain_logits(base: Path, ids: list[int], weights: dict[str, torch.Tensor] | None = None) -> torch.Tensor:
    """Of the network without any adapter, with its own weights or others."""
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    if weights is not None:
        plain.load_state_dict(weights)
    with torch.inference_mode():
        return plain(torch.tensor([ids])).logits[0]


def test_a_new_adapter_changes_nothing(tiny_base: Path) -> None:
    student = Student(tiny_base, CONFIG, dtype=torch.float32)
    student.network.eval()
    torch.testing.assert_close(logits(student, [5, 6, 7]), plain_logits(tiny_base, [5, 6, 7]), rtol=0, atol=0)


@pytest.mark.parametrize(("layers", "changed"), [(0, 2), (1, 1)])
def test_only_the_low_rank_weights_train_and_their_number_is_that_of_the_formula(
    tiny_base: Path, layers: int, changed: int
) -> None:
    student = Student(tiny_base, CONFIG.model_copy(update={"layers": layers}))
    hidden, narrow = 48, 2 * 8
    assert student.n_trained == changed * CONFIG.rank * ((hidden + hidden) + (hidden + narrow))
    assert {name.rpartition(".")[2] for name in student.trained} == {"down", "up"}


def test_merging_leaves_the_logits(tiny_base: Path) -> None:
    student = a_student(tiny_base)
    unmerged = logits(student, [5, 6, 7, 8])
    assert (unmerged - plain_logits(tiny_base, [5, 6, 7, 8])).abs().max() > 0.1
    assert (plain_logits(tiny_base, [5, 6, 7, 8], student.weights()) - unmerged).abs().max() < 1e-3


def test_the_files_are_read_by_the_embedded_engine(tiny_base: Path, tmp_path: Path) -> None:
    student = a_student(tiny_base)
    student.write(tmp_path / "adapter", "tiny")
    ours = student.weights()
    theirs = merged(load_file(tiny_base / "model.safetensors"), tmp_path / "adapter")
    for name, weight in theirs.items():
        torch.testing.assert_close(ours[name], weight.float())


def test_a_layer_that_is_not_there_is_an_error(tiny_base: Path) -> None:
    with pytest.raises(SettingError, match="no linear layer 'query'"):
        Student(tiny_base, CONFIG.model_copy(update={"modules": ("query",)}))


@pytest.mark.parametrize("settings", [{"rank": 0}, {"alpha": 0}, {"dropout": 1.0}, {"batch_size": 0}])
def test_sizes_that_nothing_could_be_learned_with_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(settings))):
        LoraConfig.model_validate(settings)
