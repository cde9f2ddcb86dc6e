"""What every encoder of histories is, and the transformer block that three of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.base import MethodConfig


class EncoderConfig(MethodConfig):
    """Widths of an encoder."""

    embedding_size: int = 64
    """d."""
    n_layers: int = 2
    n_heads: int = 2
    """Of the transformers; the recurrent network has none."""
    length: int = 50
    """T: how many of the last products are read."""
    dropout: float = 0.2


class Asks(Enum):
    """Which product the feature of a place stands for."""

    NEXT = "next"
    """The one that comes after it, at every place: it sees none later."""
    MASKED = "masked"
    """The one that stands there, at masked places."""
    LAST = "last"
    """The one that comes after it, at the last place alone: all places see all."""


class Encoder(nn.Module, ABC):
    """Product vectors of histories to what is known at each place."""

    asks: ClassVar[Asks] = Asks.NEXT

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.length = config.length

    @abstractmethod
    def forward(self, vectors: Tensor, history: Tensor) -> Tensor:
        """Features (B, T, d).

        Args:
            vectors: (B, T, d) of the products; zero where there is none or a mask.
            history: (B, T) their numbers + 1, latest at the right, 0 where there is none, MASK where it is asked for;
                T is at most the config's length. Features of places that stand for no product mean nothing.
        """

    def taught(self, vectors: Tensor, history: Tensor, came: Tensor) -> Tensor:
        """The same to learn from, where the vectors (B, d) of what came after the last places are known.

        Here they are not looked at.
        """
        result: Tensor = self(vectors, history)
        return result


class Block(nn.Module):
    """x + attention(norm(x)), then x + W2 gelu(W1 norm(x)): SASRec's equations 2 to 6 with the norms first."""

    def __init__(self, d: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm, self.qkv, self.out = nn.LayerNorm(d), nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.inner = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, d), nn.GELU(), nn.Linear(d, d))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, d) from (B, T, d); `mask` (B, 1, T, T) is True where a place (row) may look at another (column)."""
        b, length, d = x.shape
        q, k, v = self.qkv(self.norm(x)).view(b, length, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, mask)  # (B, heads, T, d / heads)
        x = x + self.dropout(self.out(mixed.transpose(1, 2).reshape(b, length, d)))
        result: Tensor = x + self.dropout(self.inner(x))
        return result


class Transformer(nn.Module):
    """Learned places, counted from the latest event, and blocks that see the places they may."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        d = config.embedding_size
        self.place = nn.Embedding(config.length, d)
        self.blocks = nn.ModuleList(Block(d, config.n_heads, config.dropout) for _ in range(config.n_layers))
        self.dropout = nn.Dropout(config.dropout)
        nn.init.normal_(self.place.weight, std=0.02)

    def forward(self, vectors: Tensor, seen: Tensor) -> Tensor:
        """(B, T, d); `seen` (B, T, T) is True where a place (row) may look at another one (column)."""
        length = vectors.shape[1]
        x = self.dropout(vectors + self.place.weight[len(self.place.weight) - length :])
        itself = torch.eye(length, dtype=torch.bool, device=seen.device)  # an empty place needs something to see
        mask = (seen | itself).unsqueeze(1)
        for block in self.blocks:
            x = block(x, mask)
        return x
