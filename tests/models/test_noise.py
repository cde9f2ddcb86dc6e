"""Consumers differ in how exactly they rate: it is found, counts in what is learned, and decides how bold to be."""

import pytest
import torch

from models.backbones.bases import Features
from models.backbones.factorization import Factorization, FactorizationConfig, Ratings
from models.backbones.noise import Noise
from models.training import seeded

N_CONSUMERS, N_PRODUCTS = 60, 40
QUICK = FactorizationConfig(rank=2, chains=1, sweeps=80, burn_in=30, samples=20)


@pytest.fixture(scope="module")
def whims() -> tuple[Ratings, Ratings, torch.Tensor]:
    """Half of the pairs of a world where every other consumer rates at whim; the other half; truth (C, P)."""
    with seeded(0):
        truth = 3 + 0.4 * torch.randn(N_CONSUMERS, 1) + torch.randn(N_CONSUMERS).outer(torch.randn(N_PRODUCTS))
        whim = torch.where(torch.arange(N_CONSUMERS) % 2 == 0, 0.2, 1.5).unsqueeze(1)
        stars = (truth + whim * torch.randn_like(truth)).mul(2).round().div(2).clamp(0.5, 5.5)
        seen = torch.rand(stars.numel()) < 0.5
        consumer, product = torch.meshgrid(torch.arange(N_CONSUMERS), torch.arange(N_PRODUCTS), indexing="ij")
    ratings = Ratings.of(consumer.flatten(), product.flatten(), stars.flatten())
    return ratings.take(seen.nonzero().squeeze(1)), ratings.take((~seen).nonzero().squeeze(1)), truth


def fitted(ratings: Ratings, alike: float) -> Factorization:
    with seeded(1):
        config = QUICK.model_copy(update={"alike": alike})
        return Factorization.fit(ratings, Features(N_CONSUMERS), Features(N_PRODUCTS), config)


def test_who_rates_at_whim_is_found_and_counts_for_less(whims):
    ratings, held, truth = whims
    told, alike = fitted(ratings, 10.0), fitted(ratings, 0.0)
    exactness = told.tensors["consumer.exactness"].mean(0)
    assert exactness[::2].min() > 1.5 * exactness[1::2].max()
    assert (alike.tensors["consumer.exactness"] == 1).all()
    means = [it.believe(it.consumers(held.consumer), it.products(held.product)).mean for it in (told, alike)]
    exact = held.consumer % 2 == 0
    errors = [(mean - truth[held.consumer, held.product])[exact].square().mean().sqrt().item() for mean in means]
    assert errors[0] < 0.9 * errors[1]


def test_who_rates_at_whim_is_told_less_boldly(whims):
    ratings, held, _ = whims
    model = fitted(ratings, 10.0)
    chance = model.believe(model.consumers(held.consumer), model.products(held.product)).at_least(torch.tensor(4.0))
    bold = (chance - 0.5).abs()
    assert bold[held.consumer % 2 == 0].mean() > 1.3 * bold[held.consumer % 2 == 1].mean()


def test_a_stranger_rates_as_exactly_as_consumers_do_on_average(whims):
    ratings, _, _ = whims
    model = fitted(ratings, 10.0)
    history, stars = torch.arange(5).expand(1, 5), torch.full((1, 5), 4.0)
    stranger = model.new_consumers((), history, stars, torch.ones(1, 5, dtype=torch.bool))
    assert stranger.exactness is None
    both = model.consumers(torch.tensor([0, 1])).replaced(torch.tensor([False, True]), stranger)
    assert both.exactness is not None
    assert (both.exactness[:, 1] == 1).all()
    torch.testing.assert_close(both.exactness[:, 0], model.tensors["consumer.exactness"][:, 0])


def test_the_prior_weighs_against_few_ratings():
    """Of one consumer with many exact ratings and one with a single, the first is the further from all others."""
    consumer = torch.tensor([0] * 200 + [1] + [2] * 200)
    error = torch.cat([torch.full((201,), 0.1), torch.full((200,), 1.0)])
    noise = Noise(consumer, 3, 10.0, True)
    with seeded(0):
        draws = []
        for _ in range(200):
            noise.draw(error)
            draws.append(noise.state()["consumer.exactness"])
    many, single, rough = torch.stack(draws).mean(0).tolist()
    assert rough < 0.5 < 0.8 < single < 1.5 < many
    torch.testing.assert_close(noise.precision, (noise.state()["tau"] * draws[-1])[consumer])


def test_where_the_scale_is_not_free_nothing_is_drawn():
    noise = Noise(torch.tensor([0, 1]), 2, 10.0, False)
    noise.draw(torch.tensor([0.1, 5.0]))
    assert noise.precision.tolist() == [1, 1]
