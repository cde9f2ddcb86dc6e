"""What the network sees of N pairs beside the platform's inputs, and what it knows of the products of histories."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from features.batch import CONTENT_WIDTH, FeatureBatch, Indexed, ProductBlock
from features.visuals import VisualTable
from models.backbones.factorization import Belief
from models.backbones.inputs import Inputs
from models.backbones.preparation import Preparation, numbers_of
from models.explain_rec.knowledge import N_PRIOR, KnowledgeBase


@dataclass(frozen=True, eq=False)
class Pairs:
    """N pairs as tensors."""

    inputs: Inputs
    visual: Tensor  # (N, w), zeros where there is none
    has_visual: Tensor  # (N,) bool
    prior: Tensor  # (N, N_PRIOR): what prototypes say where a consumer has no history, else zeros

    def rows(self, rows: Tensor) -> Pairs:
        """The chosen rows."""
        return Pairs(self.inputs.rows(rows), self.visual[rows], self.has_visual[rows], self.prior[rows])

    def __len__(self) -> int:
        return len(self.visual)


def pairs_of(
    preparation: Preparation,
    batch: FeatureBatch,
    belief: Belief,
    visuals: VisualTable | None,
    prior: NDArray[np.float32],
) -> Pairs:
    """A batch as the network sees it.

    Args:
        preparation: of the training rows.
        batch: N pairs.
        belief: what ratings alone say of them.
        visuals: looks by product id; None where vision is off.
        prior: (N, N_PRIOR) what prototypes say, as `priors_of` makes it.
    """
    visual, has_visual = np.zeros((len(batch), 0), np.float32), np.zeros(len(batch), bool)
    if visuals is not None:
        visual, has_visual = visuals.of_products(batch.products.product_ids)
    inputs = preparation.inputs(batch, belief)
    return Pairs(inputs, torch.from_numpy(visual), torch.from_numpy(has_visual), torch.from_numpy(prior))


def priors_of(knowledge: KnowledgeBase | None, batch: FeatureBatch) -> NDArray[np.float32]:
    """(N, N_PRIOR) what prototypes say of pairs whose consumer has no history; zeros for the others."""
    prior = np.zeros((len(batch), N_PRIOR), np.float32)
    rows = np.flatnonzero((batch.consumers.history_ids == "").all(1))
    if knowledge is not None and len(rows):
        prior[rows] = knowledge.priors(batch.consumers.take(rows), batch.products.take(rows))
    return prior


def as_strangers(batch: FeatureBatch, rows: NDArray[np.bool_]) -> FeatureBatch:
    """The batch with the consumers of some rows (N,) unknown but for what is told of them: no id, number or history."""
    who, column = batch.consumers, rows[:, None]
    return replace(
        batch,
        consumers=replace(
            who,
            consumer_ids=np.where(rows, "", who.consumer_ids),
            numeric=np.where(column, np.nan, who.numeric).astype(np.float32),
            history_ids=np.where(column, "", who.history_ids),
            history_ratings=np.where(column, np.nan, who.history_ratings).astype(np.float32),
            facet_codes=_absent(who.facet_codes, rows),
            facet_weights=_absent(who.facet_weights, rows),
        ),
        pairs=replace(batch.pairs, codes=_absent(batch.pairs.codes, rows)),
    )


def as_new(batch: FeatureBatch, rows: NDArray[np.bool_]) -> FeatureBatch:
    """The batch with the products of some rows (N,) as they come: described and looked at, and rated by nobody."""
    what = batch.products
    return replace(
        batch,
        products=replace(
            what,
            numeric=np.where(rows[:, None], np.nan, what.numeric).astype(np.float32),
            facet_codes=_absent(what.facet_codes, rows),
            facet_weights=_absent(what.facet_weights, rows),
        ),
        pairs=replace(batch.pairs, codes=_absent(batch.pairs.codes, rows)),
    )


def _absent(indexed: Indexed, rows: NDArray[np.bool_]) -> Indexed:
    return replace(indexed, index=np.where(rows, -1, indexed.index).astype(np.int32))


class Shelf(nn.Module):
    """Products by number, as histories name them; what was in no training row as a target has no text here."""

    content: Tensor  # (P, 384)
    has_text: Tensor  # (P,) bool
    attributes: Tensor  # (P, A), 0 = none
    visual: Tensor  # (P, w)
    has_visual: Tensor  # (P,) bool

    def __init__(self, n_products: int, n_attributes: int, visual_width: int) -> None:
        super().__init__()
        shapes = {"content": (CONTENT_WIDTH,), "visual": (visual_width,)}
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(n_products, *shape))
        for name in ("has_text", "has_visual"):
            self.register_buffer(name, torch.zeros(n_products, dtype=torch.bool))
        self.register_buffer("attributes", torch.zeros(n_products, n_attributes, dtype=torch.int64))

    def share(self, products: Tensor, attributes: Tensor) -> Tensor:
        """Whether each of the products (B, L) has each of the attributes (B, A): (B, L, A); none has attribute 0."""
        base = int(self.attributes.max()) + 1 if self.attributes.numel() else 1
        held = (torch.arange(len(self.attributes)).unsqueeze(1) * base + self.attributes)[self.attributes > 0]
        codes = products.unsqueeze(2) * base + attributes.unsqueeze(1)
        asked = (attributes > 0).unsqueeze(1) & (attributes < base).unsqueeze(1)
        if not len(held):
            return torch.zeros_like(codes, dtype=torch.bool)
        held = held.sort().values
        place = torch.searchsorted(held, codes).clamp(max=len(held) - 1)
        return (held[place] == codes) & asked

    def beneath(self, longer: Shelf) -> Shelf:
        """One of more products, whose first ones are these as they are here."""
        n, width = self.attributes.shape
        both = Shelf(len(longer.attributes), max(width, longer.attributes.shape[1]), longer.visual.shape[1])
        for name in ("content", "has_text", "visual", "has_visual"):
            getattr(both, name)[:] = torch.cat([getattr(self, name), getattr(longer, name)[n:]])
        both.attributes[:n, :width] = self.attributes
        both.attributes[n:, : longer.attributes.shape[1]] = longer.attributes[n:]
        return both

    @classmethod
    def of(cls, preparation: Preparation, products: ProductBlock, visuals: VisualTable | None) -> Self:
        """From the targets of the training rows."""
        first = np.unique(products.product_ids, return_index=True)[1]
        distinct = products.take(first)
        numbers, what = numbers_of(preparation.products, distinct.product_ids), preparation.product_inputs(distinct)
        attributes = what["attributes"][what["attribute_row"]]
        shelf = cls(len(preparation.products), attributes.shape[1], visuals.width if visuals is not None else 0)
        shelf.content[numbers] = what["content"][what["content_row"]]
        shelf.has_text[numbers] = what["content_row"] > 0
        shelf.attributes[numbers] = attributes
        if visuals is not None:
            values, present = visuals.of_products(preparation.products.ids)
            shelf.visual[1:], shelf.has_visual[1:] = torch.from_numpy(values), torch.from_numpy(present)
        return shelf
