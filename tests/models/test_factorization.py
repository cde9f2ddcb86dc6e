"""The factorization finds planted structure, says how sure it is, and reads strangers from what is known of them."""

import math

import pytest
import torch

from models.backbones.bases import Basis, Features, unit_rows
from models.backbones.factorization import Belief, Factorization, FactorizationConfig, Ratings, joined
from models.backbones.gibbs import _TASTE, Side, _wishart_root
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
    return Ratings.of(consumer.flatten(), product.flatten(), rating.flatten()), truth, kind.unsqueeze(1)


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


def test_chances_are_those_of_the_ratings(halves):
    model, held, _ = halves
    belief = model.believe(model.consumers(held.consumer), model.products(held.product))
    given = held.levels[held.level]
    for stars in (2.0, 3.0, 4.0):
        chance, happened = belief.at_least(torch.tensor(stars)), (given >= stars).float()
        open_ones = (chance > 0.2) & (chance < 0.8)
        assert open_ones.sum() > 50
        assert happened[open_ones].mean().item() == pytest.approx(chance[open_ones].mean().item(), abs=0.12)
        assert happened[chance > 0.95].mean() > 0.93
    assert belief.at_least(torch.tensor([-9.0, 99.0])).tolist() == [[1, 0]] * len(held)


def test_beliefs_of_models_that_know_other_levels_are_joined():
    low = Belief(torch.tensor([1.0, 2.0]), torch.tensor([[0.25]]), torch.tensor([0.1]))
    high = Belief(torch.tensor([2.0, 5.0]), torch.tensor([[0.5]]), torch.tensor([0.2]))
    both = joined([low, high])
    assert both.levels.tolist() == [1, 2, 5]
    assert both.above.tolist() == [[0.25, 0], [1, 0.5]]
    assert both.mean.tolist() == [low.mean.item(), high.mean.item()] == [1.25, 3.5]


def test_the_deviation_covers_the_error(halves):
    model, held, truth = halves
    belief = model.believe(model.consumers(held.consumer), model.products(held.product))
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


def test_a_product_that_nobody_had_yet_is_not_taken_for_one_that_nobody_wants():
    """The more consumers have a product the more they like it; a new one is expected to be as good as what is rated."""
    with seeded(4):
        good = torch.randn(N_PRODUCTS)
        stars = 3 + good + 0.3 * torch.randn(N_CONSUMERS, N_PRODUCTS)
        had = (torch.rand(N_CONSUMERS, N_PRODUCTS) < (2 * good - 1).sigmoid()).flatten()
        consumer, product = torch.meshgrid(torch.arange(N_CONSUMERS), torch.arange(N_PRODUCTS), indexing="ij")
    ratings = Ratings.of(consumer.flatten()[had], product.flatten()[had], stars.flatten()[had])
    model = fitted(ratings)
    everybody = model.consumers(torch.arange(N_CONSUMERS))
    new = model.believe(everybody, model.new_products(N_CONSUMERS, ()))
    assert new.mean.mean().item() == pytest.approx(ratings.levels[ratings.level].mean().item(), abs=0.4)
    assert new.mean.mean() > stars.mean() + 0.3


def test_what_is_said_of_a_new_product_does_not_depend_on_its_company():
    with seeded(3):
        projection, weights = torch.randn(2000, 40), torch.randn(4, 40, 4)
        told = torch.randn(300, 2000)
    sizes = {"product.offset": torch.zeros(4, 4), "product.usual": torch.zeros(40), "product.weights.1": weights}
    groups = {"product.projection.0": projection, "product.weights.0": weights}
    model = Factorization(torch.arange(5.0), sizes | groups | {"product.precision": torch.eye(4).expand(4, 4, 4)})
    together = model.new_products(300, [told]).mean
    for n in (1, 2, 7, 63, 250):
        assert model.new_products(n, [told[:n]]).mean.equal(together[:, :n])


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


def test_how_far_tastes_spread_does_not_depend_on_where_a_chain_starts():
    """Six ratings of each consumer, at random: without a step of all vectors at once, a spread stays where it was."""
    ratings, _, _ = world()
    spreads = []
    for start in (0.03, 0.6):
        with seeded(5):
            few = ratings.take(torch.randperm(len(ratings))[: 6 * N_CONSUMERS])
            flat = Ratings(few.consumer, few.product, torch.randint(0, 5, (len(few),)), torch.arange(1.0, 6.0))
            config = QUICK.model_copy(update={"start": start, "sweeps": 120, "chains": 1})
            model = Factorization.fit(flat, Features(N_CONSUMERS), Features(N_PRODUCTS), config)
        tastes = [model.tensors[f"{side}.vectors"][..., 1:].std().item() for side in ("consumer", "product")]
        spreads.append(math.prod(tastes) ** 0.5)
    assert spreads[1] < 1.6 * spreads[0]


def test_a_stretch_leaves_the_prior_as_it_is():
    """Draws of Lambda from its prior, moved as the sampler moves them without any rating, are draws from it still."""
    moved = []
    with seeded(0):
        side = Side([Basis.of(torch.eye(4), 2)], 3, 0.1, 0.3)
        for _ in range(4000):
            side._root = _wishart_root(4.0, 0.1 * torch.eye(3))
            before = side._root[1].square().sum().log()
            by = float(torch.exp(0.5 * torch.randn(())))
            if torch.rand(()).log() < side.prior_of_stretch(_TASTE, by):
                side.stretch(_TASTE, by)
            moved.append(side._root[1].square().sum().log() - before)
    steps = torch.stack(moved)
    assert (steps != 0).float().mean() > 0.3
    assert steps.mean().abs() < 3 * steps.std() / len(steps) ** 0.5


def test_directions_are_found_in_double_precision_where_single_does_not_converge(monkeypatch):
    features, single = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.svd_lowrank

    def only_double(values, **settings):
        if values.dtype is torch.float32:
            raise torch.linalg.LinAlgError("The algorithm failed to converge")
        return single(values, **settings)

    monkeypatch.setattr(torch, "svd_lowrank", only_double)
    basis = Basis.of(features, 4)
    assert basis.scores.dtype is torch.float32
    torch.testing.assert_close(basis.scores @ basis.projection.T, features)


def test_rows_of_zeros_have_no_direction():
    assert unit_rows(torch.tensor([[1.0, 1.0], [0.0, 0.0]])).tolist() == [
        pytest.approx([1 / math.sqrt(2)] * 2),
        [0.0, 0.0],
    ]


def test_ratings_at_the_top_of_the_scale_still_tell_consumers_apart():
    """Nine in ten are five stars; how seldom a consumer gives one is found from six ratings."""
    with seeded(3):
        consumer, product = torch.meshgrid(torch.arange(N_CONSUMERS), torch.arange(N_PRODUCTS), indexing="ij")
        strict = torch.randn(N_CONSUMERS, 1)
        liked = strict + torch.randn(N_CONSUMERS, N_PRODUCTS) > -1.3
        seen = torch.rand(N_CONSUMERS * N_PRODUCTS) < 0.15
    stars = torch.where(liked, 5.0, 1.0).flatten()
    ratings = Ratings.of(consumer.flatten(), product.flatten(), stars)
    model, held = fitted(ratings.take(seen.nonzero().squeeze(1))), ratings.take((~seen).nonzero().squeeze(1))
    believed = model.believe(model.consumers(held.consumer), model.products(held.product)).mean
    best = 5 - 4 * torch.special.ndtr(-1.3 - strict).expand(-1, N_PRODUCTS).flatten()[~seen]
    flat = stars[seen].mean()
    assert error(believed, best) < 0.8 * error(flat, best)
