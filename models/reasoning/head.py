"""ReasoningRec's fast head: what ratings say, what the student would say, and what that is worth."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from features.batch import CONTENT_WIDTH
from models.backbones.closeness import N_KERNELS
from models.backbones.inputs import Inputs
from models.backbones.preparation import N_BELIEF

CHUNK = 4096
_N_NUMERIC = 20


class Output(NamedTuple):
    """What the head says of B pairs."""

    rating: Tensor  # (B,) 0..1
    click: Tensor  # (B,) logit
    imitation: Tensor  # (B,) logit: what the student would say


class Imitation(nn.Module):
    """What the student would say, from what it reads: target, liked and disliked history, facets, numbers.

    Args:
        d: width of contents.
        hidden: width of the layer.
        contents: (P, 384) of products by number, zeros where there is none.
        liked_from: the bucket from which a rating counts as liked.
    """

    def __init__(self, d: int, hidden: int, contents: Tensor, liked_from: int) -> None:
        super().__init__()
        self.contents: Tensor
        self.register_buffer("contents", contents)
        self.liked_from = liked_from
        self.project = nn.Linear(CONTENT_WIDTH, d, bias=False)
        width = 3 * d + 4 + 2 * N_KERNELS + _N_NUMERIC
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, 1))

    def forward(self, inputs: Inputs) -> Tensor:  # (B,)
        target = inputs.table("content_row")  # (B, 384)
        liked = inputs.history_rating >= self.liked_from
        events = inputs.events
        told = self.contents[events.products].index_select(0, events.product)  # (E, 384), each event once
        sides = [events.seen.sums(share, told) for share in self._shares(inputs.history_mask, liked)]
        near = [functional.cosine_similarity(target, side, dim=-1, eps=1e-6).unsqueeze(1) for side in sides]
        counts = [(inputs.history_mask & kind).float().sum(1, keepdim=True).log1p() for kind in (liked, ~liked)]
        shown, pros, cons = (self.project(it) for it in (target, *sides))
        numbers = [inputs.consumer_numeric, inputs.product_numeric, inputs.closeness.flatten(1)]
        logit: Tensor = self.layers(torch.cat([shown, shown * pros, shown * cons, *near, *counts, *numbers], dim=1))
        return logit.squeeze(1)

    @staticmethod
    def _shares(mask: Tensor, liked: Tensor) -> tuple[Tensor, Tensor]:
        """Weights of the means over liked and over disliked events, each (B, L)."""
        pros, cons = (mask & liked).float(), (mask & ~liked).float()
        return pros / pros.sum(1, keepdim=True).clamp(min=1), cons / cons.sum(1, keepdim=True).clamp(min=1)


class Head(nn.Module):
    """Stars and liking from what ratings say, and what the student would say; the student's part can be absent.

    Args:
        d: width of contents.
        hidden: width of the layers.
        dropout: within them.
        contents: as of `Imitation`.
        liked_from: as of `Imitation`.
    """

    def __init__(self, d: int, hidden: int, dropout: float, contents: Tensor, liked_from: int) -> None:
        super().__init__()
        self.imitation = Imitation(d, hidden, contents, liked_from)
        width = _N_NUMERIC + N_BELIEF + 2 * N_KERNELS + 1
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, 2))
        self.trust = nn.Parameter(torch.ones(2))
        self.worth = nn.Parameter(torch.zeros(2))
        self.tutored: Tensor
        self.register_buffer("tutored", torch.tensor(False))

    def forward(self, inputs: Inputs) -> Output:
        imitation = self.imitation(inputs)
        # Outcomes say what the opinion is worth, and do not change it.
        opinion = imitation.detach().unsqueeze(1) * self.tutored
        numbers = [inputs.consumer_numeric, inputs.product_numeric, inputs.belief, inputs.closeness.flatten(1)]
        logits = self.layers(torch.cat([*numbers, opinion], dim=1)) + self.worth * opinion
        logits = logits + self.trust * inputs.belief[:, :2]
        return Output(logits[:, 0].sigmoid(), logits[:, 1], imitation)


class Examples(NamedTuple):
    """N rows to learn from."""

    inputs: Inputs
    rating: Tensor  # (N,) 0..1
    liked: Tensor  # (N,) 0 or 1
    taught: Tensor  # (N,) probability of the student, NaN where it was not asked


def outputs(head: Head, inputs: Inputs) -> Output:
    """What the head says of N pairs, chunk by chunk."""
    parts = [head(part.each()) for part in inputs.chunks(CHUNK)]
    return Output(*map(torch.cat, zip(*parts, strict=True)))
