"""A sequence model: an encoder between two uses of one product table.

Methods that add to a state (preferences, guided columns) subclass `SequenceNetwork` and override `states`; those that
know more of products give it a table of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.backbones.sequences.bert4rec import BERT4Rec
from models.backbones.sequences.diffurec import DiffuRec
from models.backbones.sequences.encoders import Asks, Encoder, EncoderConfig
from models.backbones.sequences.gru4rec import GRU4Rec
from models.backbones.sequences.sasrec import SASRec
from models.backbones.sequences.windows import MASK, Asked

Kind = Literal["sasrec", "gru4rec", "bert4rec", "diffurec"]


def make_encoder(kind: Kind, config: EncoderConfig) -> Encoder:
    """The encoder of that kind."""
    kinds: dict[Kind, Callable[[EncoderConfig], Encoder]] = {
        "sasrec": SASRec,
        "gru4rec": GRU4Rec,
        "bert4rec": BERT4Rec,
        "diffurec": DiffuRec,
    }
    return kinds[kind](config)


class ProductTable(nn.Module):
    """A vector for each product, number 0 for none.

    Args:
        n_products: P.
        d: width.
        start: (P, d) what the vectors are at first; random without.
        trained: whether they change.
    """

    def __init__(self, n_products: int, d: int, start: Tensor | None = None, trained: bool = True) -> None:
        super().__init__()
        self.n_products = n_products
        self.rows = nn.Embedding(n_products + 1, d, padding_idx=0)
        self.rows.weight.requires_grad_(trained)
        with torch.no_grad():
            self.rows.weight[1:] = random_rows(n_products, d) if start is None else start

    def forward(self, numbers: Tensor) -> Tensor:
        """(..., d) of product numbers + 1; zero for 0."""
        vectors: Tensor = self.rows(numbers)
        return vectors


class SequenceNetwork(nn.Module):
    """Histories to log chances of each product to come next."""

    def __init__(self, table: ProductTable, encoder: Encoder) -> None:
        super().__init__()
        self.table, self.encoder = table, encoder
        self.bias = nn.Parameter(torch.zeros(table.n_products))

    def features(self, asked: Asked) -> Tensor:
        """(B, T, d): what is known at each place, of the product that the encoder's `asks` says."""
        vectors = self.table(asked.history.clamp(min=0))
        if asked.came is not None:
            return self.encoder.taught(vectors, asked.history, self.table(asked.came))
        result: Tensor = self.encoder(vectors, asked.history)
        return result

    def states(self, asked: Asked) -> Tensor:
        """(B, T, d): what products are compared with. Here the features alone."""
        return self.features(asked)

    def lesson(self, asked: Asked, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """States (N, d) at the places wanted (B, T) to learn from, and what is added to their loss: here nothing."""
        states = self.states(asked)[wanted]
        return states, states.new_zeros(())

    def logits(self, states: Tensor, products: Tensor) -> Tensor:
        """(N, K) of K products (numbers from 0) from states (N, d)."""
        return states @ self.table(products + 1).T + self.bias[products]

    def last(self, asked: Asked) -> Tensor:
        """(B, d): the state from which the next product is chosen."""
        return self.states(self.question(asked))[:, -1]

    def question(self, asked: Asked) -> Asked:
        """What the encoder reads to say what is next: a masked one gets a masked place at the end.

        The earliest event makes room for it where the history is as long as the encoder can read.
        """
        if self.encoder.asks is not Asks.MASKED:
            return asked
        mask = asked.history.new_full((len(asked.history), 1), MASK)
        history = torch.cat([asked.history, mask], dim=1)[:, -self.encoder.length :]
        return Asked(history, asked.consumer, asked.events + 1)

    def forward(self, asked: Asked) -> Tensor:
        """(B, P): log chance of each product to come next."""
        every = torch.arange(self.table.n_products, device=asked.history.device)
        return self.logits(self.last(asked), every).log_softmax(-1)


def text_rows(content: Tensor, d: int) -> Tensor:
    """(P, d) of products from their texts (P, d_t): the vectors themselves where the widths agree."""
    return content if content.shape[1] == d else projected(content, d)


def random_rows(n: int, d: int) -> Tensor:
    """(n, d) of a length around 1/2."""
    return torch.randn(n, d) * 0.5 * d**-0.5


def projected(content: Tensor, d: int) -> Tensor:
    """Text vectors (P, d_t) on their d directions of largest variance, as long as random rows are: (P, d)."""
    centred = content - content.mean(0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    kept = centred @ directions[:d].T
    return functional.pad(0.5 * kept / kept.norm(dim=1).mean().clamp(min=1e-9), (0, d - kept.shape[1]))
