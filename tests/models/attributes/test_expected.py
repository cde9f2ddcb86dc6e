"""Acceptance 9: the expected number is right, and a loss of the refined score has the right gradient."""

from __future__ import annotations

import pytest
import torch

from features.errors import GenerationError
from features.settings import HostSettings
from models.attributes.asked import Subject
from models.attributes.expected import ExpectedScores, expected_number
from models.attributes.listed import Attribute
from models.llm.weights import find_weights


def odds(*chances: float) -> torch.Tensor:
    return torch.tensor([chances], dtype=torch.float64).clamp(min=1e-30).log()


def test_a_sure_digit_is_its_number() -> None:
    for number in range(2, 10):
        first = odds(*(float(number == digit) for digit in range(1, 10)))
        assert expected_number(first, odds(0.5, 0.5)).item() == pytest.approx(number)


def test_ten_is_a_one_followed_by_a_zero() -> None:
    one = odds(1, *[0.0] * 8)
    assert expected_number(one, odds(0, 1)).item() == pytest.approx(1)
    assert expected_number(one, odds(1, 0)).item() == pytest.approx(10)
    assert expected_number(odds(0.5, 0, 0.5, *[0.0] * 6), odds(0.2, 0.8)).item() == pytest.approx(
        0.5 * (0.8 * 1 + 0.2 * 10) + 0.5 * 3
    )


def test_the_gradient_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    first, then = torch.randn(4, 9, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    consumer = torch.randn(4, dtype=torch.float64)

    def ranking_loss(first: torch.Tensor, then: torch.Tensor) -> torch.Tensor:
        """Of a positive against three negatives, whose attribute score is the model's expectation."""
        return torch.nn.functional.cross_entropy(
            (consumer * expected_number(first, then)).unsqueeze(0), torch.tensor([0])
        )

    first.requires_grad_(), then.requires_grad_()
    ranking_loss(first, then).backward()
    step = 1e-6
    for given in (first, then):
        for place in ((0, 0), (2, 1), (3, given.shape[1] - 1)):
            moved = torch.zeros_like(given)
            moved[place] = step
            up = [it.detach() + (moved if it is given else 0) for it in (first, then)]
            down = [it.detach() - (moved if it is given else 0) for it in (first, then)]
            numeric = (ranking_loss(*up) - ranking_loss(*down)) / (2 * step)
            assert given.grad[place].item() == pytest.approx(numeric.item(), abs=1e-8)
    assert torch.autograd.gradcheck(expected_number, (first, then))


@pytest.mark.slow
def test_the_embedded_model_gives_every_text_its_own_scores_in_range() -> None:
    try:
        find_weights()
    except GenerationError as error:
        pytest.skip(str(error))
    scorer = ExpectedScores(HostSettings.from_environment().models)
    attributes = (
        Attribute(name="humour", description="how funny it is"),
        Attribute(name="size", description="how big"),
    )
    subjects = [Subject("a", "A comedy full of jokes."), Subject("b", "A war film in which everybody dies. " * 9)]
    together = scorer.score(subjects, attributes)
    assert together.shape == (2, 2)
    assert ((together >= 1) & (together <= 10)).all()
    assert len(set(together.ravel().tolist())) == 4
    alone = scorer.score(subjects[1:], attributes[1:])
    assert alone[0, 0] == pytest.approx(together[1, 1], abs=0.05)  # bf16 sums depend on the batch
