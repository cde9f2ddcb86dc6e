"""Guided embedding refinement: attribute scores inside the embeddings of a sequence model.

Source: Jia, Yuan, Wu, Zheng, "Improving LLM Interpretability and Performance via Guided Embedding Refinement for
Sequential Recommendation", arXiv 2504.11658. Products and consumers are scored on a short list of attributes that
people of the domain choose by; a base model's embedding is made narrower by as many columns, and the scores take their
place. The score is a dot product, so what each attribute adds to it is known exactly, and a consumer may move one.

Deviations from the paper:
- products are scored by a linear map of what a batch tells of them (`models/attributes/scorer.py`), learned from facts
  or from a language model's scores, so new products have scores and no language model is waited for;
- the consumers' part is a function of the history, with a penalty on what is learned beside it (`backbones/refined.py`,
  which lists what else the paper leaves open);
- histories are of what was liked, and stars and liking are read off the preference by two small regressions
  (`backbones/outcome.py`), since the platform asks both of every method. The next-product benchmarks use all events.

A language model is tuned by the recommendation loss where `scores` is "tuned" (`models/attributes/tuned.py`).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from features.assemble import cross
from features.batch import HISTORY_LENGTH, ConsumerBlock, FeatureBatch, Floats, PairBlock, ProductBlock, TrainingSet
from features.errors import InputError, TrainingError
from features.types import RatingScale
from features.vocabulary import Vocabulary
from models.attributes.answered import ScoreSource, answered_scores, tuned_scores
from models.attributes.kept import Fit, load_fit, save_fit
from models.attributes.listed import HIGH, LOW, Attributes
from models.attributes.scorer import ProductScorer, ScorerConfig
from models.attributes.tuned import ScoreTuningConfig
from models.backbones.histories import Histories
from models.backbones.outcome import Design, Outcome, means_at_rest
from models.backbones.refined import Products, RefinedConfig, RefinedNetwork, Terms
from models.backbones.sequences.batches import liked_events, liked_histories, next_liked
from models.backbones.sequences.encoders import EncoderConfig
from models.backbones.sequences.network import Kind, ProductTable, SequenceNetwork, make_encoder
from models.backbones.sequences.ranking import HeldOut
from models.backbones.sequences.training import TrainingConfig, train
from models.backbones.sequences.windows import Asked
from models.base import AttributeLevel, FitReport, MethodConfig, Recommender, RunContext, Scores, register
from models.held import Rows
from models.methods.bias import Bias, BiasConfig
from models.threads import torch_threads
from models.training import require_rows, seeded

MEANS, BASE, POPULARITY = "means", "base", "popularity"
"""Parts of the log odds beside the attributes: the consumer's and the product's means, the reduced base embedding, and
how often the product is chosen."""


class GuidedConfig(MethodConfig):
    """The attributes, the base model, and how they are joined."""

    attributes: Attributes = ()
    """m attributes, or the name of a domain that has a list."""
    scores: ScoreSource = "facts"
    """What product scores are learned from: facts of the catalog and the ends' texts, or scores that the embedded
    language model gives while the method is fitted, as it is or tuned. Both take minutes for a thousand products."""
    tuning: ScoreTuningConfig = ScoreTuningConfig()
    """How the language model is tuned, if it is."""
    scorer: ScorerConfig = ScorerConfig()
    encoder: Kind = "sasrec"
    widths: EncoderConfig = EncoderConfig(length=HISTORY_LENGTH, dropout=0.3)
    base: TrainingConfig = TrainingConfig(epochs=20, patience=20, batch_size=128)
    """How the base model learns."""
    refined: TrainingConfig = TrainingConfig(epochs=8, patience=8, batch_size=128, learning_rate=3e-3)
    """How the refined model goes on."""
    refinement: RefinedConfig = RefinedConfig()

    @property
    def rests_on(self) -> tuple[str, ...]:
        """The adapter that the language model's tuning begins with, if there is one."""
        return self.tuning.lora.rests_on


@register("guided", GuidedConfig)
class Guided(Recommender):
    """The method behind the shared interface."""

    config: GuidedConfig

    def __init__(self, config: MethodConfig, scale: RatingScale) -> None:
        super().__init__(config, scale)
        self._fit: Fit | None = None
        self._wanted: Mapping[int, float] = {}
        """Levels set by hand, by attribute."""

    def fit(self, train: TrainingSet, valid: TrainingSet, run: RunContext) -> FitReport:
        """Learns scorer, base and refined model from `train`; `valid` chooses epochs, and tells how preference ends."""
        require_rows(train, valid)
        started, means = time.monotonic(), Bias(BiasConfig(), self.scale)
        means.fit(train, valid, run)
        vocabulary = Vocabulary.build(train.batch.products.product_ids.tolist())
        consumers = Vocabulary.build(train.batch.consumers.consumer_ids.tolist())
        events = liked_events(train, consumers, vocabulary)
        held_out = HeldOut(events.histories, next_liked(valid, events, consumers, vocabulary))
        base, each = self._base(events.histories, held_out, run), _one_each(train.batch.products, vocabulary)
        scorer = self._scorer(each, events.histories, base, run)
        network, report = self._refine(base, torch.from_numpy(scorer.standard(each)), events.histories, held_out, run)
        nothing = Outcome(np.zeros(3), np.zeros(3))
        self._fit = Fit(vocabulary, scorer, network.cpu().eval(), means, nothing)
        design = Design.beside_means(means.score(valid.batch), self.terms(valid.batch).preference)
        outcome = Outcome.learn(design, valid, means_at_rest())
        self._fit = self._fit._replace(outcome=outcome)
        loss = _cross_entropy(self.score(valid.batch).click, valid.liked)
        if not report.valid_loss:  # nothing to choose an epoch by
            report = replace(report, valid_loss=(loss,), train_loss=())
        return replace(report, seconds=time.monotonic() - started)

    def _base(self, histories: Histories, held_out: HeldOut, run: RunContext) -> SequenceNetwork:
        """The base model of the epoch with the best NDCG@10."""
        with seeded(run.seed):
            base = self._blank_base(histories.n_products).to(run.device)
            self._train(base, histories, held_out, self.config.base, run)
        return base

    def _scorer(
        self, each: ProductBlock, histories: Histories, base: SequenceNetwork, run: RunContext
    ) -> ProductScorer:
        """Learned from the training products, one row each."""
        from models.text import TextEncoder

        attributes, config, ids = self.config.attributes, self.config.scorer, each.product_ids.tolist()
        if self.config.scores == "facts":
            return ProductScorer.from_facts(
                each, attributes, lambda texts: TextEncoder(run.device).encode(texts), config
            )
        if self.config.scores == "language_model":
            scores = answered_scores(ids, attributes, run)
        else:
            still, length = copy.deepcopy(base).cpu(), self.config.widths.length
            scores = tuned_scores(ids, attributes, histories, still, length, self.config.tuning, run)
        return ProductScorer.from_scores(each, scores, attributes, config)

    def _refine(
        self, base: SequenceNetwork, guided: Tensor, histories: Histories, held_out: HeldOut, run: RunContext
    ) -> tuple[RefinedNetwork, FitReport]:
        """What goes on from the base model."""
        with seeded(run.seed):
            refined = RefinedNetwork(base, guided.to(run.device), self.config.refinement).to(run.device)
        return refined, self._train(refined, histories, held_out, self.config.refined, run)

    def _train(
        self, network: SequenceNetwork, histories: Histories, held_out: HeldOut, how: TrainingConfig, run: RunContext
    ) -> FitReport:
        length = self.config.widths.length
        judge = (lambda: held_out.ndcg(network, length, run.device)) if len(held_out) else None
        return train(network, histories, length, how, run, judge)

    def score(self, batch: FeatureBatch) -> Scores:
        """Stars and the probability of liking."""
        fit = self._fitted()
        design = Design.beside_means(fit.means.score(batch), self.terms(batch).preference)
        return fit.outcome.scores(design, self.scale)

    def hold(self, products: ProductBlock) -> HeldProducts:
        """The products' vectors and attribute scores are made once."""
        return HeldProducts(self, products)

    def additive(self, batch: FeatureBatch) -> dict[str, Floats]:
        """As `Recommender`: means, reduced base, popularity, and each attribute by its name."""
        fit, terms = self._fitted(), self.terms(batch)
        trust = np.float32(fit.outcome.trust)
        undrawn = Design.beside_means(fit.means.score(batch), np.zeros(len(batch)))
        parts = {MEANS: fit.outcome.odds(undrawn), BASE: trust * terms.base}
        parts[POPULARITY] = trust * terms.popularity
        parts |= {it.name: trust * terms.attributes[:, n] for n, it in enumerate(fit.scorer.attributes)}
        return {name: values.astype(np.float32) for name, values in parts.items()}

    def levels(self, consumer: ConsumerBlock) -> tuple[AttributeLevel, ...]:
        """As `Recommender`: on the scale of the products' scores, within its ends."""
        scorer = self._fitted().scorer
        own = self.consumer_parts(consumer)[1][0].numpy() * scorer.sd + scorer.mean
        shown = np.clip(own, LOW, HIGH)
        return tuple(
            AttributeLevel(it.name, it.description, float(level))
            for it, level in zip(scorer.attributes, shown, strict=True)
        )

    def adjusted(self, levels: Mapping[str, float]) -> Self:
        """As `Recommender`."""
        scorer = self._fitted().scorer
        place = {it.name: n for n, it in enumerate(scorer.attributes)}
        if unknown := sorted(set(levels) - set(place)):
            raise InputError(f"There is no attribute {unknown[0]!r}.", f"There are: {', '.join(place)}.")
        if wrong := {name: level for name, level in levels.items() if not LOW <= level <= HIGH}:
            name, level = next(iter(wrong.items()))
            raise InputError(f"The attribute {name!r} is {level:g}.", f"The scale is {LOW} to {HIGH}.")
        if not levels:
            return self
        other = copy.copy(self)
        standard = {place[it]: (level - scorer.mean[place[it]]) / scorer.sd[place[it]] for it, level in levels.items()}
        other._wanted = {**self._wanted, **{n: float(level) for n, level in standard.items()}}
        return other

    def terms(self, batch: FeatureBatch) -> Terms:
        """What adds up to the preference of each pair."""
        with torch_threads(1), torch.inference_mode():
            return self._fitted().network.terms(
                self.consumer_parts(batch.consumers), self.product_parts(batch.products)
            )

    def consumer_parts(self, consumers: ConsumerBlock) -> tuple[Tensor, Tensor]:
        """Reduced state (N, d - m) and attribute levels (N, m), in standard deviations; zero for an empty history."""
        fit = self._fitted()
        past = liked_histories(consumers, fit.products, self.scale)[:, -self.config.widths.length :]
        if not len(past):
            m = len(fit.scorer.attributes)
            return torch.zeros(0, self.config.widths.embedding_size - m), torch.zeros(0, m)
        history, each = past.unique(dim=0, return_inverse=True)  # type: ignore[no-untyped-call]
        events = (history > 0).sum(1)
        with torch.inference_mode():
            taste = fit.network.taste_now(Asked(history, torch.zeros(len(history), dtype=torch.int64), events))
        known = (events > 0).unsqueeze(1)
        levels = torch.where(known, taste.levels, 0.0)[each]
        for column, level in self._wanted.items():
            levels[:, column] = level
        return torch.where(known, taste.reduced, 0.0)[each], levels

    def product_parts(self, products: ProductBlock) -> Products:
        """The products' vectors, scores and biases; a product nobody had in training has scores alone."""
        fit = self._fitted()
        table, numbers = fit.network.table, torch.from_numpy(fit.products.encode(products.product_ids).astype(np.int64))
        with torch.inference_mode():
            every = torch.arange(1, len(fit.products))
            reduced, guided = table.parts(every)
            own, _ = table.parts(numbers)
            bias = torch.where(numbers > 0, fit.network.bias[numbers - 1] - fit.network.bias.mean(), 0.0)
            known = (numbers > 0).unsqueeze(1)
            scores = table.scale * torch.from_numpy(fit.scorer.standard(products))
            if fit.network.config.products != "frozen":
                scores = torch.where(known, guided[numbers - 1], scores)
            return Products(torch.where(known, own - reduced.mean(0), 0.0), scores - guided.mean(0), bias)

    def save(self, folder: Path) -> None:
        """As `save_fit`."""
        save_fit(self._fitted(), folder)

    @classmethod
    def load(cls, folder: Path, config: MethodConfig, scale: RatingScale) -> Self:
        """As `load_fit`."""
        method = cls(config, scale)
        method._fit = load_fit(folder, method._blank, scale)
        return method

    def _blank(self, n_products: int, m: int) -> RefinedNetwork:
        """An untrained network of the right sizes."""
        return RefinedNetwork(self._blank_base(n_products), torch.zeros(n_products, m), self.config.refinement)

    def _blank_base(self, n_products: int) -> SequenceNetwork:
        widths = self.config.widths
        return SequenceNetwork(
            ProductTable(n_products, widths.embedding_size), make_encoder(self.config.encoder, widths)
        )

    def _fitted(self) -> Fit:
        if self._fit is None:
            raise TrainingError("guided was asked to score before it was fitted.", remedy="Call fit or load first.")
        return self._fit


class HeldProducts:
    """P products for the refined model; a `models.held.Held`."""

    def __init__(self, method: Guided, products: ProductBlock) -> None:
        """Makes everything that is the same for all consumers."""
        self._method, self._products, self._parts = method, products, method.product_parts(products)

    def score(self, consumer: ConsumerBlock, rows: Rows, pairs: PairBlock | None, as_of: datetime) -> Scores:
        """As `Held`."""
        fit = self._method._fitted()
        means = fit.means.score(cross(consumer, self._products.take(rows), pairs, as_of))
        design = Design.beside_means(means, self._preference(consumer, self._parts.take(rows)))
        return fit.outcome.scores(design, self._method.scale)

    def guess(self, consumer: ConsumerBlock) -> Floats:
        """As `Held`: the preference, which is a matrix product."""
        return self._preference(consumer, self._parts)

    def _preference(self, consumer: ConsumerBlock, products: Products) -> Floats:
        with torch_threads(1), torch.inference_mode():
            return self._method._fitted().network.terms(self._method.consumer_parts(consumer), products).preference


def _one_each(products: ProductBlock, vocabulary: Vocabulary) -> ProductBlock:
    """The latest row of every product, in the vocabulary's order."""
    last = np.zeros(len(vocabulary), np.intp)
    last[vocabulary.encode(products.product_ids)] = np.arange(len(products))
    return products.take(last[1:])


def _cross_entropy(click: Floats, liked: Floats) -> float:
    share = np.clip(click, 1e-6, 1 - 1e-6)
    return float(-np.where(liked > 0, np.log(share), np.log1p(-share)).mean())
