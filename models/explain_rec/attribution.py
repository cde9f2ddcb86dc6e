"""Which of a consumer's products speak for or against a target, through which attributes, and how much.

Source: ExplainRec (Ma et al., arXiv 2511.14770), preference attribution: attributes with evidence, polarity and weights
that sum to 1. Ours: the attribution is a sum inside the decision and no text beside it. A cell is one product of the
history and one attribute that it shares with the target, or the product as a whole; cells are attended to, and each
adds its share times what the consumer thought of its product. What ratings alone say is one more term. So weights are
what was added, and taking evidence away changes the decision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.backbones.inputs import RATING_BUCKETS

RATINGS, WHOLE, PRIOR = "ratings", "similar products", "consumers alike"
"""The parts that are no attribute: what ratings alone say of the pair, products that resemble the target, and what
prototypes say where a consumer has no history."""
STRENGTH = 2.0
"""What evidence adds at the start if all of it is of the best rating."""


class Cells(NamedTuple):
    """What evidence adds to B decisions; A + 1 attributes of the target, the last one is "as a whole"."""

    added: Tensor  # (B, L, A + 1), 0 where there is no such evidence

    @property
    def total(self) -> Tensor:  # (B,)
        """All of it."""
        return self.added.sum((1, 2))


class Attribution(nn.Module):
    """Attention over cells.

    Args:
        d: width of products' vectors.
        n_attributes: numbers of attribute values, 0 = unknown.
    """

    def __init__(self, d: int, n_attributes: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(d, d, bias=False), nn.Linear(d, d, bias=False)
        self.importance = nn.Parameter(torch.zeros(n_attributes))
        self.whole, self.nothing = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))
        self.opinion = nn.Parameter(torch.linspace(-1, 1, RATING_BUCKETS))
        self.strength = nn.Parameter(torch.tensor(STRENGTH))

    def forward(
        self, target: Tensor, events: Tensor, opinion: Tensor, known: Tensor, attributes: Tensor, shared: Tensor
    ) -> Cells:
        """What each cell adds.

        Args:
            target: (B, d).
            events: (B, L, d) products of the history.
            opinion: (B, L) bucket of the rating.
            known: (B, L) where there is a product that is known.
            attributes: (B, A) of the target, 0 = none.
            shared: (B, L, A) where the product has the target's attribute.
        """
        match = torch.einsum("bd,bld->bl", self.query(target), self.key(events)) / target.shape[-1] ** 0.5
        by_attribute = match.unsqueeze(2) + self.importance[attributes].unsqueeze(1)
        scores = torch.cat([by_attribute, (match + self.whole).unsqueeze(2)], dim=2)  # (B, L, A + 1)
        there = torch.cat([shared & known.unsqueeze(2), known.unsqueeze(2)], dim=2)
        flat = scores.masked_fill(~there, -torch.inf).flatten(1)
        nothing = self.nothing.expand(len(flat), 1)  # keeps an empty history finite, and may be the best choice
        share = torch.cat([flat, nothing], dim=1).softmax(1)[:, :-1].view_as(scores)
        return Cells(self.strength * share * self.opinion[opinion].unsqueeze(2))


@dataclass(frozen=True)
class Reason:
    """One part of an attribution."""

    attribute: str
    """`name=value`, or `RATINGS`, `WHOLE` or `PRIOR`."""
    evidence: tuple[str, ...]
    """Products of the history it rests on, the strongest first; none for `RATINGS` and `PRIOR`."""
    polarity: int
    """+1 speaks for the target, -1 against."""
    weight: float
    """0..1; over all reasons of a pair they sum to 1."""


@dataclass(frozen=True)
class Attributed:
    """Why one pair was decided as it was; the weightiest reason first."""

    reasons: tuple[Reason, ...]
    liked: bool
    evidence: tuple[tuple[str, float], ...] = ()
    """What each product of the history added to the logit over all its cells, the most in favour first."""

    @property
    def leaning(self) -> float:
        """Weighted sum of the polarities, -1..1: what the reasons alone say."""
        return sum(reason.polarity * reason.weight for reason in self.reasons)

    @property
    def agrees(self) -> bool:
        """Whether the reasons say what was decided."""
        return (self.leaning >= 0) == self.liked

    def text(self, titles: Mapping[str, str], n_reasons: int = 2, n_evidence: int = 2) -> str:
        """One sentence on the weightiest reasons of the decided side; evidence without a title is left out."""
        side = [reason for reason in self.reasons if (reason.polarity > 0) == self.liked][:n_reasons]
        parts = [
            _worded(reason, [titles[it] for it in reason.evidence if it in titles][:n_evidence]) for reason in side
        ]
        decision = "You may like it" if self.liked else "You may not like it"
        return f"{decision}: {'; '.join(parts)}." if parts else f"{decision}: nothing in your history speaks of it."


def attributed(cells: Sequence[tuple[str, str, float]], others: Mapping[str, float], liked: bool) -> Attributed:
    """Groups what was added by attribute and side.

    Args:
        cells: (attribute, product of the history, what it adds).
        others: what is added without evidence of the history: `RATINGS` always, `PRIOR` perhaps.
        liked: the decision.
    """
    groups: dict[tuple[str, int], list[tuple[float, str]]] = {}
    products: dict[str, float] = {}
    for attribute, product, added in cells:
        products[product] = products.get(product, 0.0) + added
        if added:
            groups.setdefault((attribute, 1 if added > 0 else -1), []).append((abs(added), product))
    total = sum(map(abs, others.values())) + sum(size for group in groups.values() for size, _ in group)
    if not total:
        return Attributed((Reason(RATINGS, (), 1 if liked else -1, 1.0),), liked)
    reasons = [Reason(name, (), 1 if it > 0 else -1, abs(it) / total) for name, it in others.items() if it]
    for (attribute, polarity), group in groups.items():
        evidence = tuple(product for _, product in sorted(group, reverse=True))
        reasons.append(Reason(attribute, evidence, polarity, sum(size for size, _ in group) / total))
    strongest = tuple(sorted(products.items(), key=lambda item: -item[1]))
    return Attributed(tuple(sorted(reasons, key=lambda reason: -reason.weight)), liked, strongest)


def _worded(reason: Reason, evidence: Sequence[str]) -> str:
    if reason.attribute == RATINGS:
        return f"ratings speak {'for' if reason.polarity > 0 else 'against'} it"
    if reason.attribute == PRIOR:
        return f"consumers like you prefer {'such' if reason.polarity > 0 else 'other'} products"
    felt = "you liked" if reason.polarity > 0 else "you did not like"
    examples = f" ({', '.join(evidence)})" if evidence else ""
    if reason.attribute == WHOLE:
        return f"{felt} products like it{examples}"
    name, _, value = reason.attribute.partition("=")
    return f"{felt} products with {name} {value}{examples}"
