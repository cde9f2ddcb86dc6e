"""Combined: other methods beneath LR-Recsys, whose scores are fields of its ranker beside the explanations.

Source: the five methods' own (see their files); stacking out of fold is Wolpert, "Stacked Generalization", Neural
Networks 5 (1992). Each method beneath is fitted as its own config says. What it tells of a pair, the log odds of stars
and of liking, is a field that the ranker attends to, a number that its back end sees, and a part of what it starts
from, so attention and score say how much it counted.

- The ranker must not learn to trust a method for rows that the method has learned by heart. So a training row is told
  of by a method that was fitted on the other folds; validation and scored rows by the one of all training rows.
- Which methods are beneath is a matter of recipes: `docs/methods/combined.md` says which proved their worth.
- Methods beneath choose epochs, and read stars and liking, on the same validation rows as the ranker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from features.batch import ConsumerBlock, FeatureBatch, PairBlock, ProductBlock, TrainingSet
from features.errors import TrainingError
from features.types import RatingScale
from models.backbones.factorization import Belief
from models.backbones.ground import Ground
from models.backbones.held import HeldInputs
from models.backbones.inputs import Inputs
from models.backbones.preparation import Preparation, unit_rating
from models.base import FitReport, MethodConfig, Recommender, RunContext, Scores, find_method, register
from models.held import Held, Rows
from models.members import Members
from models.methods.lr_recsys import FIELDS, LRRecsys, LRRecsysConfig, LRRecsysNetwork

_FOLDER = "beneath"


class BeneathConfig(MethodConfig):
    """One method beneath the ranker."""

    name: str
    config: dict[str, Any] = Field(default_factory=dict)
    """What differs from its config's defaults."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.method("full")  # so that a recipe's unknown keys are errors here too
        return self

    def method(self, explanations: str) -> tuple[type[Recommender], MethodConfig]:
        """Class and config. A ranker without explanations has none beneath it either."""
        method = find_method(self.name)
        has_some = "explanations" in method.config_type.model_fields
        without = {"explanations": "none"} if has_some and explanations == "none" else {}
        return method, method.config_type.model_validate({**self.config, **without})


class CombinedConfig(LRRecsysConfig):
    """The ranker's settings, and what is beneath it."""

    beneath: tuple[BeneathConfig, ...] = Field(default_factory=lambda: (BeneathConfig(name="lane"),))
    folds: int = 3
    """Fits of each method beneath that leave out one part of the training rows; one more sees all."""

    @field_validator("beneath")
    @classmethod
    def _distinct(cls, beneath: tuple[BeneathConfig, ...]) -> tuple[BeneathConfig, ...]:
        names = [it.name for it in beneath]
        if not names or len(set(names)) < len(names) or "combined" in names:
            raise ValueError(
                f"beneath must be different methods, none of them `combined`: {', '.join(names) or 'none'}"
            )
        return beneath


class Below(NamedTuple):
    """A method beneath, fitted."""

    method: Recommender
    held_out: Scores
    """Of the training rows, by fits that had not seen them; of no row after loading."""
    rows: TrainingSet | None


class CombinedNetwork(LRRecsysNetwork):
    """LR-Recsys with a field for each of F methods beneath."""

    def __init__(self, config: CombinedConfig, preparation: Preparation) -> None:
        n, d = len(config.beneath), config.embedding_size
        super().__init__(config, preparation, n)
        self.tell = nn.Parameter(torch.randn(n, 2, d) * 0.2)
        self.trust_told = nn.Parameter(torch.zeros(n, 2))

    def told(self, inputs: Inputs) -> tuple[Tensor, ...]:
        """As `LRRecsysNetwork`: a linear map of both log odds for each."""
        return (torch.einsum("bfk,fkd->bfd", inputs.told, self.tell),)

    def start(self, inputs: Inputs) -> Tensor:
        """As `LRRecsysNetwork`: the belief and the methods beneath, as far as they are trusted."""
        return super().start(inputs) + (self.trust_told * inputs.told).sum(1)


@register("combined", CombinedConfig)
class Combined(LRRecsys):
    """The method behind the shared interface."""

    config: CombinedConfig

    def __init__(self, config: MethodConfig, scale: RatingScale) -> None:
        super().__init__(config, scale)
        self._below: tuple[Below, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """As `LRRecsys`, then a field for each method beneath."""
        return (*FIELDS, *(it.name for it in self.config.beneath))

    def fit_like(self, other: Recommender | None, train: TrainingSet, valid: TrainingSet, run: RunContext) -> FitReport:
        """As `LRRecsys`, with those of the other one's methods beneath that are of the same rows and settings."""
        known = other._below if isinstance(other, Combined) and other.config.folds == self.config.folds else ()
        self._below = tuple(self._beneath(it, known, train, valid, run) for it in self.config.beneath)
        return super().fit_like(other, train, valid, run)

    def refit_from(self, ground: Ground, examples: TrainingSet, epochs: int, run: RunContext) -> None:
        """Not offered: methods beneath choose their epochs on validation rows, of which none would be left."""
        raise TrainingError("combined cannot be fitted again without validation rows.", remedy="Use fit.")

    def hold(self, products: ProductBlock) -> Held:
        """As `LRRecsys`, beside the products held by the methods beneath."""
        return HeldCombined(self._held(products), [it.method.hold(products) for it in self._below], self.scale)

    def save(self, folder: Path) -> None:
        """Writes what `LRRecsys.save` writes, and each method beneath in a folder of its own."""
        super().save(folder)
        for part, it in zip(self.config.beneath, self._below, strict=True):
            own = folder / _FOLDER / part.name
            own.mkdir(parents=True, exist_ok=True)
            it.method.save(own)

    @classmethod
    def load(cls, folder: Path, config: MethodConfig, scale: RatingScale) -> Self:
        """Reads what `save` wrote. Raises ReleaseError if it does not fit the config."""
        made, below = super().load(folder, config, scale), []
        for part in made.config.beneath:
            method, own = part.method(made.config.explanations)
            nothing = np.zeros(0, np.float32)
            below.append(Below(method.load(folder / _FOLDER / part.name, own, scale), Scores(nothing, nothing), None))
        made._below = tuple(below)
        return made

    def _beneath(
        self, part: BeneathConfig, known: Sequence[Below], train: TrainingSet, valid: TrainingSet, run: RunContext
    ) -> Below:
        """The method fitted on all training rows, and what fits that had not seen them say of each fold's."""
        method, config = part.method(self.config.explanations)
        for it in known:
            if it.rows is train and type(it.method) is method and it.method.config == config:
                return it
        whole = method(config, self.scale)
        whole.fit(train, valid, _of_fit(run, f"{part.name}-all"))
        return Below(whole, self._held_out(whole, train, valid, run), train)

    def _held_out(self, whole: Recommender, train: TrainingSet, valid: TrainingSet, run: RunContext) -> Scores:
        """What fits like `whole`, each without one fold of the training rows, say of that fold."""
        fold = np.random.default_rng(run.seed).permutation(len(train)) % self.config.folds
        rating, click = np.empty(len(train), np.float32), np.empty(len(train), np.float32)
        for number in range(self.config.folds):
            rest, held = (np.flatnonzero(it) for it in (fold != number, fold == number))
            fitted = type(whole)(whole.config, self.scale)
            fitted.fit(train.take(rest), valid, _of_fit(run, f"{whole.name}-{number}"))
            scores = fitted.score(train.batch.take(held))
            rating[held], click[held] = scores.rating, scores.click
        return Scores(rating, click)

    def _members(self, preparation: Preparation) -> Members:
        return Members(lambda: CombinedNetwork(self.config, preparation), self.config.members)

    def _inputs(self, preparation: Preparation, batch: FeatureBatch, belief: Belief) -> Inputs:
        told = [it.method.score(batch) for it in self._below]
        return replace(preparation.inputs(batch, belief), told=told_inputs(told, self.scale))

    def _lessons(self, preparation: Preparation, examples: TrainingSet, belief: Belief) -> Inputs:
        if any(it.rows is not examples for it in self._below):
            return self._inputs(preparation, examples.batch, belief)
        told = [it.held_out for it in self._below]
        return replace(preparation.inputs(examples.batch, belief), told=told_inputs(told, self.scale))


def _of_fit(run: RunContext, fit: str) -> RunContext:
    """The run with folders for what half-done trainings of this one fit leave: those of folds begin alike."""
    ground = run.ground and replace(run.ground, state=run.ground.state and run.ground.state / fit)
    return replace(run, ground=ground, state=run.state and run.state / fit)


class HeldCombined:
    """P products for the ranker and all methods beneath it; a `models.held.Held`."""

    def __init__(self, ranker: HeldInputs, below: Sequence[Held], scale: RatingScale) -> None:
        self._ranker, self._below, self._scale = ranker, below, scale

    def score(self, consumer: ConsumerBlock, rows: Rows, pairs: PairBlock | None, as_of: datetime) -> Scores:
        """As `Held`."""
        told = [it.score(consumer, rows, pairs, as_of) for it in self._below]
        return self._ranker.score(consumer, rows, pairs, as_of, told_inputs(told, self._scale))

    def guess(self, consumer: ConsumerBlock) -> NDArray[np.float32]:
        """As `Held`: what ratings alone say."""
        return self._ranker.guess(consumer)


def told_inputs(scores: Sequence[Scores], scale: RatingScale) -> Tensor:
    """(N, F, 2): log odds of stars, as a share of the scale, and of liking, by each of F methods."""
    both = [np.stack([unit_rating(it.rating, scale), it.click], axis=1) for it in scores]
    return torch.from_numpy(np.stack(both, axis=1)).clamp(0.02, 0.98).logit()
