"""The refined embedding: a trained sequence model's product vectors made narrower, beside attribute scores.

Source: Jia, Yuan, Wu, Zheng, arXiv 2504.11658: e^r = [reduced base ; guided] for products and consumers, the products'
guided part frozen, the consumers' trained, score(u, i) = <e_u^r, e_i^r>. Ours, where the paper is silent:

- The base model is turned, not started anew. Q (d, d) are the principal directions of its product vectors about the
  origin, since scores are dot products. The last m of them, which tell least, make room for the m attributes; encoder,
  dropout and norms stay as they were trained. So with the guided part at zero the refined model is the base model on
  reduced product vectors, exactly, and refined and base are equally wide.
- The consumer's guided part is a function of the history, so nobody needs a row of a table: the mean attribute score of
  past products, the recent ones counting more, plus a shift that the sequence state adds. The shift begins at zero.
- One gain per attribute, never negative: a consumer who is high on an attribute is drawn to products that are.
- Product vectors are sometimes left out in training, so that the attributes alone rank products nobody had yet (as in
  DropoutNet: Volkovs, Yu, Poutanen, NeurIPS 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from features.batch import Floats
from models.backbones.sequences.network import ProductTable, SequenceNetwork
from models.backbones.sequences.windows import Asked
from models.base import MethodConfig

PACE = 10.0
"""How much further a step takes gains and shifts than other numbers: few numbers must get far."""
Reduction = Literal["pca", "linear"]
Part = Literal["frozen", "trained", "absent"]


class RefinedConfig(MethodConfig):
    """How attributes and the base model are joined."""

    reduction: Reduction = "pca"
    """d -> d - m: `pca` of the base vectors, which then go on learning; `linear`: a learned map of the vectors, which
    stay as they are."""
    products: Part = "frozen"
    """The products' guided part: attribute scores, as they are or as a start; or numbers learned from nothing."""
    consumers: Part = "trained"
    """The consumers': history means plus a learned shift, without the shift, or the learned shift alone."""
    beta: float = 0.1
    """Of the penalty on the shift, squared: a consumer's part should stay what their history says."""
    recency: float = 0.9
    """Weight of an event's attribute scores relative to that of the next one."""
    product_dropout: float = 0.4
    """How often a product is scored by its attributes alone in training."""


@dataclass(frozen=True, eq=False)
class Products:
    """N products as the refined model sees them, less the mean of the catalogue it learned from."""

    reduced: Tensor  # (N, d - m)
    guided: Tensor  # (N, m)
    bias: Tensor  # (N,)

    def take(self, rows: NDArray[np.intp]) -> Products:
        """Some of them."""
        chosen = torch.from_numpy(rows.astype(np.int64))
        return Products(self.reduced[chosen], self.guided[chosen], self.bias[chosen])


class Terms(NamedTuple):
    """What adds up to the preference of N pairs."""

    base: Floats  # (N,)
    popularity: Floats  # (N,)
    attributes: Floats  # (N, m): gain x the consumer's level x the product's score

    @property
    def preference(self) -> Floats:
        """(N,)"""
        total: Floats = self.base + self.popularity + self.attributes.sum(1)
        return total


class RefinedTable(ProductTable):
    """A vector for each product: Q [reduced ; guided].

    Args:
        base: the trained model's table, (P + 1, d).
        guided: (P, m) attribute scores on a standard scale.
        config: what is learned.
    """

    def __init__(self, base: Tensor, guided: Tensor, config: RefinedConfig) -> None:
        nn.Module.__init__(self)
        self.n_products, d, m = len(base) - 1, base.shape[1], guided.shape[1]
        directions = _directions(base)
        self.basis: Tensor
        self.register_buffer("basis", directions)
        reduced = base @ directions[:, : d - m]
        self.scale: Tensor
        self.register_buffer("scale", reduced[1:].square().mean().sqrt())
        self.product_dropout = config.product_dropout
        if config.reduction == "pca":
            self.reduced, self.map = nn.Parameter(reduced), None
        else:
            self.reduced = nn.Parameter(base.clone(), requires_grad=False)
            self.map = nn.Parameter(directions[:, : d - m].clone())
        start = torch.randn_like(guided) if config.products == "absent" else guided
        scaled = self.scale * functional.pad(start, (0, 0, 1, 0))
        self.guided = nn.Parameter(scaled, requires_grad=config.products != "frozen")

    @property
    def m(self) -> int:
        """How many attributes there are."""
        return self.guided.shape[1]

    def parts(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Reduced (..., d - m) and guided (..., m) parts of product numbers + 1; zero for 0."""
        reduced = functional.embedding(numbers, self.reduced, padding_idx=0)
        if self.map is not None:
            reduced = reduced @ self.map
        if self.training and self.product_dropout:
            left_out = torch.rand(numbers.shape, device=numbers.device) < self.product_dropout
            reduced = reduced.masked_fill(left_out.unsqueeze(-1), 0.0)
        return reduced, functional.embedding(numbers, self.guided, padding_idx=0)

    def forward(self, numbers: Tensor) -> Tensor:
        """(..., d) of product numbers + 1, in the base model's coordinates."""
        return torch.cat(self.parts(numbers), dim=-1) @ self.basis.T

    def forget(self, products: Tensor) -> None:
        """Leaves products (K,), numbered from 0, their attributes alone: nobody had them."""
        with torch.no_grad():
            self.reduced[products + 1] = 0.0


class Taste(NamedTuple):
    """A consumer's parts at each place, leading axes (B, T)."""

    reduced: Tensor  # (..., d - m)
    history: Tensor  # (..., m) what the history says, in standard deviations
    shift: Tensor  # (..., m) what the state adds to it

    @property
    def levels(self) -> Tensor:
        """(..., m): the consumer's guided part."""
        return self.history + self.shift


class RefinedNetwork(SequenceNetwork):
    """A trained sequence model with refined product and consumer vectors.

    Args:
        base: what is refined; its encoder is taken over and goes on learning.
        guided: (P, m) attribute scores of the products on a standard scale (mean 0, spread 1).
        config: how.
    """

    table: RefinedTable

    def __init__(self, base: SequenceNetwork, guided: Tensor, config: RefinedConfig) -> None:
        super().__init__(RefinedTable(base.table.rows.weight.detach(), guided, config), base.encoder)
        self.config = config
        with torch.no_grad():
            self.bias.copy_(base.bias)
        m = guided.shape[1]
        self.raw_gain = nn.Parameter(torch.full((m,), 1.0).expm1().log() / PACE)  # so that gains begin at 1
        start = 1 / PACE if config.consumers == "absent" else 0.0
        self.raw_shift = nn.Parameter(torch.full((m,), start), requires_grad=config.consumers != "frozen")
        self.scores: Tensor
        self.register_buffer("scores", functional.pad(guided, (0, 0, 1, 0)))

    @property
    def gain(self) -> Tensor:
        """(m,) never negative."""
        return functional.softplus(PACE * self.raw_gain)

    @property
    def shift(self) -> Tensor:
        """(m,) how much of the state's coordinate is added to the consumer's level."""
        return PACE * self.raw_shift

    def taste(self, asked: Asked) -> Taste:
        """The consumers' parts at each place of their histories."""
        turned = self.features(asked) @ self.table.basis
        narrow = turned.shape[-1] - self.table.m
        reduced, free = turned[..., :narrow], turned[..., narrow:]
        history = self.history_means(asked.history)
        if self.config.consumers == "absent":
            history = torch.zeros_like(history)
        return Taste(reduced, history, self.shift * free)

    def taste_now(self, asked: Asked) -> Taste:
        """The consumers' parts (B, ...) from which the next product is chosen."""
        taste = self.taste(self.question(asked))
        return Taste(*(part[:, -1] for part in taste))

    def history_means(self, history: Tensor) -> Tensor:
        """(B, T, m): weighted means of the attribute scores of the products up to each place; 0 before the first."""
        return recent_means(history, self.scores, self.config.recency)

    def joined(self, reduced: Tensor, levels: Tensor) -> Tensor:
        """(..., d): the state of those parts, in the base model's coordinates; gains included."""
        return torch.cat([reduced, self.gain * levels], dim=-1) @ self.table.basis.T

    def terms(self, consumers: tuple[Tensor, Tensor], products: Products) -> Terms:
        """What adds up to the preference of N pairs: of reduced states (N, d - m) and levels (N, m), or of one each."""
        reduced, levels = consumers
        attributes = self.gain * levels * products.guided
        base = (reduced * products.reduced).sum(1)
        bias = products.bias.expand(len(attributes))
        return Terms(base.numpy(), bias.numpy(), attributes.detach().numpy())

    def states(self, asked: Asked) -> Tensor:
        """As `SequenceNetwork`."""
        taste = self.taste(asked)
        return self.joined(taste.reduced, taste.levels)

    def lesson(self, asked: Asked, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """As `SequenceNetwork`; the penalty is beta times the mean squared length of the shift."""
        taste = self.taste(asked)
        drift = taste.shift[wanted].square().sum(-1).mean()
        return self.joined(taste.reduced, taste.levels)[wanted], self.config.beta * drift


def recent_means(history: Tensor, scores: Tensor, recency: float) -> Tensor:
    """(B, T, m): weighted means of the scores of the products up to each place; 0 before the first.

    Args:
        history: (B, T) product numbers + 1, 0 where there is none.
        scores: (P + 1, m) the first row is of no product.
        recency: weight of an event's scores relative to that of the next one.
    """
    known = (history > 0).to(scores.dtype)
    places = torch.arange(history.shape[1], device=history.device)
    back = (places[:, None] - places[None, :]).to(scores.dtype)
    weight = torch.where(back >= 0, recency ** back.clamp(min=0), 0.0) * known.unsqueeze(1)
    total: Tensor = weight @ scores[history.clamp(min=0)]
    return total / weight.sum(-1, keepdim=True).clamp(min=1e-6)


def _directions(base: Tensor) -> Tensor:
    """(d, d) orthonormal columns: directions in which the product vectors (P + 1, d) are longest, longest first."""
    _, directions = torch.linalg.eigh(base.T @ base)
    return directions.flip(1).contiguous()
