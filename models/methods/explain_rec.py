"""ExplainRec: a tuned language model's decision with attribution, prototypes for strangers, and looks beside text.

Source: Ma, Liu, Hu, Lau, "ExplainRec: Towards Explainable Multi-Modal Zero-Shot Recommendation with Preference
Attribution and Large Language Models", arXiv 2511.14770, on the recipe of TALLRec (Bao et al., RecSys 2023). Four parts
stand beside a Yes/No student: attribution, a knowledge base of prototypes, vision, and tasks that are learned together.
Each has a switch; with all of them off the method is TALLRec's student with a fast head.

Deviations from the paper, all ours (no code and no equations of it are public):
- the student is tuned and asked while the method is fitted, and its decisions are distilled into a head over the
  batch's features; serving reads the head alone, so ranking never waits for a language model;
- the head starts from what ratings alone say (`models/backbones/collaborative.py`);
- an attribution is a sum inside the decision, not a text beside it (`models/explain_rec/attribution.py`): its weights
  are what each piece of evidence added;
- what prototypes and looks are worth is learned by hiding a block of consumers and one of products: the head sees
  their rows once more as those of strangers, with prototypes and beliefs that were made without them;
- looks are vectors by product, given by a reader or by `models/images.py`, and kept in the artifact; products without
  them get a learned vector (the paper's soft tokens are not built);
- attributes of consumers that are protected are never read unless the config allows it.

Not covered: meta-learning of soft tokens.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from features.batch import FeatureBatch, ProductBlock, TrainingSet
from features.errors import TrainingError
from features.types import RatingScale
from features.visuals import VisualTable
from features.vocabulary import Vocabulary
from models.backbones.collaborative import CollaborativeConfig
from models.backbones.preparation import Preparation
from models.base import FitReport, MethodConfig, Recommender, RunContext, Scores, register
from models.explain_rec.attribution import Attributed
from models.explain_rec.evidence import kinds_of, reasons_of, weights_of
from models.explain_rec.ground import Ground, Grounding
from models.explain_rec.held import Guessed
from models.explain_rec.inputs import Pairs, Shelf, pairs_of, priors_of
from models.explain_rec.kept import Fit, Record, load_fit, save_fit
from models.explain_rec.knowledge import KnowledgeBase, KnowledgeConfig
from models.explain_rec.learning import (
    CHUNK,
    Examples,
    Knowing,
    Known,
    calibrated,
    examples_of,
    outputs,
    task_cosines,
    task_losses,
)
from models.explain_rec.network import ExplainNetwork, Output, Parts
from models.explain_rec.privacy import PROTECTED, without_protected
from models.explain_rec.student import ReasonedQuestions, TallrecConfig
from models.held import Held
from models.reasoning.teaching import Taught, teach
from models.threads import torch_threads
from models.training import LoopSettings, fit_module, require_rows, seeded


class ExplainRecConfig(MethodConfig):
    """The four parts, the student, and the head."""

    attribution: bool = True
    """Whether evidence is weighed, shown, and held to agree with the decision."""
    knowledge_base: bool = True
    """Whether prototypes speak for consumers without history."""
    vision: bool = True
    """Whether looks are fused with text, where there are looks."""
    multi_task: bool = True
    """Whether stars and preferences for attributes are learned beside liking."""
    student: TallrecConfig = TallrecConfig()
    knowledge: KnowledgeConfig = KnowledgeConfig()
    protected: tuple[str, ...] = PROTECTED
    """Names of consumer attributes that are never read."""
    hidden_share: float = 0.15
    """Share of the consumers that the head also sees as strangers, and of the products that it also sees as new, where
    there are prototypes or looks."""
    modality_dropout: float = 0.2
    """How often looks are taken for missing in training."""
    lambda_distil: float = 0.5
    """Weight of imitating the student."""
    lambda_rating: float = 1.0
    """Weight of the stars beside liking."""
    lambda_attributes: float = 0.2
    """Weight of preferences for attributes beside liking."""
    lambda_agree: float = 0.1
    """b: weight of the cross-entropy of what the reasons alone say against the decision (L_cons)."""
    lambda_align: float = 0.1
    """c: weight of bringing looks and text of a product together (L_align)."""
    embedding_size: int = 32
    """d: width of products."""
    hidden: int = 64
    dropout: float = 0.1
    collaborative: CollaborativeConfig = CollaborativeConfig()
    """What the ratings alone say."""
    learning_rate: float = 2e-3
    weight_decay: float = 1e-5
    batch_size: int = 1024
    epochs: int = 20
    patience: int = 3

    @property
    def rests_on(self) -> tuple[str, ...]:
        """The adapter that the student begins with, if there is one."""
        return self.student.rests_on

    def parts(self, has_visuals: bool) -> Parts:
        """The parts that are there: vision needs looks."""
        return Parts(self.attribution, self.knowledge_base, self.vision and has_visuals, self.multi_task)

    @property
    def grounding(self) -> Grounding:
        """Settings that a ground depends on."""
        return Grounding(self.collaborative, self.knowledge, self.protected, self.hidden_share)

    @property
    def loss_weights(self) -> dict[str, float]:
        """By task."""
        return {
            "like": 1.0,
            "rating": self.lambda_rating,
            "attributes": self.lambda_attributes,
            "agree": self.lambda_agree,
            "align": self.lambda_align,
            "student": self.lambda_distil,
        }


@register("explain_rec", ExplainRecConfig)
class ExplainRec(Recommender):
    """The method behind the shared interface."""

    config: ExplainRecConfig

    def __init__(self, config: MethodConfig, scale: RatingScale) -> None:
        super().__init__(config, scale)
        self._fit: Fit | None = None
        self._ground: Ground | None = None

    def fit(self, train: TrainingSet, valid: TrainingSet, run: RunContext) -> FitReport:
        """Tunes the student where there are texts, and fits the head to outcomes and to its decisions."""
        return self.fit_like(None, train, valid, run)

    def fit_like(self, other: Recommender | None, train: TrainingSet, valid: TrainingSet, run: RunContext) -> FitReport:
        """As `fit`, with the other one's ground if that is of the same rows and settings."""
        require_rows(train, valid)
        c, known, given = self.config, other._ground if isinstance(other, ExplainRec) else None, train
        train, valid = (replace(it, batch=self._told(it.batch)) for it in (train, valid))
        hides = c.knowledge_base or c.vision  # prototypes and looks are for strangers
        ground = self._ground = Ground.of(given, train, c.grounding, hides, known, run)
        knowledge = KnowledgeBase.build(train, c.knowledge, run.seed) if c.knowledge_base else None
        taught = self._taught(train, valid, knowledge, run)
        preparation = Preparation.learn(train, self.scale)
        # Prototypes rest on training rows, which therefore never ask them.
        knowing = Knowing(
            None, run.visuals if c.vision else None, ground.strangers if hides else None, c.knowledge_base
        )
        learn = examples_of(preparation, Known(train, ground.held_out, taught.train), knowing, self.scale)
        believed = Known(valid, ground.collaborative.believe(valid.batch), taught.valid)
        check = examples_of(preparation, believed, knowing._replace(knowledge=knowledge), self.scale)
        with seeded(run.seed):
            network = self._network(preparation, Shelf.of(preparation, train.batch.products, knowing.visuals))
            network.tutored.fill_(taught.record.tuned)
            report = self._trained(network, learn, check, run)
            calibration = calibrated(network, check, len(valid))
            cosines = task_cosines(network, learn)
        n_prototypes = 0 if knowledge is None else len(knowledge)
        record = Record(taught.record, cosines, n_prototypes, len(learn.pairs) - len(train))
        self._fit = Fit(preparation, ground.collaborative, network, calibration, knowledge, knowing.visuals, record)
        return report

    def seeing(self, looks: VisualTable) -> ExplainRec:
        """The same model with other looks of products that training did not see, as when a catalog grows.

        Raises TrainingError where there is no vision.
        """
        fit = self._fitted()
        if fit.visuals is None:
            raise TrainingError("This model was fitted without looks.", remedy="Fit it with vision and a visual table.")
        other = ExplainRec(self.config, self.scale)
        other._fit = fit._replace(visuals=looks)
        return other

    def among(self, products: ProductBlock) -> ExplainRec:
        """The same model, which also knows these products where histories name them, as in another domain's.

        They are known by their texts, attributes and looks; what ratings alone say still knows none of them.
        """
        fit = self._fitted()
        known = fit.preparation.products.ids
        new = sorted({*products.product_ids} - {*known})
        preparation = replace(fit.preparation, products=Vocabulary((*known, *new)))
        block = products.take(np.flatnonzero(np.isin(products.product_ids, new)))
        shelf = fit.network.shelf.beneath(Shelf.of(preparation, block, fit.visuals))
        network = self._network(preparation, shelf)
        network.load_state_dict(
            {name: it for name, it in fit.network.state_dict().items() if not name.startswith("shelf.")}
            | {f"shelf.{name}": it for name, it in shelf.state_dict().items()}
        )
        other = ExplainRec(self.config, self.scale)
        other._fit = fit._replace(preparation=preparation, network=network.eval())
        return other

    @property
    def record(self) -> Record:
        """What came of the fit."""
        return self._fitted().record

    @property
    def knowledge(self) -> KnowledgeBase | None:
        """The prototypes; None where the knowledge base is off."""
        return self._fitted().knowledge

    def score(self, batch: FeatureBatch) -> Scores:
        """Stars and probability of liking; with attribution, the weight of each kind of evidence."""
        fit = self._fitted()
        fields = kinds_of(fit) if self.config.attribution else ()
        if not len(batch):
            nothing = np.zeros(0, np.float32)
            return Scores(nothing, nothing, fields, np.zeros((0, len(fields)), np.float32))
        with torch_threads(1), torch.inference_mode():
            made, pairs = self._outputs(batch)
            rating = torch.cat([it.rating for it in made]) * (self.scale.high - self.scale.low) + self.scale.low
            click = fit.calibrate(torch.cat([it.click for it in made])).sigmoid()
            if not fields:
                return Scores(rating.numpy(), click.numpy())
            rows = torch.split(torch.arange(len(batch)), CHUNK)
            attention = [weights_of(fit, it, pairs.rows(chosen)) for it, chosen in zip(made, rows, strict=True)]
            return Scores(rating.numpy(), click.numpy(), fields, torch.cat(attention).numpy())

    def hold(self, products: ProductBlock) -> Held:
        """Scored in full when asked for; what ratings alone say guesses which are worth it."""
        return Guessed(self, products, self._fitted().collaborative)

    def attribute(self, batch: FeatureBatch) -> list[Attributed]:
        """Why each pair was decided as it was. Raises TrainingError where attribution is off."""
        if not self.config.attribution:
            raise TrainingError("This model was fitted without attribution.", remedy="Set attribution = true.")
        with torch_threads(1), torch.inference_mode():
            made, pairs = self._outputs(batch)
            return reasons_of(self._fitted(), batch, made, pairs)

    def imitate(self, batch: FeatureBatch) -> NDArray[np.float32]:
        """(N,) the probability that the student would give, by the head: how well it was distilled."""
        with torch_threads(1), torch.inference_mode():
            chance: Tensor = torch.cat([it.opinion for it in self._outputs(batch)[0]]).sigmoid()
            return chance.numpy()

    def save(self, folder: Path) -> None:
        """Writes what `save_fit` writes."""
        save_fit(self._fitted(), folder)

    @classmethod
    def load(cls, folder: Path, config: MethodConfig, scale: RatingScale) -> Self:
        """Reads what `save` wrote. Raises ReleaseError if it does not fit the config."""
        method = cls(config, scale)
        method._fit = load_fit(folder, scale, method._network)
        return method

    def _told(self, batch: FeatureBatch) -> FeatureBatch:
        return without_protected(batch, self.config.protected)

    def _taught(
        self, train: TrainingSet, valid: TrainingSet, knowledge: KnowledgeBase | None, run: RunContext
    ) -> Taught:
        questions = None
        if run.ground is not None:
            questions = ReasonedQuestions(run.ground.texts, self.scale, knowledge, self.config.attribution)
        return teach(train, valid, questions, self.config.student, run)

    def _network(self, preparation: Preparation, shelf: Shelf) -> ExplainNetwork:
        c = self.config
        parts = c.parts(shelf.visual.shape[1] > 0)
        return ExplainNetwork(
            shelf, len(preparation.attributes), parts, c.embedding_size, c.hidden, c.dropout, c.modality_dropout
        )

    def _trained(self, network: ExplainNetwork, learn: Examples, check: Examples, run: RunContext) -> FitReport:
        """Fits the network to all tasks, by the weights of the config."""
        weights = self.config.loss_weights

        def loss(examples: Examples, rows: Tensor) -> Tensor:
            return torch.stack([weights[name] * it for name, it in task_losses(network, examples, rows).items()]).sum()

        def mean_loss() -> Tensor:
            parts = torch.split(torch.arange(len(check.pairs)), CHUNK)
            return torch.stack([loss(check, rows) * len(rows) for rows in parts]).sum() / len(check.pairs)

        return fit_module(network, len(learn.pairs), lambda rows: loss(learn, rows), mean_loss, self._loop(), run)

    def _outputs(self, batch: FeatureBatch) -> tuple[list[Output], Pairs]:
        """What the network says of a batch, chunk by chunk, and what it saw."""
        fit, told = self._fitted(), self._told(batch)
        belief = fit.collaborative.believe(told)
        pairs = pairs_of(fit.preparation, told, belief, fit.visuals, priors_of(fit.knowledge, told))
        return outputs(fit.network, pairs), pairs

    def _loop(self) -> LoopSettings:
        c = self.config
        return LoopSettings(
            c.epochs, c.patience, c.batch_size, c.learning_rate, c.weight_decay, label=f"train {self.name}"
        )

    def _fitted(self) -> Fit:
        if self._fit is None:
            raise TrainingError("explain_rec was asked to score before it was fitted.", remedy="Call fit or load.")
        return self._fit
