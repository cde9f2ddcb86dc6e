"""A decision is read at the label's place, whatever the tokenizer, and is what the model would write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from features.errors import GenerationError
from models.llm.network import best_dtype
from models.lora.labels import Labels, Prompt, decisions, with_prior
from models.lora.low_rank import LoraConfig
from models.lora.rows import Row
from models.lora.student import Student
from models.lora.training import Trainer

CONFIG = LoraConfig(
    rank=8, dropout=0.0, modules=("q_proj", "k_proj", "v_proj", "o_proj"), batch_size=8, rate=2e-2, epochs=10
)


@pytest.fixture(scope="module")
def student(tiny_base: Path) -> Student:
    """One that has learned to answer in the form."""
    student = Student(tiny_base, CONFIG, seed=1, dtype=torch.float32)
    labels, rows = Labels.find(student.encode), []
    for n, prompt in enumerate(prompts(student, 24)):
        answer = [*labels.lead, *labels.of(n % 2 == 0), student.end]
        place = len(prompt.tokens) + len(labels.lead)
        rows.append(Row([*prompt.tokens, *answer], len(answer), decision=place))
    Trainer(student, rows, 1).run()
    student.network.eval()
    return student


def prompts(student: Student, n: int) -> list[Prompt]:
    """Every four share their beginning."""
    return [
        Prompt(
            tuple(student.encode(f"Consumer {row // 4} likes warm and sweet products.\n")),
            tuple(student.encode(f"Target {row}: {'warm' if row % 2 == 0 else 'cold'} product.\n")),
        )
        for row in range(n)
    ]


def test_the_label_token_is_found_through_the_tokenizer(student: Student) -> None:
    labels = Labels.find(student.encode)
    assert student.decode([*labels.lead, labels.yes]).startswith("Prediction: Y")
    by_letter = Labels.find(lambda text: [ord(letter) for letter in text])
    assert (by_letter.lead, by_letter.yes, by_letter.no) == (tuple(map(ord, "Prediction: ")), ord("Y"), ord("N"))


def test_labels_that_do_not_differ_in_a_token_are_an_error() -> None:
    with pytest.raises(GenerationError, match="do not differ"):
        Labels.find(lambda text: [ord(letter) for letter in text], yes=" No", no=" Nope")


def test_the_two_probabilities_add_up_to_one() -> None:
    logits = np.array([[2.0, -1.0], [800.0, -800.0], [0.0, 0.0]])
    yes, no = decisions(logits), decisions(logits[:, ::-1])
    np.testing.assert_allclose(yes.soft + no.soft, 1)
    assert yes.hard.tolist() == [1, 1, 1]
    assert no.hard.tolist() == [0, 0, 1]


def test_the_prior_moves_the_mean_and_not_the_order() -> None:
    soft = np.array([0.2, 0.5, 0.9])
    moved = with_prior(soft, 0.9)
    assert moved[1] == pytest.approx(0.9)
    np.testing.assert_allclose(np.log(moved / (1 - moved)) - np.log(soft / (1 - soft)), np.log(9))
    np.testing.assert_allclose(with_prior(soft, 0.5), soft)


def test_reading_a_shared_beginning_once_gives_the_networks_own_scores(student: Student) -> None:
    labels, asked = Labels.find(student.encode), prompts(student, 10)
    scorer = student.scorer(labels)
    soft = scorer.score(asked).soft
    for prompt, score in zip(asked, soft, strict=True):
        with torch.inference_mode():
            last = student.network(torch.tensor([[*prompt.tokens, *labels.lead]])).logits[0, -1]
        two = torch.stack([last[labels.yes], last[labels.no]]).softmax(0)
        assert score == pytest.approx(float(two[0]), abs=1e-3)
        row = Row([*prompt.tokens, *labels.lead, labels.yes], 1, decision=len(prompt.tokens) + len(labels.lead))
        assert student.decide([row], labels).soft[0] == pytest.approx(score, abs=1e-3)
    apart = sum(len(prompt.tokens) + len(labels.lead) for prompt in asked)
    assert scorer.n_tokens == apart - 7 * len(asked[0].shared)  # read for 3 consumers, not for 10 rows


def test_a_forced_label_is_the_one_that_is_written(student: Student) -> None:
    labels, asked = Labels.find(student.encode), prompts(student, 100)
    forced = student.scorer(labels).score(asked).hard
    written = student.writer().write(asked, 8)
    texts = [student.decode(tokens) for tokens in written]
    assert np.mean([text.startswith("Prediction: ") for text in texts]) > 0.9
    assert 0.1 < forced.mean() < 0.9
    agree = [text == f"Prediction: {'Yes' if hard else 'No'}" for text, hard in zip(texts, forced, strict=True)]
    assert np.mean(agree) >= 0.99


@pytest.mark.skipif(best_dtype("cpu") is not torch.bfloat16, reason="this processor does not compute in bf16")
def test_in_bf16_the_scorer_decides_as_the_network_that_is_trained(tiny_base: Path) -> None:
    """Changes stay beside the weights: added to bf16 weights, much of a small one would round away."""
    student = Student(tiny_base, CONFIG, seed=1, dtype=torch.bfloat16)
    labels, asked = Labels.find(student.encode), prompts(student, 8)
    generator = torch.Generator().manual_seed(3)
    for layer in student.changed.values():
        layer.up.data.normal_(std=0.02, generator=generator)
    rows = [Row([*p.tokens, *labels.lead, labels.yes], 1, len(p.tokens) + len(labels.lead)) for p in asked]
    trained, scored = student.decide(rows, labels).soft, student.scorer(labels).score(asked).soft
    assert np.abs(scored - trained).max() < 0.03
    layer = next(iter(student.changed.values()))
    lost = (layer.merged().bfloat16() - layer.merged()).norm() / (layer.merged() - layer.base.weight.float()).norm()
    assert lost > 0.02
