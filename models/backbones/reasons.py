"""Explanation codes as fields of a ranker: bought for the pair, composed from facets of both sides, or missing.

Source: LR-Recsys (Wang, Pan, Chen, arXiv 2502.16759), sections 3.2 and 8 of our reading; the composer is ours.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from features.batch import CODE_WIDTH
from models.backbones.fusion import softmax
from models.backbones.inputs import Inputs
from models.backbones.joint import Codes, Joint

Shown = Literal["full", "pos_only", "neg_only", "none"]
NO_FACET = 1e-4
"""Weight of the "no facet" slot beside real facets: small, so it matters only where a side has none."""


class Composer(nn.Module):
    """g_plus and g_minus: a code for a pair from the facets of both sides (section 8).

    Every facet of the consumer meets every facet of the product; a pair of facets counts by how well they match and by
    their weights. A "no facet" slot on each side lets one side speak where the other has nothing.
    """

    def __init__(self, width: int, inner: int = 32) -> None:
        super().__init__()
        self.no_facet = nn.Parameter(torch.zeros(2, 2, width))  # (side, stance, W)
        self.polarity = nn.Parameter(torch.randn(2, width) * 0.05)
        # Of a facet: what it matches with, then what it tells.
        self.consumer, self.product = nn.Linear(width, 2 * inner), nn.Linear(width, 2 * inner)
        self.out = nn.Sequential(nn.Linear(inner, width), nn.LayerNorm(width))

    def forward(self, inputs: Inputs, codes: Codes) -> tuple[Tensor, Tensor]:
        """Codes (B, 2, W) from those of both sides' facets, and whether there is any facet (B, 2)."""
        consumer_weights, product_weights = inputs.table("consumer_weights_row"), inputs.table("product_weights_row")
        known = (consumer_weights > 0).any(-1) | (product_weights > 0).any(-1)
        query, by_consumer = self._slots(self.consumer, self.no_facet[0], codes.consumer)
        key, by_product = self._slots(self.product, self.no_facet[1], codes.product)
        meet = _OneWithEach(inputs) if inputs.of_one else _Pairs(inputs)
        match = meet.dots(query, key) / query.shape[-1] ** 0.5  # (B, 2, M + 1, M + 1)
        match = match + _log_weights(consumer_weights).unsqueeze(-1) + _log_weights(product_weights).unsqueeze(-2)
        share = softmax(match.flatten(-2)).view_as(match)
        told = meet.sums(share, by_consumer, by_product)
        return self.out(functional.gelu(told)), known

    def _slots(self, side: nn.Linear, no_facet: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """What facets of one side match with and what they tell, each (D, 2, M + 1, inner), from codes (D, 2, M, W).

        A facet is projected once, however many rows have it; its polarity is added behind the projection.
        """
        facets = side(codes) + functional.linear(self.polarity, side.weight).unsqueeze(1)
        nothing = side(no_facet + self.polarity).unsqueeze(1).expand(len(facets), 2, 1, -1)
        match, tell = torch.cat([facets, nothing], dim=2).chunk(2, dim=-1)
        return match.contiguous(), tell.contiguous()


class _Pairs:
    """The facets of both sides of B pairs; slots as of `Meetings`."""

    def __init__(self, inputs: Inputs) -> None:
        self._met, self._shape = inputs.meetings, (len(inputs), 2)

    def dots(self, query: Tensor, key: Tensor) -> Tensor:
        """Of each slot of the consumer (D, 2, M + 1, inner) with each of the product: (B, 2, M + 1, M + 1)."""
        met, query = self._met, query.flatten(0, 2)
        dots = met.pairs.dots(query.index_select(0, met.consumer.place.flatten()), key.flatten(0, 2))
        return dots.view(*self._shape, -1, dots.shape[-1])

    def sums(self, share: Tensor, by_consumer: Tensor, by_product: Tensor) -> Tensor:
        """What the slots tell, with the shares of `dots`: (B, 2, inner)."""
        met, share = self._met, share.flatten(0, 1)
        told = met.consumer.sums(share.sum(-1), by_consumer.flatten(0, 2))
        return (told + met.product.sums(share.sum(-2), by_product.flatten(0, 2))).view(*self._shape, -1)


class _OneWithEach:
    """As `_Pairs`, of one consumer: there is no copy of their facets to be saved, and plain products are quicker."""

    def __init__(self, inputs: Inputs) -> None:
        self._who, self._what = inputs.distinct["consumer_codes_row"], inputs.distinct["product_codes_row"]

    def dots(self, query: Tensor, key: Tensor) -> Tensor:
        return torch.einsum("nsai,nsbi->nsab", self._who.each(query), self._what.each(key))

    def sums(self, share: Tensor, by_consumer: Tensor, by_product: Tensor) -> Tensor:
        told = torch.einsum("nsa,nsai->nsi", share.sum(-1), self._who.each(by_consumer))
        return told + torch.einsum("nsb,nsbi->nsi", share.sum(-2), self._what.each(by_product))


def _log_weights(weights: Tensor) -> Tensor:  # (B, 2, M) -> (B, 2, M + 1)
    slots = functional.pad(weights.clamp(min=0), (0, 1), value=NO_FACET)
    return slots.clamp(min=1e-12).log()


class Told(NamedTuple):
    """What the reasons of B pairs say."""

    fields: Tensor  # (B, 2, d)
    seen: Tensor  # (B, 2): 1 where there is a reason
    closeness: Tensor  # (B, 2 K): how many facets come how near, 0 where none was composed
    distillation: Tensor  # () loss of composed codes against bought ones
    reconstruction: Tensor  # () loss of stored codes from jointly trained ones; 0 without them, and out of training


class Reasons(nn.Module):
    """The fields e_plus and e_minus: bought code, else composed code, else "missing" (sections 3.2 and 8).

    Args:
        d: width of a field.
        shown: which codes are seen.
        dropout: how often a code is replaced by "missing" in training, and a bought code by the composed one.
        joint: whether codes are trained on with the ranker (`models/backbones/joint.py`).
    """

    def __init__(self, d: int, shown: Shown, dropout: float, joint: bool = False) -> None:
        super().__init__()
        self.dropout = dropout
        sides = {"full": (1, 1), "pos_only": (1, 0), "neg_only": (0, 1), "none": (0, 0)}[shown]
        self.register_buffer("shown", torch.tensor(sides, dtype=torch.bool), persistent=False)
        self.composer = Composer(CODE_WIDTH)
        self.adapter = nn.Linear(CODE_WIDTH, d)
        self.polarity = nn.Parameter(torch.randn(2, d) * 0.05)
        self.missing = nn.Parameter(torch.randn(2, d) * 0.05)
        self.joint = Joint(CODE_WIDTH) if joint else None

    def forward(self, inputs: Inputs) -> Told:
        codes, closeness, reconstruction = self._codes(inputs)
        composed, has_facets = self.composer(inputs, codes)
        pairs = inputs.distinct["pair_row"]
        bought = pairs.each(~pairs.values.isnan().any(-1))  # (B, 2)
        code, met, distillation = composed, has_facets, composed.new_zeros(())
        if bought.any():
            pair = pairs.each(codes.pair)  # (B, 2, W)
            # What is bought does not come to meet what is composed.
            distillation = distillation_loss(composed, pair.detach(), bought & has_facets & self.shown)
            use_pair = bought & ~(self._drawn(bought) & has_facets)
            code, met = torch.where(use_pair.unsqueeze(-1), pair, composed), has_facets & ~use_pair
        seen = (bought | has_facets) & self.shown & ~self._drawn(bought)
        near = closeness * (seen & met).unsqueeze(-1)  # (B, 2, K)
        fields = torch.where(seen.unsqueeze(-1), self.adapter(code) + self.polarity, self.missing)
        return Told(fields, seen.float(), near.flatten(1), distillation, reconstruction)

    def _codes(self, inputs: Inputs) -> tuple[Codes, Tensor, Tensor]:
        """The codes as the ranker sees them, how many of a pair come how near (B, 2, K), and what moving them loses."""
        stored, nothing = Codes.stored(inputs), inputs.closeness.new_zeros(())
        if self.joint is None:
            return stored, inputs.closeness, nothing
        moved: Codes = self.joint(stored)
        return moved, moved.closeness(inputs), self.joint.reconstruction(stored, moved) if self.training else nothing

    def _drawn(self, like: Tensor) -> Tensor:
        """True with the dropout's probability in training, else False."""
        if not self.training:
            return torch.zeros_like(like)
        return torch.rand(like.shape, device=like.device) < self.dropout


def distillation_loss(composed: Tensor, pair: Tensor, both: Tensor) -> Tensor:
    """MSE + (1 - cos) of composed against bought codes, mean over the codes where there are both; else 0."""
    distance = ((composed - pair) ** 2).mean(-1) + 1 - functional.cosine_similarity(composed, pair, dim=-1)
    return (distance * both).sum() / both.sum().clamp(min=1)
