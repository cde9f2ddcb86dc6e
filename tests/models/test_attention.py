"""Attention over texts: exported weights sum to 1, absent texts weigh nothing, and without it the state stays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from models.backbones.attention import Alignment, TextAttention, TextSets
from models.training import seeded

D, WIDTH, HEADS, M = 8, 6, 2, 3


def sets() -> TextSets:
    """Three sets; the second has one text only, the third weights of its own."""
    keys = torch.randn(3, M, WIDTH, generator=torch.Generator().manual_seed(1))
    weights = torch.tensor([[1.0, 1, 1], [1, 0, 0], [0.9, 0.05, 0.05]])
    return TextSets(keys, weights.log())


def made(uniform: bool = False) -> tuple[Alignment, torch.Tensor, torch.Tensor]:
    """An alignment, states (2, 4, D) and the set that each attends to."""
    with seeded(0):
        alignment = Alignment(D, WIDTH, HEADS, 0.5, uniform).eval()
        return alignment, torch.randn(2, 4, D), torch.tensor([[0, 0, 1, 2], [1, 1, 0, 0]])


def test_weights_have_a_place_for_each_head_and_sum_to_one() -> None:
    alignment, states, place = made()
    weights = alignment(states, sets(), place).weights
    assert weights.shape == (2, HEADS, 4, M)
    assert weights.sum(-1).detach().numpy() == pytest.approx(1, abs=1e-6)
    assert weights[0, :, 2].tolist() == [[1, 0, 0]] * HEADS


def test_mixed_texts_are_those_of_the_formula() -> None:
    """softmax(q k' / sqrt(d / h) + log weight) v, head by head, then the output projection."""
    alignment, states, place = made()
    attention, texts = alignment.attention, sets()
    mixed, weights = attention(states, texts, place)
    q, keys = attention.query(states[0, 3]), texts.keys[2]
    k, v = attention.key(keys), attention.value(keys)
    parts = []
    for head in (slice(0, 4), slice(4, 8)):
        match = k[:, head] @ q[head] / 2 + texts.log_weights[2]
        parts.append(match.softmax(0) @ v[:, head])
    torch.testing.assert_close(mixed[0, 3], attention.out(torch.cat(parts)))
    torch.testing.assert_close(weights[0, 1, 3], match.softmax(0))


def test_the_full_width_weights_are_one_softmax_and_not_the_mean_over_heads() -> None:
    alignment, states, place = made()
    attention, texts = alignment.attention, sets()
    full = attention.full_width(states, texts, place)
    by_hand = (attention.key(texts.keys[0]) @ attention.query(states[0, 0]) / D**0.5).softmax(0)
    torch.testing.assert_close(full[0, 0], by_hand)
    assert (full[0, 0] - attention(states, texts, place).weights[0, :, 0].mean(0)).abs().max() > 1e-3


def test_without_the_output_projection_the_state_passes_through_norms_and_network() -> None:
    alignment, states, place = made()
    with torch.no_grad():
        alignment.attention.out.weight.zero_()
    x = functional.layer_norm(states, (D,), alignment.norm.weight, alignment.norm.bias)
    x = x + alignment.inner[3](torch.relu(alignment.inner[0](x)))
    expected = functional.layer_norm(x, (D,), alignment.last_norm.weight, alignment.last_norm.bias)
    torch.testing.assert_close(alignment(states, sets(), place).mixed, expected)


def test_uniform_weights_are_those_of_the_texts_alone() -> None:
    alignment, states, place = made(uniform=True)
    weights = alignment(states, sets(), place).weights
    assert weights[0, 0, 0].tolist() == pytest.approx([1 / 3] * 3)
    assert weights[0, 0, 3].tolist() == pytest.approx([0.9, 0.05, 0.05])


def test_every_part_is_trained() -> None:
    alignment, states, place = made()
    alignment(states, sets(), place).mixed.square().sum().backward()
    alignment(states, sets(), place).mixed[..., 0].sum().backward()
    assert [name for name, it in alignment.named_parameters() if it.grad is None or not it.grad.any()] == []


def test_a_set_is_the_same_in_any_company() -> None:
    alignment, states, place = made()
    together = alignment(states, sets(), place).mixed[1]
    alone = alignment(states[1:], sets(), place[1:]).mixed[0]
    np.testing.assert_allclose(together.detach(), alone.detach(), atol=1e-6)
    assert isinstance(alignment.attention, TextAttention)
