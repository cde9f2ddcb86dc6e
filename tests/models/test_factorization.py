"""The factorization finds planted structure, says how sure it is, and reads strangers from what is known of them."""

import math

import pytest
import torch

from models.backbones.factorization import Factorization, FactorizationConfig, Ratings
from models.backbones.gibbs import Features, _wishart_root, unit_rows
from models.training import seeded

QUICK = FactorizationConfig(rank=3, side_rank=10, chains=2, sweeps=60, burn_in=20, samples=20)
N_CONSUMERS, N_PRODUCTS = 60, 40


def world(noise: float = 0.3) -> tuple[Ratings, torch.Tensor, torch.Tensor]:
    """All pairs of a world with biases and one taste; the products' taste is told by a feature. Truth (C, P)."""
    with seeded(0):
        taste, kind = torch.randn(N_CONSUMERS), torch.randn(N_PRODUCTS)
        truth = 3 + 0.5 * torch.randn(N_CONSUMERS, 1) + 0.5 * torch.randn(N_PRODUCTS) + taste.outer(kind)
        consumer, product = torch.meshgrid(torch.arange(N_CONSUMERS), torch.arange(N_PRODUCTS), indexing="ij")
        rating = truth + noise * torch.randn_like(truth)
    return Ratings(consumer.flatten(), product.flatten(), rating.flatten()), truth, kind.unsqueeze(1)


def fitted(ratings: Ratings, *groups: torch.Tensor, seed: int = 1) -> Factorization:
    with seeded(seed):
        return Factorization.fit(ratings, Features(N_CONSUMERS), Features(N_PRODUCTS, groups), QUICK)


def error(predicted: torch.Tensor, truth: torch.Tensor) -> float:
    return (predicted - truth).square().mean().sqrt().item()


@pytest.fixture(scope="module")
def halves():
    """A model of half of the pairs, and the other half."""
    ratings, truth, kind = world()
    with seeded(2):
        seen = torch.rand(len(ratings)) < 0.5
    return fitted(ratings.take(seen.nonzero().squeeze(1)), kind), ratings.take((~seen).nonzero().squeeze(1)), truth


def test_held_out_pairs_are_believed_far_better_than_by_biases(halves):
    model, held, truth = halves
    belief = model.believe(model.consumers(held.consumer), model.products(held.product))
    told = truth[held.consumer, held.product]
    assert error(belief.mean, told) < 0.3
    biases = truth.mean(1, keepdim=True) + truth.mean(0) - truth.mean()
    assert error(biases[held.consumer, held.product], told) > 0.6


def test_the_noise_is_found_and_the_deviation_covers_the_error(halves):
    model, held, truth = halves
    belief = model.believe(model.consumers(held.consumer), model.products(held.product))
    assert belief.noise.item() == pytest.approx(0.3, abs=0.05)
    inside = (belief.mean - truth[held.consumer, held.product]).abs() < 2 * belief.deviation
    assert 0.85 < inside.float().mean().item() <= 1


def test_a_product_without_ratings_is_believed_from_its_features():
    ratings, truth, kind = world()
    known = (ratings.product >= 10).nonzero().squeeze(1)
    model = fitted(ratings.take(known), kind)
    cold = torch.arange(10)
    taste_part = truth[:, :10] - truth[:, :10].mean(0)
    for vectors in (model.products(cold), model.new_products(10, (kind[:10],))):
        believed = torch.stack(
            [model.believe(model.consumers(torch.full((10,), c)), vectors).mean for c in range(N_CONSUMERS)]
        )
        assert error(believed - believed.mean(0), taste_part) < 0.4 * taste_part.std().item()


def test_a_new_product_is_believed_less_surely_than_a_known_one(halves):
    model, _, _ = halves
    known = model.believe(model.consumers(torch.tensor([0])), model.products(torch.tensor([0])))
    new = model.believe(model.consumers(torch.tensor([0])), model.new_products(1, (torch.zeros(1, 1),)))
    assert new.deviation > 1.5 * known.deviation


def test_a_new_consumer_is_believed_from_a_history():
    ratings, truth, kind = world()
    model = fitted(ratings.take((ratings.consumer >= 20).nonzero().squeeze(1)), kind)
    history = torch.arange(20).expand(20, 20)
    vectors = model.new_consumers((), history, truth[:20, :20], torch.ones(20, 20, dtype=torch.bool))
    rest = torch.arange(20, N_PRODUCTS)
    believed = torch.stack(
        [model.believe(vectors.rows(torch.full((len(rest),), c)), model.products(rest)).mean for c in range(20)]
    )
    assert error(believed, truth[:20, 20:]) < 0.5
    nothing = model.new_consumers((), history, truth[:20, :20], torch.zeros(20, 20, dtype=torch.bool))
    unsure = model.believe(nothing.rows(torch.tensor([0])), model.products(rest[:1]))
    sure = model.believe(vectors.rows(torch.tensor([0])), model.products(rest[:1]))
    assert unsure.deviation > 2 * sure.deviation


def test_the_same_seed_gives_the_same_draws():
    ratings, _, kind = world()
    first, second, other = (fitted(ratings, kind, seed=seed).tensors["tau"] for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_wishart_draws_have_the_right_mean():
    scatter = torch.tensor([[2.0, 0.5], [0.5, 1.0]])
    with seeded(0):
        roots = torch.stack([_wishart_root(7.0, scatter) for _ in range(4000)])
    torch.testing.assert_close((roots @ roots.mT).mean(0), 7 * scatter.inverse(), rtol=0.05, atol=0.1)


def test_rows_of_zeros_have_no_direction():
    assert unit_rows(torch.tensor([[1.0, 1.0], [0.0, 0.0]])).tolist() == [
        pytest.approx([1 / math.sqrt(2)] * 2),
        [0.0, 0.0],
    ]
