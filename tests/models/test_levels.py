"""Ratings as ordered levels: what is read of any scale, where cut points settle, and how ratings pull."""

import pytest
import torch

from models.backbones.levels import MOST_LEVELS, Cuts, levels_of, nearest, pull
from models.training import seeded


def test_few_distinct_ratings_are_the_levels():
    levels = levels_of(torch.tensor([5.0, 1.0, 5.0, 3.0]))
    assert levels.tolist() == [1, 3, 5]
    assert nearest(torch.tensor([[1.0, 3.0], [5.0, 4.5]]), levels).tolist() == [[0, 1], [2, 2]]


def test_a_continuous_scale_becomes_levels_of_equally_many_ratings():
    ratings = torch.linspace(0, 1, 2000) ** 2
    levels = levels_of(ratings)
    assert len(levels) == MOST_LEVELS
    assert (levels[nearest(ratings, levels)] - ratings).abs().max() < 0.06
    assert torch.bincount(nearest(ratings, levels)).min() > 60


def test_one_rating_for_all_is_one_level():
    levels = levels_of(torch.full((9,), 4.0))
    cuts = Cuts(nearest(torch.full((9,), 4.0), levels), 1)
    assert levels.tolist() == [4]
    assert not cuts.scaled
    assert cuts.draw(torch.zeros(9), torch.tensor(1.0)).isfinite().all()


def drawn(n: int, ends: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What is expected of n latent values, and the levels that ends make of the values."""
    mean = torch.randn(n)
    return mean, torch.bucketize(mean + torch.randn(n), ends)


def test_inner_cut_points_settle_where_the_ratings_were_cut():
    true = torch.tensor([-1.5, -1.2, 0.9, 1.5])
    with seeded(0):
        mean, level = drawn(20_000, true)
        cuts = Cuts(level, 5)
        cuts.value[0], cuts.value[-1] = -1.5, 1.5  # the outer ones are the scale, and stay
        cuts.value[1:3] = torch.tensor([-0.5, 0.3])
        for _ in range(300):
            cuts.draw(mean, torch.tensor(1.0))
    assert cuts.value.tolist() == pytest.approx(true.tolist(), abs=0.05)


def test_latent_values_lie_between_the_ends_of_their_level_however_unlikely():
    with seeded(0):
        mean, level = torch.tensor([0.0, 9.0, -9.0, 30.0]), torch.tensor([1, 0, 2, 0])
        cuts = Cuts(torch.tensor([0, 1, 2]).repeat(50), 3)
        cuts._level = level
        latent = torch.stack([cuts.draw(mean, torch.tensor(4.0)) for _ in range(200)])
    low, high = cuts.value.tolist()
    assert (latent[:, [1, 3]] < low + 1e-4).all()
    assert (latent[:, 2] > high - 1e-4).all()
    assert ((latent[:, 0] > low) & (latent[:, 0] < high)).all()
    assert latent[:, 0].std() > 0.1


def test_a_level_that_no_rating_has_keeps_its_place_in_the_order():
    with seeded(0):
        cuts = Cuts(torch.tensor([0, 3]).repeat(100), 5)
        for _ in range(100):
            cuts.draw(torch.zeros(200), torch.tensor(1.0))
    assert (cuts.value.diff() > 0).all()
    assert cuts.value.isfinite().all()


@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_ratings_pull_as_the_likelihood_says(tau):
    cuts, level = torch.tensor([[-1.0, 0.2, 1.3]]), torch.tensor([0, 1, 2, 3])
    mean = torch.tensor([[0.3, -0.4, 2.0, 0.1]]).double().requires_grad_()
    ends = torch.tensor([-50.0, -1.0, 0.2, 1.3, 50.0]).double()
    below, above = (torch.special.ndtr((ends[level + up] - mean) * tau**0.5) for up in (0, 1))
    chance = above - below
    (first,) = torch.autograd.grad(chance.log().sum(), mean, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), mean)
    told = pull(mean.detach(), cuts, torch.tensor([tau]), level)
    torch.testing.assert_close(told.gradient, first.detach().float())
    torch.testing.assert_close(told.curvature, -second.float())
