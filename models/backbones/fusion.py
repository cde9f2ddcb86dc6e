"""Fields to scores: attention over the fields, and the back ends that can follow it.

A back end sees the fields before and after attention and some plain numbers; all return two logits (stars, liking) and
start at zero, so that a new network says what it is added to.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.backbones.incidence import Incidence

Backend = Literal["mlp", "deepfm", "dcn", "din"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
N_HEADS = 2
"""Logits: stars, liking."""
_CROSS_RANK = 32
_CROSS_LAYERS = 2


class FieldAttention(nn.Module):
    """Multi-head attention over K fields, residual and LayerNorm (LR-Recsys, section 3.4)."""

    def __init__(self, n_fields: int, d: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv, self.out, self.norm = nn.Linear(d, 3 * d), nn.Linear(d, d), nn.LayerNorm(d)
        self.name = nn.Parameter(torch.randn(n_fields, d) * 0.05)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Z' (B, K, d) and the weight of each field, mean over heads and queries (B, K)."""
        n, k, d = z.shape
        z = z + self.name
        q, key, value = (part.reshape(n * k * self.n_heads, -1) for part in self.qkv(z).chunk(3, dim=-1))
        within = _within_rows(n, k, self.n_heads, z.device)
        weights = softmax(within.dots(q, key) / q.shape[-1] ** 0.5)  # A: (B K heads, K)
        mixed = within.sums(weights, value).view(n, k, d)
        return self.norm(z + self.out(mixed)), weights.view(n, -1, k).mean(1)


@lru_cache(maxsize=16)
def _within_rows(n: int, n_fields: int, n_heads: int, device: torch.device) -> Incidence:
    """Each head of each field of each row has that head of all fields of the row: (n K heads, K)."""
    things = torch.arange(n * n_fields * n_heads, device=device).view(n, 1, n_fields, n_heads)
    return Incidence(things.mT.expand(n, n_fields, n_heads, n_fields).reshape(-1, n_fields), things.numel())


def softmax(scores: Tensor) -> Tensor:
    """Over a last dimension of a few numbers: several times as fast as torch's own, which is made for long ones."""
    return scores.movedim(-1, 0).contiguous().softmax(0).movedim(0, -1)


def make_backend(
    kind: Backend, n_fields: int, d: int, n_numbers: int, hidden: Sequence[int], dropout: float
) -> nn.Module:
    """The back end of that kind: (z (B, K, d), fused (B, K, d), numbers (B, n_numbers)) -> logits (B, 2)."""
    make = {"mlp": MLP, "deepfm": DeepFM, "dcn": DCN, "din": MLP}[kind]
    return make(n_fields, d, n_numbers, hidden, dropout)


class MLP(nn.Module):
    """The fused fields, their dot products before fusion, and the numbers, through a multi-layer perceptron."""

    above: Tensor

    def __init__(self, n_fields: int, d: int, n_numbers: int, hidden: Sequence[int], dropout: float) -> None:
        super().__init__()
        pairs = torch.triu_indices(n_fields, n_fields, 1)
        above = functional.one_hot(pairs[0] * n_fields + pairs[1], n_fields**2).float().T / d**0.5
        self.register_buffer("above", above.contiguous(), persistent=False)  # (K K, K (K - 1) / 2)
        self.deep = _layers(n_fields * d + above.shape[1] + n_numbers, hidden, dropout)
        self.head = _head(hidden[-1])

    def forward(self, z: Tensor, fused: Tensor, numbers: Tensor) -> Tensor:
        dots = (z @ z.mT).flatten(1) @ self.above  # of each two fields; a product is quicker than choosing entries
        logits: Tensor = self.head(self.deep(torch.cat([fused.flatten(1), dots, numbers], dim=1)))
        return logits


class DeepFM(nn.Module):
    """First order + all dot products of fields + a multi-layer perceptron (Guo et al., IJCAI 2017, eq. 1)."""

    def __init__(self, n_fields: int, d: int, n_numbers: int, hidden: Sequence[int], dropout: float) -> None:
        super().__init__()
        width = n_fields * d + n_numbers
        self.first, self.deep = _head(width), _layers(width, hidden, dropout)
        self.second, self.head = _head(1), _head(hidden[-1])

    def forward(self, z: Tensor, fused: Tensor, numbers: Tensor) -> Tensor:
        flat = torch.cat([fused.flatten(1), numbers], dim=1)
        second = (z.sum(1).square() - z.square().sum(1)).sum(-1, keepdim=True) / 2  # sum over i < j of <z_i, z_j>
        logits: Tensor = self.first(flat) + self.second(second / z.shape[-1] ** 0.5) + self.head(self.deep(flat))
        return logits


class DCN(nn.Module):
    """Cross layers x' = x0 * (U V x + b) + x beside a perceptron (DCN-v2, Wang et al., WWW 2021, eq. 1 and 2)."""

    def __init__(self, n_fields: int, d: int, n_numbers: int, hidden: Sequence[int], dropout: float) -> None:
        super().__init__()
        width = n_fields * d + n_numbers
        self.down = nn.ModuleList(nn.Linear(width, _CROSS_RANK, bias=False) for _ in range(_CROSS_LAYERS))
        self.up = nn.ModuleList(nn.Linear(_CROSS_RANK, width) for _ in range(_CROSS_LAYERS))
        self.deep, self.head = _layers(width, hidden, dropout), _head(width + hidden[-1])

    def forward(self, z: Tensor, fused: Tensor, numbers: Tensor) -> Tensor:
        start = crossed = torch.cat([fused.flatten(1), numbers], dim=1)
        for down, up in zip(self.down, self.up, strict=True):
            crossed = start * up(down(crossed)) + crossed
        logits: Tensor = self.head(torch.cat([crossed, self.deep(start)], dim=1))
        return logits


class Dropout(nn.Module):
    """Leaves out numbers with probability p, to 1 / 256: random bytes cost a tenth of torch's random numbers."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.left_out = round(256 * p)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.left_out:
            return x
        eights = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device).random_(-(2**63), None)
        kept = eights.view(torch.uint8)[: x.numel()].view(x.shape) >= self.left_out
        return x * kept * (256 / (256 - self.left_out))


def _layers(width: int, hidden: Sequence[int], dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [nn.Linear(width, size), nn.ReLU(), Dropout(dropout)]
        width = size
    return nn.Sequential(*layers)


def _head(width: int) -> nn.Linear:
    head = nn.Linear(width, N_HEADS)
    nn.init.normal_(head.weight, std=0.01)
    nn.init.zeros_(head.bias)
    return head
