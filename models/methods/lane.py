"""LANE: a sequence model whose states attend over what is known of a consumer's preferences.

Source: Zhao, Zheng, Wu, Yu, Wang, "LANE: Logic Alignment of Non-tuning Large Language Models and Online Recommendation
Systems for Explainable Reason Generation", arXiv 2407.02833 (v1) and the authors' code. A frozen language model words
a consumer's preferences; the state of a sequence model attends over them, and its weights say which of them acted.

Deviations from the paper, all ours:
- the preferences are the consumer's facets, attractors and aversions alike, as explanation codes with weights and a
  mark of their side; where a consumer has none, a mark of that is attended to;
- an event that is learned meets the facets that were known before it (`windowed`), not those of the whole training
  period, which have seen it;
- products start from their title vectors on their directions of largest variance, since states are narrower than
  texts here; at width 384 they start from the vectors themselves;
- histories hold what was liked, so that what comes next is something liked too;
- cross-entropy over the catalogue (`loss = "one_negative"` is the published one), one cycle of the learning rate, and
  the epoch with the best NDCG@10 on the validation rows instead of the last one;
- the first products of a list may be ordered anew by attention whose query holds the product (`rerank`, off unless
  asked for);
- stars and the probability of liking are read from the chance to come next and from the means of both sides, by a
  ridge and a logistic regression on the validation rows.

Explanations in four steps are in `models/explanations/steps.py`, preferences worded from titles as published in
`models/explanations/preferences.py`. Not covered: products that no training row has (they are scored by the numbers
alone).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from features.batch import HISTORY_LENGTH, FeatureBatch, TrainingSet
from features.errors import ReleaseError, TrainingError
from features.types import RatingScale
from features.vocabulary import UNKNOWN
from models.backbones.attention import Alignment, TextSets
from models.backbones.histories import Numbers
from models.backbones.outcome import Design, Outcome, counts_at_rest
from models.backbones.preparation import Preparation, numbers_of
from models.backbones.sequences.aligned import AlignedNetwork, KnownTexts
from models.backbones.sequences.batches import (
    FACET_SLOTS,
    KEY_WIDTH,
    LikedEvents,
    contents,
    facet_sets,
    liked_events,
    liked_histories,
    next_liked,
)
from models.backbones.sequences.encoders import EncoderConfig
from models.backbones.sequences.network import (
    Kind,
    ProductTable,
    SequenceNetwork,
    make_encoder,
    text_rows,
)
from models.backbones.sequences.ranking import CHUNK, HeldOut
from models.backbones.sequences.reranking import RerankConfig, RerankedNetwork, TargetAware, train_reranking
from models.backbones.sequences.training import TrainingConfig
from models.backbones.sequences.training import train as train_network
from models.backbones.sequences.windows import Asked
from models.base import FitReport, MethodConfig, Recommender, RunContext, Scores, register
from models.threads import torch_threads
from models.training import seeded

Table = Literal["trained", "frozen", "random"]
_OUTCOME = "outcome."


class LaneConfig(EncoderConfig, TrainingConfig):
    """Backbone, alignment and training."""

    backbone: Kind = "sasrec"
    length: int = HISTORY_LENGTH
    """T: how many of the last products are read; a batch holds no more."""
    attention_heads: int = 4
    """h."""
    attention_dropout: float = 0.2
    explanations: Literal["full", "mean", "none"] = "full"
    """How facets are used: attended to, each with the same weight, or not at all (the backbone alone)."""
    windowed: bool = True
    """Whether an event that is learned meets the facets known before it, or, as published, the latest ones."""
    table: Table = "trained"
    """Product vectors: from titles and trained, from titles and frozen, or from nothing and trained."""
    rerank: RerankConfig = RerankConfig()
    """Which part of a list is ordered anew by attention that knows the product; none where facets are not used."""


class Fit(NamedTuple):
    """Everything that fitting made."""

    preparation: Preparation
    network: SequenceNetwork
    outcome: Outcome
    """How a pair's numbers become stars and liking."""


class Chances(NamedTuple):
    """What the network says of N pairs."""

    lift: Tensor  # (N,) log of how much likelier the product is next than one drawn at random; 0 if it is not known
    attention: Tensor  # (N, slots) mean over heads, of what placed the product last; empty without alignment


class Answers(NamedTuple):
    """What the network says to B questions."""

    log_chance: Tensor  # (B, P)
    weights: Tensor  # (B, slots) of the state, mean over heads; empty without alignment
    first: Tensor  # (B, N) products that were ordered anew; none without re-ranking
    weights_first: Tensor  # (B, N, slots) of each of these

    @classmethod
    def of_states(cls, log_chance: Tensor, weights: Tensor) -> Answers:
        """Where states alone place products."""
        none = torch.zeros(len(weights), 0, dtype=torch.int64)
        return cls(log_chance, weights, none, torch.zeros(len(weights), 0, weights.shape[1]))

    def of(self, question: Tensor, product: Tensor) -> tuple[Tensor, Tensor]:
        """Log chances (R,) of products, and the attention (R, slots) that placed them, by question (R,)."""
        at = self.first[question] == product.unsqueeze(1)  # (R, N)
        moved = torch.einsum("rn,rns->rs", at.float(), self.weights_first[question])
        return self.log_chance[question, product], torch.where(at.any(1, keepdim=True), moved, self.weights[question])


@register("lane", LaneConfig)
class Lane(Recommender):
    """The method behind the shared interface."""

    config: LaneConfig

    def __init__(self, config: MethodConfig, scale: RatingScale) -> None:
        super().__init__(config, scale)
        self._fit: Fit | None = None

    def fit(self, train: TrainingSet, valid: TrainingSet, run: RunContext) -> FitReport:
        """Learns what comes next from liked events, keeps the best epoch on `valid`, and fits the head there."""
        if not len(valid):
            raise TrainingError("There is no validation row.", "The head is fitted on them.", "Check the split.")
        preparation = Preparation.learn(train, self.scale)
        events = liked_events(train, preparation.consumers, preparation.products)
        with seeded(run.seed):
            network = self._network(preparation, contents(train, preparation.products)).to(run.device)
        if isinstance(network, AlignedNetwork):
            network.known = self._known(events, train).to(run.device)
        target = next_liked(valid, events, preparation.consumers, preparation.products)
        report = self._trained(network, events, target, run)
        if isinstance(network, AlignedNetwork) and self.config.rerank.n_first:
            network, report = self._reranked(network, events, target, run)
        bare = self._served(preparation)  # on the CPU, without the training texts
        bare.load_state_dict({name: value.cpu() for name, value in network.state_dict().items()})
        self._fit = Fit(preparation, bare.eval(), Outcome(np.zeros(0), np.zeros(0)))
        with torch_threads(1), torch.inference_mode():
            design = self._design(valid.batch, self._chances(valid.batch).lift)
        at_rest = counts_at_rest(design.liking.shape[1] - 2, self.scale)
        self._fit = self._fit._replace(outcome=Outcome.learn(design, valid, at_rest))
        return report

    def score(self, batch: FeatureBatch) -> Scores:
        """Stars, probability of liking, and the attention on each facet."""
        fit = self._fitted()
        with torch_threads(1), torch.inference_mode():
            chances = self._chances(batch)
            scores = fit.outcome.scores(self._design(batch, chances.lift), self.scale)
        fields = FACET_SLOTS if chances.attention.shape[1] else ()
        return replace(scores, fields=fields, attention=chances.attention.numpy())

    def save(self, folder: Path) -> None:
        """Writes weights.safetensors and vocabularies.json."""
        from safetensors.torch import save_file

        fit = self._fitted()
        weights = {name: value.contiguous() for name, value in fit.network.state_dict().items()}
        weights |= {f"{_OUTCOME}{name}": torch.from_numpy(it) for name, it in vars(fit.outcome).items()}
        save_file(weights, folder / "weights.safetensors")
        fit.preparation.save(folder)

    @classmethod
    def load(cls, folder: Path, config: MethodConfig, scale: RatingScale) -> Self:
        """Reads what `save` wrote. Raises ReleaseError if it does not fit the config."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        method, preparation = cls(config, scale), Preparation.load(folder, scale)
        network = method._served(preparation)
        try:
            weights = load_file(folder / "weights.safetensors")
            outcome = Outcome(**{it: weights.pop(f"{_OUTCOME}{it}").numpy() for it in ("liking", "stars")})
            network.load_state_dict(weights)
        except (OSError, RuntimeError, KeyError, SafetensorError) as error:
            raise ReleaseError(
                f"The weights in {folder} do not fit the config: {error}.", remedy="Train and save the model again."
            ) from error
        method._fit = Fit(preparation, network.eval(), outcome)
        return method

    def _network(self, preparation: Preparation, content: Tensor | None) -> SequenceNetwork:
        """The untrained network; `content` (P, 384) is what product vectors start from."""
        c, n_products = self.config, len(preparation.products.ids)
        start = None if content is None or c.table == "random" else text_rows(content, c.embedding_size)
        table = ProductTable(n_products, c.embedding_size, start, trained=c.table != "frozen")
        encoder = make_encoder(c.backbone, c)
        if c.explanations == "none":
            return SequenceNetwork(table, encoder)
        alignment = Alignment(
            c.embedding_size, KEY_WIDTH, c.attention_heads, c.attention_dropout, uniform=c.explanations == "mean"
        )
        return AlignedNetwork(table, encoder, alignment)

    def _served(self, preparation: Preparation) -> SequenceNetwork:
        """The untrained network with everything that is saved of a trained one."""
        network = self._network(preparation, None)
        return self._aware(network) if isinstance(network, AlignedNetwork) and self.config.rerank.n_first else network

    def _aware(self, base: AlignedNetwork) -> RerankedNetwork:
        c = self.config
        aware = TargetAware(
            c.embedding_size, KEY_WIDTH, c.attention_heads, c.attention_dropout, uniform=c.explanations == "mean"
        )
        return RerankedNetwork(base, aware, c.rerank.n_first)

    def _known(self, events: LikedEvents, train: TrainingSet) -> KnownTexts:
        """The facets before each liked event; after the last one, and for all events if not windowed, the latest."""
        sets, before = facet_sets(train.batch.consumers.take(events.rows))
        histories, place = events.histories, before.numpy()
        last = np.append(place, 0)[histories.start[1:] - 1]
        after = np.where(np.diff(histories.start) > 0, last, 0)
        return KnownTexts.of(sets, histories, place if self.config.windowed else after[histories.consumer], after)

    def _trained(self, network: SequenceNetwork, events: LikedEvents, target: Numbers, run: RunContext) -> FitReport:
        """Trains, judged by the products that were liked later where there are any."""
        held_out, length = HeldOut(events.histories, target), self.config.length
        judge = (lambda: held_out.ndcg(network, length, run.device)) if len(held_out) else None
        return train_network(network, events.histories, length, self.config, run, judge)

    def _reranked(
        self, base: AlignedNetwork, events: LikedEvents, target: Numbers, run: RunContext
    ) -> tuple[RerankedNetwork, FitReport]:
        """With what orders the first products anew, trained on the same events."""
        with seeded(run.seed):
            network = self._aware(base).to(run.device)
        held_out, length = HeldOut(events.histories, target), self.config.length
        return network, train_reranking(network, events.histories, length, self.config.rerank, run, held_out)

    def _chances(self, batch: FeatureBatch) -> Chances:
        """What the network says; pairs that share history and facets are asked about once."""
        preparation, network, _ = self._fitted()
        history = liked_histories(batch.consumers, preparation.products, self.scale)[:, -self.config.length :]
        sets, place = facet_sets(batch.consumers)
        questions, each = torch.unique(torch.cat([history, place.unsqueeze(1)], dim=1), dim=0, return_inverse=True)
        product = numbers_of(preparation.products, batch.products.product_ids)
        known, lift = product != UNKNOWN, torch.zeros(len(batch))
        attention = torch.zeros(len(batch), len(FACET_SLOTS) if isinstance(network, AlignedNetwork) else 0)
        for first in range(0, len(questions), CHUNK):
            some = questions[first : first + CHUNK]
            answers = self._asked(network, some[:, :-1], sets, some[:, -1])
            rows = torch.nonzero((each >= first) & (each < first + CHUNK)).squeeze(1)
            log_chance, attention[rows] = answers.of(each[rows] - first, (product[rows] - 1).clamp(min=0))
            lift[rows] = log_chance + np.log(network.table.n_products)
        return Chances(torch.where(known, lift, 0), attention)

    def _asked(self, network: SequenceNetwork, history: Tensor, sets: TextSets, place: Tensor) -> Answers:
        """What B different questions are answered."""
        asked = Asked(history, torch.zeros_like(place), (history > 0).sum(1))
        if not isinstance(network, AlignedNetwork):
            return Answers.of_states(network(asked), torch.zeros(len(history), 0))
        states, of_state = network.last_with(asked, sets, place)
        weights = of_state.mean((1, 2))
        if isinstance(network, RerankedNetwork) and network.trust > 0:
            log_chance, first, of_first = network.last_reranked(asked, sets, place)
            return Answers(log_chance, weights, first, of_first.mean(1))
        logits = network.logits(states.squeeze(1), torch.arange(network.table.n_products))
        return Answers.of_states(logits.log_softmax(-1), weights)

    def _design(self, batch: FeatureBatch, lift: Tensor) -> Design:
        """The lift beside whether the product is known and what is counted of both sides."""
        preparation = self._fitted().preparation
        who, what = preparation.consumer_inputs(batch.consumers), preparation.product_inputs(batch.products)
        known = (lift != 0).float().unsqueeze(1)
        counts = torch.cat([known, who["consumer_numeric"], what["product_numeric"]], dim=1)
        return Design.beside_counts(counts.numpy(), lift.numpy())

    def _fitted(self) -> Fit:
        if self._fit is None:
            raise TrainingError("lane was asked to score before it was fitted.", remedy="Call fit or load first.")
        return self._fit
