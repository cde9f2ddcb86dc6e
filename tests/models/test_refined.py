"""The refined embedding: equal width, frozen scores, exact parts, and the base model where attributes are zero."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.backbones.histories import Histories
from models.backbones.refined import RefinedConfig, RefinedNetwork
from models.backbones.sequences.encoders import EncoderConfig
from models.backbones.sequences.network import Kind, ProductTable, SequenceNetwork, make_encoder
from models.backbones.sequences.training import TrainingConfig, train
from models.backbones.sequences.windows import asked
from models.base import RunContext
from models.training import seeded

KINDS: tuple[Kind, ...] = ("sasrec", "gru4rec", "bert4rec", "diffurec")
WIDTHS = EncoderConfig(embedding_size=16, n_layers=1, n_heads=2, length=6, dropout=0.1)
SHORT = TrainingConfig(epochs=3, batch_size=16, learning_rate=1e-2)
N_PRODUCTS, M = 20, 4


def histories(seed: int = 0) -> Histories:
    rng = np.random.default_rng(seed)
    consumer, product = np.repeat(np.arange(30), 5), rng.integers(0, N_PRODUCTS, 150)
    return Histories.of(consumer, product, np.arange(150.0), 30, N_PRODUCTS)


def base_model(kind: Kind = "sasrec", n_products: int = N_PRODUCTS, widths: EncoderConfig = WIDTHS) -> SequenceNetwork:
    with seeded(1):
        network = SequenceNetwork(ProductTable(n_products, widths.embedding_size), make_encoder(kind, widths))
        torch.nn.init.normal_(network.bias, std=0.3)
        return network.eval()


def attribute_scores(n_products: int = N_PRODUCTS, m: int = M) -> torch.Tensor:
    scores = np.random.default_rng(5).normal(size=(n_products, m))
    return torch.from_numpy(((scores - scores.mean(0)) / scores.std(0)).astype(np.float32))


def refined(kind: Kind = "sasrec", **config: object) -> RefinedNetwork:
    return RefinedNetwork(base_model(kind), attribute_scores(), RefinedConfig(**config)).eval()


def learn(network: RefinedNetwork) -> RefinedNetwork:
    train(network, histories(), WIDTHS.length, SHORT, RunContext(seed=2))
    return network


def log_odds(network: SequenceNetwork) -> torch.Tensor:
    with torch.inference_mode():
        return network(asked(histories(), WIDTHS.length))


@pytest.mark.parametrize("kind", KINDS)
def test_width_and_size_are_those_of_the_base(kind: Kind) -> None:
    """Acceptance 2, at the sizes of a small real catalogue."""
    widths = EncoderConfig()
    base = base_model(kind, 500, widths)
    network = RefinedNetwork(base, attribute_scores(500, 12), RefinedConfig())
    assert network.table(torch.tensor([3])).shape == base.table(torch.tensor([3])).shape
    count = [sum(it.numel() for it in model.parameters()) for model in (base, network)]
    assert abs(count[1] / count[0] - 1) < 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_training_leaves_product_scores_and_moves_consumer_scores(kind: Kind) -> None:
    """Acceptance 3 and 6."""
    network = refined(kind)
    before = network.table.guided.detach().clone()
    question = asked(histories(), WIDTHS.length)
    with torch.no_grad():
        levels = network.taste_now(question).levels.clone()
    learn(network)
    with torch.no_grad():
        after = network.taste_now(question).levels
    assert torch.equal(network.table.guided.detach(), before)
    assert (after - levels).abs().max() > 1e-3
    assert torch.isfinite(log_odds(network)).all()


def test_product_scores_may_be_trained() -> None:
    network = refined(products="trained")
    before = network.table.guided.detach().clone()
    assert not torch.equal(learn(network).table.guided.detach(), before)


@pytest.mark.parametrize("kind", KINDS)
def test_without_attributes_it_is_the_base_on_reduced_products(kind: Kind) -> None:
    """Acceptance 4: the base model, each product vector projected on the first d - m principal directions."""
    base = base_model(kind)
    network = RefinedNetwork(base, torch.zeros(N_PRODUCTS, M), RefinedConfig()).eval()
    reduced = base_model(kind)
    with torch.no_grad():
        vectors = base.table.rows.weight
        _, _, directions = torch.linalg.svd(vectors, full_matrices=False)
        kept = directions[: WIDTHS.embedding_size - M]
        reduced.table.rows.weight.copy_(vectors @ kept.T @ kept)
    torch.testing.assert_close(log_odds(network), log_odds(reduced), atol=1e-5, rtol=1e-5)


def test_the_linear_map_starts_where_pca_does() -> None:
    torch.testing.assert_close(log_odds(refined(reduction="linear")), log_odds(refined()), atol=1e-5, rtol=1e-5)


def test_the_consumers_part_begins_as_the_weighted_mean_of_their_history() -> None:
    network = refined(recency=0.5)
    history = torch.tensor([[0, 0, 3, 7]])
    scores = attribute_scores()
    expected = (scores[6] + 0.5 * scores[2]) / 1.5
    torch.testing.assert_close(network.history_means(history)[0, -1], expected)
    torch.testing.assert_close(network.history_means(history)[0, 2], scores[2])
    assert not network.history_means(history)[0, :2].any()
    with torch.no_grad():
        taste = network.taste(asked(histories(), WIDTHS.length))
    assert not taste.shift.any()


def test_history_means_never_look_ahead() -> None:
    network = refined()
    one, other = torch.tensor([[4, 9, 2, 5]]), torch.tensor([[4, 9, 8, 1]])
    torch.testing.assert_close(network.history_means(one)[:, :2], network.history_means(other)[:, :2])


@pytest.mark.parametrize("kind", KINDS)
def test_parts_add_up_to_the_score(kind: Kind) -> None:
    """Acceptance 10: reduced part, bias and gain x level x product score, attribute by attribute."""
    network = learn(refined(kind))
    question = asked(histories(), WIDTHS.length)
    with torch.inference_mode():
        whole = network.logits(network.last(question), torch.arange(N_PRODUCTS))
        taste = network.taste_now(question)
        products, guided = network.table.parts(torch.arange(1, N_PRODUCTS + 1))
        each = (network.gain * taste.levels).unsqueeze(1) * guided
        parts = taste.reduced @ products.T + network.bias + each.sum(-1)
    torch.testing.assert_close(parts, whole, atol=1e-4, rtol=1e-4)


def test_gains_are_never_negative() -> None:
    network = refined()
    torch.testing.assert_close(network.gain, torch.ones(M))
    with torch.no_grad():
        network.raw_gain.fill_(-50.0)
    assert (network.gain >= 0).all()


def test_the_penalty_keeps_consumers_where_their_history_is() -> None:
    def drift(beta: float) -> float:
        network = learn(refined(beta=beta))
        with torch.inference_mode():
            return network.taste_now(asked(histories(), WIDTHS.length)).shift.square().mean().item()

    assert drift(1000.0) < 0.1 * drift(0.0)


def test_a_forgotten_product_has_its_attributes_alone() -> None:
    network = refined()
    network.table.forget(torch.tensor([4]))
    with torch.inference_mode():
        reduced, guided = network.table.parts(torch.tensor([5]))
    assert not reduced.any()
    assert torch.equal(guided[0], network.table.guided[5])


def test_controls_take_one_side_away() -> None:
    question = asked(histories(), WIDTHS.length)
    with torch.inference_mode():
        no_history = refined(consumers="absent").taste_now(question)
        assert not no_history.history.any()
        assert no_history.shift.any()
    learned_from_nothing = refined(products="absent").table
    assert learned_from_nothing.guided.requires_grad
    assert not torch.equal(learned_from_nothing.guided[1:], refined().table.guided[1:])
