"""The fast head: products fused from text and looks, a consumer's taste, evidence, and the tasks that share them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.backbones.inputs import RATING_BUCKETS
from models.backbones.preparation import N_BELIEF
from models.explain_rec.attribution import Attribution, Cells
from models.explain_rec.inputs import Pairs, Shelf
from models.explain_rec.knowledge import N_PRIOR
from models.explain_rec.vision import Fusion

N_NUMERIC = 20
BOUND = 0.9
"""Where reasons are shown, how much of them a remainder without reasons may take away or add: it never turns them."""


class Parts(NamedTuple):
    """Which of the four parts are there; none of them is TALLRec's mode."""

    attribution: bool
    knowledge_base: bool
    vision: bool
    multi_task: bool


class Output(NamedTuple):
    """What the network says of B pairs."""

    rating: Tensor  # (B,) 0..1
    click: Tensor  # (B,) logit
    opinion: Tensor  # (B,) logit: what the tuned language model would say
    ratings: Tensor  # (B,) what ratings alone add to `click`
    prior: Tensor  # (B,) what prototypes add to `click`; 0 where a consumer has a history
    cells: Cells  # what each piece of evidence adds to `click`; no column without attribution
    attributes: Tensor  # (B, A) logits of preferring each attribute of the target; no column without multi-task


class ExplainNetwork(nn.Module):
    """Logit of liking = what ratings say + what evidence adds + what prototypes add + a remainder.

    Where reasons are shown, the remainder is bounded by them.

    Args:
        shelf: what is known of products in histories.
        n_attributes: numbers of attribute values, 0 = unknown.
        parts: which parts are there.
        d: width of products.
        hidden: width of the layers.
        dropout: within them.
        modality_dropout: how often looks are taken for missing in training.
    """

    def __init__(
        self,
        shelf: Shelf,
        n_attributes: int,
        parts: Parts,
        d: int,
        hidden: int,
        dropout: float,
        modality_dropout: float,
    ) -> None:
        super().__init__()
        self.shelf, self.parts = shelf, parts
        self.fusion = Fusion(d, shelf.visual.shape[1], modality_dropout)
        self.felt = nn.Parameter(torch.linspace(-1, 1, RATING_BUCKETS))
        width = 3 * d + N_NUMERIC
        self.opinion = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, 1))
        width += N_BELIEF + 1 + int(parts.multi_task)
        self.trunk = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout))
        self.heads = nn.Linear(hidden, 2)
        nn.init.normal_(self.heads.weight, std=0.01)
        nn.init.zeros_(self.heads.bias)
        self.trust, self.worth = nn.Parameter(torch.ones(2)), nn.Parameter(torch.zeros(2))
        self.prior = nn.Linear(N_PRIOR, 1, bias=False) if parts.knowledge_base else None
        if self.prior is not None:
            nn.init.zeros_(self.prior.weight)
        self.tutored: Tensor
        self.register_buffer("tutored", torch.tensor(False))
        self.attribution = Attribution(d, n_attributes) if parts.attribution else None
        if parts.multi_task:
            self.taste, self.preferred = nn.Linear(d, d), nn.Embedding(n_attributes, d)
            self.usual = nn.Parameter(torch.zeros(n_attributes))
            nn.init.normal_(self.preferred.weight, std=0.2)

    def forward(self, pairs: Pairs) -> Output:
        inputs = pairs.inputs
        has_text = inputs.content_row > 0
        target = self.fusion(inputs.table("content_row"), has_text, pairs.visual, pairs.has_visual)  # (B, d)
        known = inputs.history_mask & (inputs.history > 0)
        events = self._products(inputs.history)  # (B, L, d)
        felt = self.felt[inputs.history_rating] * known
        state = torch.einsum("bl,bld->bd", felt, events) / known.sum(1, keepdim=True).clamp(min=1)
        seen = [target, state, target * state, inputs.consumer_numeric, inputs.product_numeric]
        opinion: Tensor = self.opinion(torch.cat(seen, dim=1)).squeeze(1)
        told = (opinion.detach() * self.tutored).unsqueeze(1)  # outcomes say what it is worth, and do not change it
        attributes = inputs.table("attribute_row")  # (B, A)
        preferences = self._preferences(state, attributes)
        seen += [inputs.belief, told]
        if self.parts.multi_task:
            seen.append(_mean(preferences, attributes > 0))
        rest = self.heads(self.trunk(torch.cat(seen, dim=1))) + self.worth * told  # (B, 2)
        ratings = self.trust * inputs.belief[:, :2]
        cells = self._cells(target, events, inputs.history, inputs.history_rating, known, attributes)
        prior = torch.zeros_like(ratings[:, 1]) if self.prior is None else self.prior(pairs.prior).squeeze(1)
        stars = ratings[:, 0] + rest[:, 0] if self.parts.multi_task else inputs.belief[:, 0]
        reasons, remainder = ratings[:, 1] + cells.total + prior, rest[:, 1]
        if self.parts.attribution:
            remainder = BOUND * reasons.abs() * remainder.tanh()
        click = reasons + remainder
        return Output(stars.sigmoid(), click, opinion, ratings[:, 1], prior, cells, preferences)

    def alignment(self, products: Tensor) -> Tensor:
        """How little looks and text of known products belong together: () from distinct numbers (B,)."""
        shelf = self.shelf
        both = shelf.has_text[products] & shelf.has_visual[products]
        return self.fusion.alignment(shelf.content[products], shelf.visual[products], both)

    @property
    def shared(self) -> list[nn.Parameter]:
        """Weights that every task uses."""
        return [*self.fusion.parameters(), self.felt]

    def _products(self, history: Tensor) -> Tensor:
        """(B, L, d): each product is fused once, however many histories it is in."""
        numbers, place = torch.unique(history, return_inverse=True)
        shelf = self.shelf
        parts = (shelf.content, shelf.has_text, shelf.visual, shelf.has_visual)
        fused: Tensor = self.fusion(*(part[numbers] for part in parts))
        return fused.index_select(0, place.flatten()).view(*history.shape, -1)

    def _cells(
        self, target: Tensor, events: Tensor, history: Tensor, opinion: Tensor, known: Tensor, attributes: Tensor
    ) -> Cells:
        if self.attribution is None:
            return Cells(target.new_zeros(*history.shape, 0))
        shared = self.shelf.share(history, attributes)
        cells: Cells = self.attribution(target, events, opinion, known, attributes, shared)
        return cells

    def _preferences(self, state: Tensor, attributes: Tensor) -> Tensor:
        if not self.parts.multi_task:
            return state.new_zeros(len(state), 0)
        near = torch.einsum("bd,bad->ba", self.taste(state), self.preferred(attributes))
        return near + self.usual[attributes]


def _mean(values: Tensor, there: Tensor) -> Tensor:
    """Mean of the values (B, A) that are there: (B, 1); 0 where there is none."""
    return (values * there).sum(1, keepdim=True) / there.sum(1, keepdim=True).clamp(min=1)
