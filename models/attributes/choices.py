"""What consumers chose in training, after what, and what a trained base model makes of every other product there.

A language model is tuned so that its scores tell the product that was taken from others. Only training events come in
here, so nothing held out can reach the loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from models.backbones.histories import Histories
from models.backbones.sequences.network import SequenceNetwork
from models.backbones.sequences.windows import Asked, before

CHUNK = 256
"""Places that are looked at together."""


class BaseScores(NamedTuple):
    """The frozen base model's scores of all products at E places: state · vector + bias."""

    states: Tensor  # (E, d)
    vectors: Tensor  # (P, d)
    bias: Tensor  # (P,)

    def of(self, events: Tensor, products: Tensor) -> Tensor:
        """(n, K) of K products at n of the places."""
        return self.states[events] @ self.vectors[products].T + self.bias[products]


@dataclass(frozen=True, eq=False)
class Choices:
    """E training events before which the consumer had something."""

    taken: Tensor  # (E,) product, from 0
    history: Tensor  # (E, T) product numbers + 1 before it, latest at the right, 0 where there is none
    consumer: Tensor  # (E,)
    base: BaseScores
    had: csr_matrix  # (U, P) 1 where a consumer has the product among all training events

    @classmethod
    def of(cls, histories: Histories, length: int, base: SequenceNetwork) -> Self:
        """All choices of training histories, as the base model reads them: the last `length` events."""
        events = np.flatnonzero(histories.place > 0)
        consumer = histories.consumer[events]
        history = torch.from_numpy(before(histories, consumer, events, length))
        asked = Asked(history, torch.from_numpy(histories.who[consumer]), torch.from_numpy(histories.place[events]))
        taken = torch.from_numpy(histories.product[events])
        return cls(taken, history, torch.from_numpy(consumer), _base_scores(base, asked), histories.matrix())

    def __len__(self) -> int:
        return len(self.taken)

    @property
    def known(self) -> NDArray[np.intp]:
        """(K,) the products with a training event."""
        return np.flatnonzero(self.had.getnnz(0))

    def offered(self, events: Tensor, products: Tensor) -> Tensor:
        """(n, K) bool: which of K products n choices are among: the one that was taken, and what they never had."""
        had = torch.from_numpy(self.had[self.consumer[events].numpy()][:, products.numpy()].toarray() > 0)
        return ~had | (self.taken[events].unsqueeze(1) == products)

    def drawn(self, per_product: int, random: np.random.Generator) -> Tensor:
        """Event numbers, in order of the product, of up to so many random choices of each."""
        order = random.permutation(len(self))
        order = order[np.argsort(self.taken.numpy()[order], kind="stable")]
        taken = self.taken.numpy()[order]
        return torch.from_numpy(order[np.arange(len(order)) - np.searchsorted(taken, taken) < per_product])


@torch.no_grad()
def _base_scores(base: SequenceNetwork, asked: Asked) -> BaseScores:
    base.eval()
    parts = [
        base.last(asked.rows(slice(start, start + CHUNK)).trimmed()) for start in range(0, len(asked.history), CHUNK)
    ]
    every = torch.arange(1, base.table.n_products + 1)
    return BaseScores(torch.cat(parts), base.table(every).clone(), base.bias.detach().clone())
