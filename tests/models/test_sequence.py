"""The sequence model equals its equations, never looks ahead, learns an order, and survives saving."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from models.backbones.histories import Histories
from models.backbones.sequence import Sequence, SequenceConfig, SequenceNetwork, _candidates, windows
from models.base import RunContext
from models.training import seeded

TINY = SequenceConfig(embedding_size=4, n_layers=1, n_heads=2, length=3, dropout=0.5, epochs=60, batch_size=8)


def ring(n_consumers: int = 24, n_products: int = 6) -> Histories:
    """Everyone walks round the products in order, from another start: the next one is always the last plus 1."""
    consumer, step = (axis.ravel() for axis in np.meshgrid(np.arange(n_consumers), np.arange(4), indexing="ij"))
    return Histories.of(consumer, (consumer + step) % n_products, step.astype(float), n_consumers, n_products)


def norm(x: np.ndarray, layer: torch.nn.LayerNorm) -> np.ndarray:
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return scaled * layer.weight.detach().numpy() + layer.bias.detach().numpy()


def linear(x: np.ndarray, layer: torch.nn.Linear) -> np.ndarray:
    return x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


def by_hand(network: SequenceNetwork, history: list[int]) -> np.ndarray:
    """Log chances after one full history, written out event by event."""
    block = network.blocks[0]
    x = network.product.weight.detach().numpy()[history] + network.place.weight.detach().numpy()
    q, k, v = np.split(linear(norm(x, block.norm), block.qkv), 3, axis=-1)
    mixed = np.zeros_like(x)
    for place in range(len(history)):
        for head in (slice(0, 2), slice(2, 4)):
            match = np.array([q[place, head] @ k[other, head] / math.sqrt(2) for other in range(place + 1)])
            weight = np.exp(match) / np.exp(match).sum()
            mixed[place, head] = weight @ v[: place + 1, head]
    x = x + linear(mixed, block.out)
    hidden = linear(norm(x, block.inner[0]), block.inner[1])
    gelu = 0.5 * hidden * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2)))
    x = norm(x + linear(gelu, block.inner[3]), network.norm)
    logits = network.product.weight.detach().numpy()[1:] @ x[-1] + network.bias.detach().numpy()
    return logits - np.log(np.exp(logits).sum())


def test_the_network_equals_its_equations() -> None:
    with seeded(0):
        network = SequenceNetwork(5, TINY).eval()
    with torch.no_grad():
        network.bias += torch.arange(5) / 10
        found = network(torch.tensor([[2, 5, 1]]))[0].numpy()
    assert found == pytest.approx(by_hand(network, [2, 5, 1]), abs=1e-5)


def test_features_depend_on_the_past_alone_and_not_on_empty_places() -> None:
    with seeded(0):
        network = SequenceNetwork(9, TINY).eval()
    with torch.no_grad():
        one, other = network.features(torch.tensor([[1, 2, 3], [1, 2, 9]]))
        assert one[:2] == pytest.approx(other[:2], abs=1e-6)
        assert one[2] != pytest.approx(other[2], abs=1e-3)
        short, padded = network.features(torch.tensor([[4, 7]])), network.features(torch.tensor([[0, 4, 7]]))
    assert short[0] == pytest.approx(padded[0, 1:], abs=1e-6)
    assert torch.isfinite(padded).all()


def test_windows_hold_every_last_stretch_and_only_neighbours() -> None:
    rows = windows(ring(), 3, np.random.default_rng(0))
    assert rows.shape[1] == 4
    for row in rows:
        events = row[row > 0] - 1
        assert len(events) >= 2
        assert ((np.diff(events) % 6) == 1).all()
    assert len(rows) >= 24


def test_an_order_is_learned_and_the_same_seed_gives_the_same_scores() -> None:
    histories = ring()
    config = TINY.model_copy(update={"embedding_size": 16, "dropout": 0.1, "learning_rate": 1e-2})
    first, second = Sequence(config, RunContext(seed=1)), Sequence(config, RunContext(seed=1))
    first.fit(histories)
    second.fit(histories)
    scores = first.score(histories)
    wanted = (np.arange(24) + 4) % 6
    assert (scores.argmax(1) == wanted).mean() > 0.9
    assert np.array_equal(scores, second.score(histories))
    assert np.exp(scores).sum(1) == pytest.approx(1, abs=1e-4)


def test_a_sampled_softmax_estimates_the_whole_catalogues_sum() -> None:
    torch.manual_seed(0)
    target = torch.tensor([3, 7, 3])
    sums = []
    for _ in range(200):
        products, place, correction = _candidates(target, 100, 20)
        assert products[place].tolist() == [3, 7, 3]
        sums.append(float(((products + 1) * correction.exp()).sum()))
    assert np.mean(sums) == pytest.approx(5050, rel=0.05)
