"""Each encoder equals its equations, written out in numpy event by event, and sees what it may and nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from models.backbones.sequences.encoders import Block, EncoderConfig, Transformer
from models.backbones.sequences.expert import SequenceConfig, make_network
from models.backbones.sequences.network import Kind, SequenceNetwork
from models.backbones.sequences.windows import MASK, Asked
from models.training import seeded

TINY = SequenceConfig(embedding_size=4, n_layers=2, n_heads=2, length=3, dropout=0.5)
KINDS: tuple[Kind, ...] = ("sasrec", "gru4rec", "bert4rec", "diffurec")
CAUSAL: tuple[Kind, ...] = ("sasrec", "gru4rec")
Array = np.ndarray


def network_of(kind: Kind, n_products: int = 9) -> SequenceNetwork:
    """An untrained network whose norms and biases are not at their neutral values."""
    with seeded(0):
        network = make_network(n_products, TINY.model_copy(update={"encoder": kind})).eval()
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.dim() == 1:
                    parameter += 0.3 * torch.randn_like(parameter)
    return network


def ask(*history: int) -> Asked:
    return ask_all(history)


def ask_all(*histories: tuple[int, ...]) -> Asked:
    numbers = torch.tensor(histories)
    return Asked(numbers, torch.zeros(len(numbers), dtype=torch.int64), (numbers != 0).sum(1))


def array(tensor: torch.Tensor) -> Array:
    return tensor.detach().numpy()


def norm(x: Array, layer: nn.LayerNorm) -> Array:
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return scaled * array(layer.weight) + array(layer.bias)


def linear(x: Array, layer: nn.Linear) -> Array:
    return x @ array(layer.weight).T + array(layer.bias)


def gelu(x: Array) -> Array:
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def block_by_hand(x: Array, block: Block, causal: bool) -> Array:
    q, k, v = np.split(linear(norm(x, block.norm), block.qkv), 3, axis=-1)
    mixed = np.zeros_like(x)
    for place in range(len(x)):
        seen = place + 1 if causal else len(x)
        for head in (slice(0, 2), slice(2, 4)):
            weight = np.exp(np.array([q[place, head] @ k[other, head] / math.sqrt(2) for other in range(seen)]))
            mixed[place, head] = weight / weight.sum() @ v[:seen, head]
    x = x + linear(mixed, block.out)
    return x + linear(gelu(linear(norm(x, block.inner[0]), block.inner[1])), block.inner[3])


def transformer_by_hand(x: Array, transformer: Transformer, causal: bool) -> Array:
    x = x + array(transformer.place.weight)
    for block in transformer.blocks:
        x = block_by_hand(x, block, causal)
    return x


def sasrec_by_hand(network: SequenceNetwork, history: list[int]) -> Array:
    encoder = network.encoder
    return norm(transformer_by_hand(array(network.table.rows.weight)[history], encoder.transformer, True), encoder.norm)


def gru_by_hand(x: Array, gru: nn.GRU, layer: int) -> Array:
    """h' = (1 - z) n + z h, with reset gate r inside n: the form that torch documents."""
    w, u, b, c = (array(getattr(gru, f"{name}_l{layer}")) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    state, states = np.zeros(4), []
    for event in x:
        of_event, of_state = np.split(w @ event + b, 3), np.split(u @ state + c, 3)
        r, z = sigmoid(of_event[0] + of_state[0]), sigmoid(of_event[1] + of_state[1])
        state = (1 - z) * np.tanh(of_event[2] + r * of_state[2]) + z * state
        states.append(state)
    return np.array(states)


def gru4rec_by_hand(network: SequenceNetwork, history: list[int]) -> Array:
    x = array(network.table.rows.weight)[history]
    for layer in range(2):
        x = gru_by_hand(x, network.encoder.gru, layer)
    return linear(x, network.encoder.out)


def bert4rec_by_hand(network: SequenceNetwork, history: list[int]) -> Array:
    """The features where the history's end is masked, as it is when the next product is asked for."""
    encoder, vectors = network.encoder, array(network.table.rows.weight)
    x = np.stack([vectors[number] for number in history[1:]] + [array(encoder.mask)])
    x = transformer_by_hand(x, encoder.transformer, False)
    return norm(gelu(linear(x, encoder.head[0])), encoder.head[2])


@pytest.mark.parametrize(
    ("kind", "by_hand"), [("sasrec", sasrec_by_hand), ("gru4rec", gru4rec_by_hand), ("bert4rec", bert4rec_by_hand)]
)
def test_an_encoder_equals_its_equations(kind: Kind, by_hand) -> None:
    network, history = network_of(kind), [2, 5, 1]
    logits = array(network.table.rows.weight)[1:] @ by_hand(network, history)[-1] + array(network.bias)
    with torch.no_grad():
        found = network(ask(*history))[0].numpy()
    assert found == pytest.approx(logits - np.log(np.exp(logits).sum()), abs=1e-5)


@pytest.mark.parametrize("kind", CAUSAL)
def test_what_is_known_after_an_event_depends_on_nothing_later(kind: Kind) -> None:
    with torch.no_grad():
        one, other = network_of(kind).features(ask_all((1, 2, 3), (1, 2, 9)))
    assert one[:2] == pytest.approx(other[:2], abs=1e-6)
    assert one[2] != pytest.approx(other[2], abs=1e-3)


def test_a_masked_place_sees_both_sides_and_not_what_it_hides() -> None:
    with torch.no_grad():
        asked = ask_all((1, MASK, 3), (2, MASK, 3), (1, MASK, 4))
        base, before, after = network_of("bert4rec").features(asked)[:, 1]
    assert base != pytest.approx(before, abs=1e-3)
    assert base != pytest.approx(after, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_empty_places_change_nothing(kind: Kind) -> None:
    network = network_of(kind)
    with torch.no_grad():
        short, padded = network.features(ask(4, 7)), network.features(ask(0, 4, 7))
        nothing = network(ask(0, 0, 0))
    assert short[0] == pytest.approx(padded[0, 1:], abs=1e-6)
    assert torch.isfinite(padded).all()
    assert torch.isfinite(nothing).all()


@pytest.mark.parametrize("kind", KINDS)
def test_features_have_the_shape_of_the_history(kind: Kind) -> None:
    network = network_of(kind)
    assert network.features(ask_all((0, 4, 7), (1, 2, 3))).shape == (2, 3, 4)
    assert EncoderConfig.model_fields.keys() <= SequenceConfig.model_fields.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_is_tied_and_its_row_for_nothing_stays_zero(kind: Kind) -> None:
    network = network_of(kind)
    network(ask(0, 4, 7))[0, 0].backward()
    gradient = network.table.rows.weight.grad
    assert (gradient[0] == 0).all()
    assert (gradient[1:] != 0).any(1).all()
    assert (network.table.rows.weight[0] == 0).all()
