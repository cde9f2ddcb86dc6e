"""The first products of a list ordered anew, by attention over preferences whose query holds the product.

LANE's weights are of a state, so all products offered to one consumer get the same (Zhao et al., arXiv 2407.02833,
whose weak point this mends; the layers are ours). Here state and product ask the preferences together, for the first N
products alone. The aligned network beneath is trained before and stays as it is; what is learned is a number for each
product, added to its log chance with a trust that is chosen on held-out events, 0 among the choices.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.backbones.attention import Alignment, Attended, TextSets
from models.backbones.histories import Histories
from models.backbones.sequences.aligned import AlignedNetwork, KnownTexts
from models.backbones.sequences.ranking import HeldOut
from models.backbones.sequences.training import Judge, TrainingConfig, places, train
from models.backbones.sequences.windows import Asked
from models.base import FitReport, RunContext

TRUSTS = (0.0, 0.25, 0.5, 1.0)
"""What is tried on held-out events; 0 leaves every list as it is."""
_EVENTS = 256
"""Events of a step that are learned from, drawn anew each time: each has N products to compare."""


class RerankConfig(TrainingConfig):
    """How many products are ordered anew, and how that is learned."""

    n_first: int = 0
    """N; 0 leaves every list as it is."""
    epochs: int = 6
    patience: int = 6
    learning_rate: float = 1e-3


class TargetAware(nn.Module):
    """State and product -> alignment with the consumer's preferences -> one number.

    Args:
        d: width of states and products.
        width: of the text vectors.
        n_heads, dropout, uniform: as in `Alignment`.
    """

    def __init__(self, d: int, width: int, n_heads: int, dropout: float, uniform: bool = False) -> None:
        super().__init__()
        self.join = nn.Linear(2 * d, d)
        self.alignment = Alignment(d, width, n_heads, dropout, uniform)
        self.out = nn.Linear(d, 1, bias=False)
        nn.init.zeros_(self.out.weight)  # at first every list stays as it is

    def forward(self, features: Tensor, products: Tensor, sets: TextSets, place: Tensor) -> tuple[Tensor, Attended]:
        """Numbers (B, N) of products (B, N, d) for features (B, d) with sets at places (B,), and what they took."""
        n_products = products.shape[1]
        both = torch.cat([features.unsqueeze(1).expand(-1, n_products, -1), products], dim=-1)
        attended: Attended = self.alignment(self.join(both), sets, place.unsqueeze(1).expand(-1, n_products))
        return self.out(attended.mixed).squeeze(-1), attended


class Reranked(NamedTuple):
    """B lists after their first N products were ordered anew."""

    log_chance: Tensor  # (B, P): the first N share what they had together
    first: Tensor  # (B, N) these products
    weights: Tensor  # (B, heads, N, m): what each product asked the preferences


class RerankedNetwork(AlignedNetwork):
    """An aligned network with its first N products ordered anew.

    Args:
        base: trained; nothing of it changes.
        aware: what orders them.
        n_first: N.
        asked_of: the texts that `aware` asks by number, where they are not the base's `known`: for controls.
    """

    trust: Tensor

    def __init__(
        self, base: AlignedNetwork, aware: TargetAware, n_first: int, asked_of: KnownTexts | None = None
    ) -> None:
        super().__init__(base.table, base.encoder, base.alignment)
        self.bias, self.known = base.bias, base.known
        self.aware, self.n_first, self.asked_of = aware, n_first, asked_of
        self.register_buffer("trust", torch.ones(()))

    def forward(self, asked: Asked) -> Tensor:
        """(B, P): log chance of each product to come next."""
        question = self.question(asked)
        features, event = self.features(question)[:, -1], self.event(question)[:, -1:]
        own, others = (_Placed.of(it, asked.consumer, event) for it in self._texts)
        return self._reranked(features, asked.history, own, others).log_chance

    def last_reranked(self, asked: Asked, sets: TextSets, place: Tensor) -> Reranked:
        """The lists of anybody with the sets at places (B,)."""
        texts = _Placed(sets, place)
        return self._reranked(self.features(self.question(asked))[:, -1], asked.history, texts, texts)

    def compared(self, asked: Asked, wanted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (E, N) of the first products, and the place (E,) among them of the one that came.

        Only events whose product is among the first N are left: no order of these brings another one up.

        Args:
            asked: B histories of known consumers.
            wanted: (B, T) places that are learned from.
            target: the product that came at each of them.
        """
        consumer, event = asked.consumer.unsqueeze(1).expand_as(wanted)[wanted], self.event(asked)[wanted].unsqueeze(1)
        own, others = (_Placed.of(it, consumer, event) for it in self._texts)
        with torch.no_grad():
            features = self.features(asked._replace(came=None))[wanted]  # a list that is shown knows nothing of it
            best, first = self._first(self._scores(features, own), _before(asked.history, wanted))
        came = first == target.unsqueeze(1)
        there = came.any(1)
        numbers, _ = self.aware(features[there], self.table(first[there] + 1), others.sets, others.place[there])
        return best[there] + numbers, came[there].int().argmax(1)

    @property
    def _texts(self) -> tuple[KnownTexts, KnownTexts]:
        """Of the base, and of what orders its lists."""
        return self.known_texts, self.asked_of or self.known_texts

    def _reranked(self, features: Tensor, had: Tensor, own: _Placed, others: _Placed) -> Reranked:
        log_chance = self._scores(features, own).log_softmax(-1)
        best, first = self._first(log_chance, had)
        numbers, attended = self.aware(features, self.table(first + 1), *others)
        shared = (best + self.trust * numbers).log_softmax(1) + best.logsumexp(1, keepdim=True)
        return Reranked(log_chance.scatter(1, first, shared), first, attended.weights)

    def _scores(self, features: Tensor, texts: _Placed) -> Tensor:
        """(B, P) of the base, from features (B, d)."""
        state = self.aligned(features.unsqueeze(1), texts.sets, texts.place.unsqueeze(1)).mixed.squeeze(1)
        return self.logits(state, torch.arange(self.table.n_products, device=state.device))

    def _first(self, scores: Tensor, had: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and products (B, N) that are ordered anew: not those of the histories (B, T), which no list shows."""
        kept = functional.pad(scores, (1, 0)).scatter(1, had.clamp(min=0), -torch.inf)[:, 1:]
        first = kept.topk(min(self.n_first, kept.shape[1])).indices
        return scores.gather(1, first), first


class _Placed(NamedTuple):
    """The texts of B consumers."""

    sets: TextSets  # S
    place: Tensor  # (B,)

    @classmethod
    def of(cls, known: KnownTexts, consumer: Tensor, event: Tensor) -> _Placed:
        """Those known of consumers (B,) before their events (B, 1)."""
        return cls(known.sets, known.place(consumer, event).squeeze(1))


def train_reranking(
    network: RerankedNetwork,
    histories: Histories,
    length: int,
    config: TrainingConfig,
    run: RunContext,
    held_out: HeldOut | None,
) -> FitReport:
    """Trains what orders the first products, and chooses its trust on what is held out; without that it is 1.

    A step takes up to `_EVENTS` events of its windows. The last `valid_loss` of the report is that with the trust.
    """
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.startswith("aware."))

    def lesson(window: Asked) -> Tensor:
        question, answer = places(window, network.encoder.asks, config.masked_share)
        wanted = _some(answer > 0)
        scores, came = network.compared(question, wanted, answer[wanted] - 1)
        return functional.cross_entropy(scores, came, reduction="sum") / max(1, len(came))

    judge = (lambda: held_out.ndcg(network, length, run.device)) if held_out else None
    report = train(network, histories, length, config, run, judge, lesson)
    return report if judge is None else replace(report, valid_loss=(*report.valid_loss, 1 - _trusted(network, judge)))


def _before(history: Tensor, wanted: Tensor) -> Tensor:
    """(E, T) what of histories (B, T) lies before each of the E wanted places, or is there; 0 elsewhere."""
    row, column = torch.nonzero(wanted, as_tuple=True)
    later = torch.arange(history.shape[1], device=history.device) > column.unsqueeze(1)
    return history[row].masked_fill(later, 0)


def _some(wanted: Tensor) -> Tensor:
    """Up to `_EVENTS` of the places that are wanted."""
    there = torch.nonzero(wanted)
    kept = there[torch.randperm(len(there), device=there.device)[:_EVENTS]]
    return torch.zeros_like(wanted).index_put_(tuple(kept.T), torch.ones((), dtype=torch.bool, device=wanted.device))


def _trusted(network: RerankedNetwork, judge: Judge) -> float:
    """Gives it the trust with the best NDCG@10, the smallest of equal ones, which is returned."""
    reached = []
    for trust in TRUSTS:
        network.trust.fill_(trust)
        with torch.no_grad():
            reached.append(judge())
    network.trust.fill_(TRUSTS[reached.index(max(reached))])
    return max(reached)
