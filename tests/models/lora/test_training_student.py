"""Tuning learns answers and nothing of prompts, stops at the best epoch, and goes on where it was stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from features.errors import TrainingError
from models.lora.low_rank import LoraConfig
from models.lora.rows import Aside, Row
from models.lora.student import Student
from models.lora.training import STATE, Trainer

CONFIG = LoraConfig(
    rank=4, modules=("q_proj", "k_proj", "v_proj", "o_proj"), batch_size=4, rate=1e-2, epochs=2, save_every=1
)


def a_student(base: Path, config: LoraConfig = CONFIG) -> Student:
    return Student(base, config, seed=1, dtype=torch.float32)


def rows(student: Student, n: int = 12) -> list[Row]:
    """Prompts that say what to answer."""
    made = []
    for number in range(n):
        word, answer = ("warm", " Yes") if number % 2 else ("cold", " No")
        prompt = student.encode(f"The consumer likes {word} products {number}. Prediction:")
        label = student.encode(answer)
        made.append(Row([*prompt, *label, student.end], len(label) + 1, decision=len(prompt)))
    return made


def test_prompts_have_no_part_in_the_loss(tiny_base: Path) -> None:
    student = a_student(tiny_base)
    seen: list[torch.Tensor] = []

    def keep(_module: object, _given: object, hidden: torch.Tensor) -> None:
        hidden.retain_grad()
        seen.append(hidden)

    student.network.model.norm.register_forward_hook(keep)
    row = rows(student, 1)[0]
    student.loss([row])[0].backward()
    gradient = seen[0].grad[0].abs().sum(-1)
    first = len(row.tokens) - row.n_answer - 1  # the token before the answer predicts its first one
    assert (gradient[:first] == 0).all()
    assert (gradient[first:-1] > 0).all()


def test_the_decision_weighs_as_much_as_is_set(tiny_base: Path) -> None:
    whole, none = (a_student(tiny_base, CONFIG.model_copy(update={"decision_share": share})) for share in (1.0, 0.0))
    half = a_student(tiny_base)
    row = rows(half, 1)
    expected = (whole.loss(row)[0] + none.loss(row)[0]) / 2
    torch.testing.assert_close(half.loss(row)[0], expected)


def test_what_lies_below_the_changed_blocks_is_made_once_and_changes_nothing(tiny_base: Path) -> None:
    top = a_student(tiny_base, CONFIG.model_copy(update={"layers": 1, "dropout": 0.0}))
    made = rows(top, 4)
    first = top.loss(made)[0]
    assert torch.equal(top.loss(made)[0], first)
    with torch.inference_mode():
        longest = max(len(row.tokens) for row in made)
        ids = torch.tensor([[*row.tokens, *[0] * (longest - len(row.tokens))] for row in made])
        whole = top.network.model(input_ids=ids, use_cache=False).last_hidden_state
        kept = top.hidden(made)
    for row, expected, found in zip(made, whole, kept, strict=True):
        torch.testing.assert_close(found[: len(row.tokens)], expected[: len(row.tokens)], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layers", [0, 1])
def test_an_aside_reads_as_if_the_text_went_on_with_it_and_nothing_else_sees_it(tiny_base: Path, layers: int) -> None:
    student = a_student(tiny_base, CONFIG.model_copy(update={"layers": layers, "dropout": 0.0}))
    plain = rows(student, 3)
    tried = [replace(row, asides=(Aside(3, 40 + n), Aside(len(row.tokens) - 1, 50 + n))) for n, row in enumerate(plain)]
    with torch.no_grad():
        alone, beside = student.hidden(plain), student.hidden(tried)
        for n, row in enumerate(tried):
            length = len(row.tokens)
            torch.testing.assert_close(beside[n, :length], alone[n, :length], rtol=1e-4, atol=1e-4)
            for at, aside in enumerate(row.asides):
                other = student.hidden([Row([*row.tokens[: aside.place], aside.token], 1)])[0, -1]
                torch.testing.assert_close(beside[n, length + at], other, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(student.loss(tried)[0], student.loss(plain)[0])


def test_a_stopped_training_ends_in_the_same_adapter(tiny_base: Path, tmp_path: Path) -> None:
    def stop_at_four(_: str, done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    whole, parts = a_student(tiny_base), a_student(tiny_base)
    reached = Trainer(whole, rows(whole), 1, tmp_path / "whole").run()
    with pytest.raises(KeyboardInterrupt):
        Trainer(parts, rows(parts), 1, tmp_path / "parts").run(stop_at_four)
    again = a_student(tiny_base)
    resumed = Trainer(again, rows(again), 1, tmp_path / "parts").run()
    assert (resumed.steps, resumed.tokens, resumed.loss) == (6, reached.tokens, reached.loss)
    for name, weight in whole.trained.items():
        assert torch.equal(weight, again.trained[name])
        assert weight.abs().max() > 0


def test_a_state_of_other_rows_is_not_taken_up(tiny_base: Path, tmp_path: Path) -> None:
    first, second = a_student(tiny_base), a_student(tiny_base)
    Trainer(first, rows(first), 1, tmp_path).run()
    assert (tmp_path / STATE).exists()
    assert Trainer(second, rows(second, 8), 1, tmp_path).run().steps == 4


def test_the_best_epoch_is_kept_and_patience_ends_training(tiny_base: Path) -> None:
    config = CONFIG.model_copy(update={"epochs": 6, "patience": 2})
    student, after_first = a_student(tiny_base, config), dict[str, torch.Tensor]()
    given = iter([0.7, 0.6, 0.65, 0.9])

    def validate() -> float:
        score = next(given)
        if score == 0.7:
            after_first.update({name: p.detach().clone() for name, p in student.trained.items()})
        return score

    report = Trainer(student, rows(student), 1).run(validate=validate)
    assert (report.scores, report.best_epoch) == ((0.7, 0.6, 0.65), 1)
    assert all(torch.equal(student.trained[name], value) for name, value in after_first.items())


def test_training_learns(tiny_base: Path) -> None:
    student = a_student(tiny_base, CONFIG.model_copy(update={"epochs": 12}))
    trainer = Trainer(student, rows(student), 1)
    before = trainer.mean_loss(trainer.rows)
    trainer.run()
    assert trainer.mean_loss(trainer.rows) < 0.2 * before


def test_a_loss_that_is_no_number_stops_training(tiny_base: Path) -> None:
    student = a_student(tiny_base)
    next(iter(student.trained.values())).data.fill_(float("nan"))
    next(layer for layer in student.changed.values()).up.data.fill_(1.0)
    with pytest.raises(TrainingError, match="loss became nan"):
        Trainer(student, rows(student)).run()
