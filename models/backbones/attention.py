"""Attention of states over a few keyed texts, with the weights that acted.

Source: LANE's semantic alignment (Zhao et al., arXiv 2407.02833; section IV of the authors' code): projections without
bias, heads, dropout on the weights, an output projection without bias. Ours: keys may be absent, may have weights of
their own, and may be narrower or wider than the states.

`fusion.FieldAttention` is the other one: all fields of a row attend to each other there, on sparse products.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class TextSets(NamedTuple):
    """S sets of m text vectors each."""

    keys: Tensor  # (S, m, w)
    log_weights: Tensor  # (S, m): added to what a text matches; -inf where there is none. One in each set is finite.

    def rows(self, chosen: Tensor) -> TextSets:
        """The chosen sets."""
        return TextSets(self.keys[chosen], self.log_weights[chosen])

    def to(self, device: str) -> TextSets:
        """The same on a device."""
        return TextSets(self.keys.to(device), self.log_weights.to(device))


class Attended(NamedTuple):
    """What B rows of T states took from their sets."""

    mixed: Tensor  # (B, T, d)
    weights: Tensor  # (B, heads, T, m), of each head summing to 1


class TextAttention(nn.Module):
    """h heads over the m texts of a set.

    Args:
        d: width of the states.
        width: w of the text vectors.
        n_heads: h.
        dropout: of the weights.
        uniform: whether every text weighs the same, whatever the state: the control of attention.
    """

    def __init__(self, d: int, width: int, n_heads: int, dropout: float, uniform: bool = False) -> None:
        super().__init__()
        self.n_heads, self.uniform = n_heads, uniform
        self.query, self.out = nn.Linear(d, d, bias=False), nn.Linear(d, d, bias=False)
        self.key, self.value = nn.Linear(width, d, bias=False), nn.Linear(width, d, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, sets: TextSets, place: Tensor) -> Attended:
        """Attends from states (B, T, d), each to the set at its place (B, T) among S."""
        used, place = torch.unique(place, return_inverse=True)  # a set is projected once, however many states have it
        keys, log_weights = sets.rows(used)
        query, key, value = (self._heads(part) for part in (self.query(states), self.key(keys), self.value(keys)))
        match = torch.einsum("bthc,btmhc->bthm", query, key[place]) / query.shape[-1] ** 0.5
        match = (0 * match if self.uniform else match) + log_weights[place].unsqueeze(2)
        weights = match.softmax(-1)  # (B, T, heads, m)
        mixed = torch.einsum("bthm,btmhc->bthc", self.dropout(weights), value[place]).flatten(2)
        return Attended(self.out(mixed), weights.transpose(1, 2))

    def full_width(self, states: Tensor, sets: TextSets, place: Tensor) -> Tensor:
        """(B, T, m): softmax(q k' / sqrt(d)) without a split into heads, which the authors explain with.

        These are not the mean of the heads' weights, and so not the weights that acted.
        """
        match = torch.einsum("btd,btmd->btm", self.query(states), self.key(sets.keys)[place])
        return (match / states.shape[-1] ** 0.5 + sets.log_weights[place]).softmax(-1)

    def _heads(self, x: Tensor) -> Tensor:
        """(..., d) as (..., heads, d / heads)."""
        return x.view(*x.shape[:-1], self.n_heads, -1)


class Alignment(nn.Module):
    """A state and what it took from its texts: residual, norm, point-wise network with its own residual, norm."""

    def __init__(self, d: int, width: int, n_heads: int, dropout: float, uniform: bool = False) -> None:
        super().__init__()
        self.attention = TextAttention(d, width, n_heads, dropout, uniform)
        self.norm, self.last_norm = nn.LayerNorm(d), nn.LayerNorm(d)
        self.inner = nn.Sequential(
            nn.Linear(d, d), nn.ReLU(), nn.Dropout(dropout), nn.Linear(d, d), nn.Dropout(dropout)
        )

    def forward(self, states: Tensor, sets: TextSets, place: Tensor) -> Attended:
        """Aligned states F (B, T, d) and the weights, as `TextAttention`."""
        mixed, weights = self.attention(states, sets, place)
        return Attended(self.after(states + mixed), weights)

    def after(self, states: Tensor) -> Tensor:
        """What follows the attention: (B, T, d)."""
        x = self.norm(states)
        result: Tensor = self.last_norm(x + self.inner(x))
        return result
