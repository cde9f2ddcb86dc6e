"""Tunes a language model so that its attribute scores tell what consumers choose, and its answers keep their form.

Source: arXiv 2504.11658, fine-tuning of the scoring model: L = L_rec + lambda L_format, on low-rank weights alone.

- L_rec: at a place of a consumer's history, score(u, i) = base(u, i) + sum_k gain level_uk z(e_ik); softmax
  cross-entropy of the product that was taken against the others of the step's batch which the consumer never had. So
  one forward pass of B products serves B - 1 negatives of every choice among them. e_ik is the expected number at the
  place of attribute k (`written`), with its gradient; base is a trained sequence model's score, frozen.
- L_format: cross-entropy of the list answer's tokens.

Ours, where the paper is silent:
- The targets of L_format are lists of the untuned model's own expected numbers, rounded. The paper takes valid answers
  of the untuned model; the embedded one writes no valid list by itself. The same lists stand before the places where
  scores are read, in tuning and afterwards, so that scores are read as they were tuned.
- level_uk is the recency-weighted mean of the standardised scores of the consumer's past products, and z
  standardises, both by the scores as they were before tuning. They are not refreshed: levels that follow the scores
  move the target with every step, and a stopped tuning could not go on without them.
- Afterwards all scores are read once more, and frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from features.types import content_hash
from models.attributes.choices import CHUNK, Choices
from models.attributes.written import ListForm
from models.backbones.refined import recent_means
from models.base import MethodConfig, Progress, silent
from models.lora.low_rank import LoraConfig
from models.lora.rows import Row
from models.lora.training import Training, TrainingReport

Floats = NDArray[np.float32]
LEAST_SPREAD = 0.05
"""Standard deviation, in points of the scale, that a smaller one counts as: less is what bf16 rounds away."""


class ScoreTuningConfig(MethodConfig):
    """How a language model's scores are tuned."""

    lora: LoraConfig = LoraConfig(layers=6, epochs=2, rate=2e-3)
    """Which weights; an epoch goes through all products once, `batch_size` at a time."""
    recommendation: float = Field(default=1.0, ge=0)
    """Weight of L_rec; 0 leaves it out."""
    form: float = Field(default=0.5, ge=0)
    """lambda, the weight of L_format; 0 leaves it out."""
    gain: float = 0.1
    """Weight of an attribute in the ranking score: about what the refined model begins with, whose gains of 1 stand
    before columns as long as the base's own (0.09 on Musical Instruments). At 1 a dozen attributes drown the base."""
    recency: float = 0.9
    """Weight of a past product's scores relative to that of the next one, as in the refined model."""
    choices: int = 4
    """Training events of a product that are learned from in an epoch."""
    max_text: int = 200
    """Characters of a product's text that are read."""

    @model_validator(mode="after")
    def _something_is_learned(self) -> Self:
        if not self.recommendation and not self.form:
            raise ValueError("recommendation and form are both 0, so nothing would be learned")
        return self


class Standard(NamedTuple):
    """The statistics of the training products' scores before tuning."""

    mean: Tensor  # (m,)
    sd: Tensor  # (m,)

    @classmethod
    def of(cls, scores: Tensor) -> Standard:
        """Of scores (N, m)."""
        return cls(scores.mean(0), scores.std(0, correction=0).clamp(min=LEAST_SPREAD))

    def __call__(self, scores: Tensor) -> Tensor:
        """(..., m) in standard deviations from the mean."""
        return (scores - self.mean) / self.sd


class RankingLoss:
    """L_rec.

    Args:
        choices: training events.
        stored: (P, m) the products' scores before tuning.
        config: gain and recency.
    """

    def __init__(self, choices: Choices, stored: Floats, config: ScoreTuningConfig) -> None:
        self.choices, self.gain = choices, config.gain
        self.standard = Standard.of(torch.from_numpy(stored[choices.known]))
        scores = functional.pad(self.standard(torch.from_numpy(stored)), (0, 0, 1, 0))
        parts = [recent_means(some, scores, config.recency)[:, -1] for some in torch.split(choices.history, CHUNK)]
        self.levels = torch.cat(parts)  # (E, m)

    def __call__(self, events: Tensor, products: Tensor, scores: Tensor) -> Tensor:
        """Mean over choices (n,) among products (B,) that have these soft scores (B, m); 0 without a choice."""
        if not len(events):
            return scores.sum() * 0
        drawn_to = self.gain * self.levels[events] @ self.standard(scores).T
        logits = self.choices.base.of(events, products) + drawn_to
        logits = logits.masked_fill(~self.choices.offered(events, products), -torch.inf)
        taken = (self.choices.taken[events].unsqueeze(1) == products).int().argmax(1)
        return functional.cross_entropy(logits, taken)


class Batch(NamedTuple):
    """What a step is about."""

    products: Tensor  # (B,)
    events: Tensor  # (n,) choices of these products


class ScoreTraining(Training[Batch]):
    """A training of attribute scores.

    Args:
        form: of the student that is trained.
        rows: of all P products; those with a training event alone are learned from.
        ranking: L_rec.
        config: weights of the losses.
        seed, part: as for `Training`.
    """

    def __init__(
        self,
        form: ListForm,
        rows: Sequence[Row],
        ranking: RankingLoss,
        config: ScoreTuningConfig,
        seed: int = 0,
        part: Path | None = None,
    ) -> None:
        super().__init__(form.student, len(ranking.choices.known), seed, part)
        self.form, self.rows, self.ranking, self.config = form, rows, ranking, config
        self._made_of = self._hash()

    def batches(self, epoch: int) -> list[Batch]:
        """As `Training`: all known products in a random order, each with some random choices of it."""
        random = np.random.default_rng((self.seed, epoch))
        choices = self.ranking.choices
        order = torch.from_numpy(random.permutation(choices.known))
        drawn = choices.drawn(self.config.choices, random)
        taken = choices.taken[drawn]
        parts = torch.split(order, self.student.config.batch_size)
        return [Batch(products, drawn[torch.isin(taken, products)]) for products in parts]

    def loss(self, batch: Batch) -> Tensor:
        """L."""
        rows, config = self._rows(batch), self.config
        hidden = self.student.hidden(rows)
        total = hidden.new_zeros((), dtype=torch.float32)
        if config.recommendation:
            scores = self.form.soft(rows, hidden)
            total = total + config.recommendation * self.ranking(batch.events, batch.products, scores)
        if config.form:
            total = total + config.form * self.student.loss_of(rows, hidden)[0]
        return total

    def n_tokens(self, batch: Batch) -> int:
        """As `Training`."""
        return sum(len(row.read) for row in self._rows(batch))

    def made_of(self) -> str:
        """As `Training`."""
        return self._made_of

    def _hash(self) -> str:
        ranking = self.ranking
        sums = [it.double().sum().item() for it in (*ranking.choices.base, ranking.levels)]
        events = [ranking.choices.taken.tolist(), ranking.choices.history.tolist()]
        tokens = [list(self.rows[product].tokens) for product in ranking.choices.known]
        settings = [self.student.identity, self.config.model_dump(exclude={"lora"}), self.seed]
        return content_hash(settings, tokens, events, sums)

    def _rows(self, batch: Batch) -> list[Row]:
        return [self.rows[product] for product in batch.products.tolist()]


@dataclass(frozen=True, eq=False)
class TunedScores:
    """Scores of P products on m attributes before and after tuning, each in LOW..HIGH."""

    untuned: Floats  # (P, m)
    tuned: Floats  # (P, m)
    report: TrainingReport


def tune_scores(
    form: ListForm,
    texts: Sequence[str],
    numbers: Floats,
    choices: Choices,
    config: ScoreTuningConfig,
    seed: int = 0,
    part: Path | None = None,
    progress: Progress = silent,
    validate: Callable[[Floats], float] | None = None,
) -> TunedScores:
    """Tunes the form's student and reads all scores once more; afterwards the form writes as the tuned student.

    Args:
        form: of a student that was not tuned before.
        texts: of P products.
        numbers: (P, m) the untuned model's own expected numbers (`expected.ExpectedScores`).
        choices: of training.
        config: weights of the losses, and how long.
        seed: of everything random.
        part: folder of the half-done state; None keeps none.
        progress: called with ("attributes", products read, products) and ("tuning", steps done, steps).
        validate: how good scores (P, m) are; after every epoch, of which the best is kept. Without it the last is.

    Raises:
        TrainingError: no product has a training event, or the loss is not finite.
    """
    rows = form.rows(texts, numbers)
    before = form.scores(rows, progress)
    training = ScoreTraining(form, rows, RankingLoss(choices, before, config), config, seed, part)
    report = training.run(progress, None if validate is None else lambda: validate(form.scores(rows)))
    return TunedScores(before, form.scores(rows, progress), report)
