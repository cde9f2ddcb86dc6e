"""What a state should say about the product that came: a softmax over the catalogue, or one negative at a time."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.backbones.histories import Histories
from models.backbones.sequences.network import SequenceNetwork

LossKind = Literal["softmax", "one_negative"]
_REDRAWS = 20
"""How often negatives that the consumer has had are drawn again; one who had nearly everything keeps some."""


class Loss(Protocol):
    """Mean loss () of states (N, d) whose products (N,) and consumers (N,) are known."""

    def __call__(self, network: SequenceNetwork, states: Tensor, target: Tensor, consumer: Tensor) -> Tensor: ...


def make_loss(kind: LossKind, histories: Histories, max_candidates: int) -> Loss:
    """The loss of that kind for training on these histories."""
    return Softmax(max_candidates) if kind == "softmax" else OneNegative(histories)


class Softmax:
    """Cross-entropy over the whole catalogue, sampled where it is large (Klenitskiy and Vasilev, RecSys 2023)."""

    def __init__(self, max_candidates: int) -> None:
        self.max_candidates = max_candidates

    def __call__(self, network: SequenceNetwork, states: Tensor, target: Tensor, consumer: Tensor) -> Tensor:
        products, place, correction = candidates(target, network.table.n_products, self.max_candidates)
        return functional.cross_entropy(network.logits(states, products) + correction, place)


class OneNegative:
    """Binary cross-entropy of the product and of one that the consumer never had, drawn uniformly: SASRec, eq. 9."""

    def __init__(self, histories: Histories) -> None:
        self.n_products = histories.n_products
        self._had = torch.from_numpy(np.unique(histories.consumer * histories.n_products + histories.product))

    def __call__(self, network: SequenceNetwork, states: Tensor, target: Tensor, consumer: Tensor) -> Tensor:
        both = torch.stack([target, self.draw(consumer)], dim=1) + 1  # (N, 2)
        logits = (network.table(both) @ states.unsqueeze(-1)).squeeze(-1) + network.bias[both - 1]
        wanted = torch.tensor([1.0, 0.0], device=logits.device).expand_as(logits)
        return 2 * functional.binary_cross_entropy_with_logits(logits, wanted)

    def draw(self, consumer: Tensor) -> Tensor:
        """(N,) a product for each consumer (N,)."""
        drawn = torch.randint(self.n_products, consumer.shape, device=consumer.device)
        for _ in range(_REDRAWS):
            had = self._has_had(consumer, drawn)
            if not had.any():
                break
            drawn = torch.where(had, torch.randint_like(drawn, self.n_products), drawn)
        return drawn

    def _has_had(self, consumer: Tensor, product: Tensor) -> Tensor:
        known = self._had.to(consumer.device)
        key = consumer * self.n_products + product
        return known[torch.searchsorted(known, key).clamp(max=len(known) - 1)] == key


def candidates(target: Tensor, n_products: int, limit: int) -> tuple[Tensor, Tensor, Tensor]:
    """Products of a softmax (K,), the targets' places among them (N,), and what to add to their logits (K,).

    Up to the limit all products. Else the targets and a uniform sample of the others, whose share of the sum is
    scaled up to what the whole catalogue would add.
    """
    if n_products <= limit:
        products = torch.arange(n_products, device=target.device)
        return products, target, torch.zeros(n_products, device=target.device)
    own, place = torch.unique(target, return_inverse=True)
    sample = torch.randperm(n_products, device=target.device)[:limit]
    sample = sample[~torch.isin(sample, own)]
    weight = np.log((n_products - len(own)) / len(sample))
    correction = torch.cat([torch.zeros(len(own)), torch.full((len(sample),), weight)]).to(target.device)
    return torch.cat([own, sample]), place, correction
