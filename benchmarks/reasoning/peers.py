"""Peers without words: sequence models with a click head, and how often a product is liked.

Sizes as for the paper's baselines (hidden 16, lr 1e-3, dropout 0.1, L2 1e-5, early stopping, here after 10 epochs of at
most 60), with each event's label as an input, which the student sees too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.reasoning.data import Corpus, Pair
from models.base import RunContext
from models.metrics.ranking import auc
from models.training import LoopSettings, fit_module, seeded

Kind = Literal["gru", "sasrec"]
KINDS: tuple[Kind, ...] = ("gru", "sasrec")
HIDDEN, LENGTH, EPOCHS, PATIENCE = 16, 10, 60, 10


class SequenceClick(nn.Module):
    """History and target to the logit of a like."""

    def __init__(self, kind: Kind, n_products: int) -> None:
        super().__init__()
        self.kind = kind
        self.product, self.label = nn.Embedding(n_products, HIDDEN, padding_idx=0), nn.Embedding(2, HIDDEN)
        self.place, self.drop = nn.Embedding(LENGTH, HIDDEN), nn.Dropout(0.1)
        if kind == "gru":
            self.encoder: nn.Module = nn.GRU(HIDDEN, HIDDEN, batch_first=True)
        else:
            self.encoder = nn.TransformerEncoderLayer(HIDDEN, 2, 4 * HIDDEN, 0.1, batch_first=True)
        self.head = nn.Sequential(nn.Linear(3 * HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))

    def forward(self, history: Tensor, labels: Tensor, target: Tensor) -> Tensor:  # (B, L), (B, L), (B,) -> (B,)
        events = self.drop(self.product(history) + self.label(labels))
        if self.kind == "gru":
            state = self.encoder(events)[0][:, -1]
        else:
            state = self.encoder(events + self.place.weight)[:, -1]
        it = self.product(target)
        logit: Tensor = self.head(torch.cat([state, it, state * it], dim=1))
        return logit.squeeze(1)


def sequence_scores(
    kind: Kind, train: Sequence[Pair], valid: Sequence[Pair], test: Sequence[Pair], seed: int
) -> NDArray[np.float64]:
    """Logits of the test pairs by a model of the training pairs, its epoch chosen on valid."""
    number = {name: n for n, name in enumerate(sorted({p for pair in train for p, _ in _events(pair)}), 1)}
    with seeded(seed):
        model = SequenceClick(kind, len(number) + 1)
        learn, check = _tensors(train, number), _tensors(valid, number)
        liked = torch.tensor([float(pair.liked) for pair in train])

        def loss(rows: Tensor) -> Tensor:
            return functional.binary_cross_entropy_with_logits(model(*(part[rows] for part in learn)), liked[rows])

        def error() -> Tensor:
            return torch.tensor(1 - auc([pair.liked for pair in valid], model(*check).numpy()))

        settings = LoopSettings(EPOCHS, PATIENCE, 256, 1e-3, 1e-5, label=f"train {kind}")
        fit_module(model, len(train), loss, error, settings, RunContext(seed=seed))
        with torch.inference_mode():
            return np.asarray(model(*_tensors(test, number)).numpy(), np.float64)


def liked_share(corpus: Corpus, pairs: Sequence[Pair]) -> NDArray[np.float64]:
    """How many of the training consumers liked each target, drawn to the mean by five."""
    mean = float(np.mean([pair.liked for pair in corpus.train]))
    counts = [corpus.counts(pair.product, pair.consumer) for pair in pairs]
    return np.array([(n_liked + 5 * mean) / (n_known + 5) for n_liked, n_known in counts])


def own_share(pairs: Sequence[Pair]) -> NDArray[np.float64]:
    """How much of their history each consumer liked."""
    return np.array([np.mean([liked for _, liked in pair.history] or [0.5]) for pair in pairs])


def _events(pair: Pair) -> list[tuple[str, bool]]:
    return [*pair.history, (pair.product, pair.liked)]


def _tensors(pairs: Sequence[Pair], number: dict[str, int]) -> tuple[Tensor, Tensor, Tensor]:
    history, labels = torch.zeros(len(pairs), LENGTH, dtype=torch.long), torch.zeros(len(pairs), LENGTH).long()
    for row, pair in enumerate(pairs):
        for place, (product, liked) in enumerate(pair.history[-LENGTH:], LENGTH - min(LENGTH, len(pair.history))):
            history[row, place], labels[row, place] = number.get(product, 0), int(liked)
    return history, labels, torch.tensor([number.get(pair.product, 0) for pair in pairs])
