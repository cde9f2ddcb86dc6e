"""Acceptance 9: one forward pass of a list gives every expected number, with the right gradient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from features.errors import GenerationError
from features.settings import HostSettings
from models.attributes.asked import read_scores
from models.attributes.expected import expected_number
from models.attributes.listed import HIGH, LOW, Attribute, read_list
from models.attributes.written import ListForm
from models.llm.gguf import converted
from models.lora.low_rank import LoraConfig
from models.lora.student import Student

ATTRIBUTES = (Attribute(name="heat", description="how warm"), Attribute(name="noise", description="how loud"))


@pytest.fixture
def form(tiny_base: Path) -> ListForm:
    """Of a student whose changes do something."""
    student = Student(tiny_base, LoraConfig(rank=4, dropout=0.0), seed=1, dtype=torch.float32)
    generator = torch.Generator().manual_seed(2)
    for layer in student.changed.values():
        layer.up.data.normal_(std=0.1, generator=generator)
    return ListForm(student, ATTRIBUTES, 20)


def test_a_row_is_the_chat_and_the_list_with_the_numbers_places(form: ListForm) -> None:
    row, student = form.row("warm product " * 9, (10, 7)), form.student
    text, answer = student.decode(row.tokens), student.decode(row.tokens[-row.n_answer :])
    assert answer == "heat: 10\nnoise: 7\n<|im_end|>"
    assert "The attributes: heat, noise.<|im_end|>" in text
    assert "user\nwarm product warm pr<|im_end|>" in text
    assert [student.decode([row.tokens[aside.place]]) for aside in row.asides] == ["1", "7"]
    assert {student.decode([aside.token]) for aside in row.asides} == {"1"}
    assert read_scores([answer], ATTRIBUTES).values.tolist() == [10, 7]


def test_scores_are_rounded_into_the_list_and_kept_on_the_scale(form: ListForm) -> None:
    (row,) = form.rows(["warm"], np.array([[0.2, 6.6]], np.float32))
    assert read_scores([form.student.decode(row.tokens[-row.n_answer :])], ATTRIBUTES).values.tolist() == [LOW, 7]


def test_one_pass_reads_what_the_model_would_write_place_by_place(form: ListForm) -> None:
    rows, student = [form.row("warm product", (10, 7)), form.row("cold", (3, 1))], form.student
    with torch.no_grad():
        together = form.soft(rows, student.hidden(rows))
        for row, scores in zip(rows, together, strict=True):
            for aside, score in zip(row.asides, scores, strict=True):
                before = [*row.tokens[: aside.place]]
                first = student.network(torch.tensor([before])).logits[0, -1]
                then = student.network(torch.tensor([[*before, aside.token]])).logits[0, -1]
                digits = [student.encode(f": {n}")[-1] for n in range(10)]
                ends = [digits[0], student.encode("\n")[0]]
                alone = expected_number(first[digits[1:]].unsqueeze(0), then[ends].unsqueeze(0))
                assert score.item() == pytest.approx(alone.item(), abs=1e-4)
    np.testing.assert_allclose(form.scores(rows), together.numpy(), rtol=1e-5)


def test_the_gradient_reaches_the_low_rank_weights_alone_and_is_that_of_finite_differences(form: ListForm) -> None:
    rows, student = [form.row("warm product", (10, 7)), form.row("cold", (3, 1))], form.student

    def total() -> torch.Tensor:
        return form.soft(rows, student.hidden(rows)).square().sum()

    total().backward()
    moved = {name for name, it in student.network.named_parameters() if it.grad is not None and it.grad.any()}
    assert moved == set(student.trained)
    for weight in list(student.trained.values())[:4]:
        place = np.unravel_index(int(weight.grad.abs().argmax()), weight.shape)
        ends = []
        for step in (1e-2, -2e-2):
            weight.data[place] += step
            ends.append(total().item())
        weight.data[place] += 1e-2
        assert weight.grad[place].item() == pytest.approx((ends[0] - ends[1]) / 2e-2, rel=0.02, abs=1e-2)


@pytest.mark.slow
def test_the_embedded_models_tokenizer_writes_the_list_as_it_is_taught(tmp_path: Path) -> None:
    try:
        base = converted(HostSettings.from_environment().models)
    except GenerationError as error:
        pytest.skip(str(error))
    attributes = read_list("music_gear")
    form = ListForm(Student(base, LoraConfig(layers=1)), attributes, 200)
    row = form.row("A guitar", [1 + n % HIGH for n in range(len(attributes))])
    answer = list(row.tokens[-row.n_answer : -1])
    assert form.student.encode(form.student.decode(answer)) == answer
    scores = form.scores([row])
    assert ((scores >= LOW) & (scores <= HIGH)).all()
