"""Platt scaling makes probabilities mean what they say; of two predictions the better mix is found."""

import pytest
import torch

from models.backbones.calibration import level, platt, share_of_step


def drawn(scale: float, shift: float, n: int = 20_000) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(n, generator=generator) * 2
    liked = torch.rand(n, generator=generator) < (scale * logits + shift).sigmoid()
    return logits, liked.float()


def test_the_scale_and_shift_that_made_the_outcomes_are_found():
    torch.testing.assert_close(platt(*drawn(0.5, -0.7)), torch.tensor([0.5, -0.7]), atol=0.05, rtol=0)


def test_what_is_calibrated_stays():
    torch.testing.assert_close(platt(*drawn(1.0, 0.0)), torch.tensor([1.0, 0.0]), atol=0.05, rtol=0)


def test_one_sided_rows_do_not_run_away():
    value = platt(torch.tensor([2.0, 1.0, 3.0]), torch.ones(3))
    assert value.isfinite().all()
    assert value.abs().max() < 3


@pytest.mark.parametrize(("told", "share"), [(1.0, 1.0), (0.5, 0.5), (0.0, 0.0), (-1.0, 0.0), (2.0, 1.0)])
def test_a_step_is_followed_as_far_as_it_is_true(told, share):
    generator = torch.Generator().manual_seed(0)
    start, step, noise = (torch.randn(20_000, generator=generator) for _ in range(3))
    assert share_of_step(start, start + step, start + told * step + noise).item() == pytest.approx(share, abs=0.02)


def test_no_step_is_followed_in_full():
    assert share_of_step(torch.ones(3), torch.ones(3), torch.zeros(3)) == 1


def test_the_level_makes_the_mean_chance_the_share_that_is_liked():
    logits = torch.linspace(-3, 5, 2000)
    liked = (torch.arange(2000) % 4 == 0).float()
    assert (logits + level(logits, liked)).sigmoid().mean().item() == pytest.approx(0.25, abs=1e-3)
    for all_alike in (torch.zeros(50), torch.ones(50)):
        assert level(torch.randn(50), all_alike).isfinite()
