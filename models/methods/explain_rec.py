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
- looks are vectors by product, kept in the artifact; products without them get a learned vector (the paper's image
  encoder and soft tokens are not built);
- attributes of consumers that are protected are never read unless the config allows it.

Not covered: meta-learning of soft tokens, prototypes over several domains, tuning on general instructions first.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from features.batch import FeatureBatch, ProductBlock, TrainingSet
from features.errors import ReleaseError, TrainingError
from features.types import RatingScale
from features.visuals import VisualTable
from models.backbones.calibration import platt
from models.backbones.collaborative import Collaborative, CollaborativeConfig
from models.backbones.factorization import Belief, joined
from models.backbones.preparation import Preparation, unit_rating
from models.base import FitReport, MethodConfig, Recommender, RunContext, Scores, register
from models.explain_rec.attribution import PRIOR, RATINGS, WHOLE, Attributed, attributed
from models.explain_rec.held import Guessed
from models.explain_rec.inputs import Pairs, Shelf, as_new, as_strangers, pairs_of, priors_of
from models.explain_rec.knowledge import KnowledgeBase, KnowledgeConfig
from models.explain_rec.network import ExplainNetwork, Output, Parts
from models.explain_rec.privacy import PROTECTED, without_protected
from models.explain_rec.student import Questions, StudentConfig, StudentRecord, Taught, teach
from models.explain_rec.tasks import attribute_preferences, gradient_cosines, masked_cross_entropy
from models.held import Held
from models.threads import torch_threads
from models.training import LoopSettings, fit_module, require_rows, seeded

logger = logging.getLogger(__name__)

CHUNK = 2048
RECORD = "explain_rec.json"
"""File of an artifact with what came of the student, tasks and prototypes, and the ids of looks."""
N_COMPARED = 2048
"""Training rows on which the tasks' gradients are compared."""


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
    student: StudentConfig = StudentConfig()
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

    def parts(self, has_visuals: bool) -> Parts:
        """The parts that are there: vision needs looks."""
        return Parts(self.attribution, self.knowledge_base, self.vision and has_visuals, self.multi_task)


class Examples(NamedTuple):
    """N rows to learn from."""

    pairs: Pairs
    rating: Tensor  # (N,) 0..1
    liked: Tensor  # (N,) 0 or 1
    taught: Tensor  # (N,) probability of the student, NaN where it was not asked
    preferred: Tensor  # (N, A) 1, 0 or NaN


@dataclass(frozen=True)
class Record:
    """What came of a fit, for whoever reads the artifact."""

    student: StudentRecord
    task_cosines: dict[str, float] = field(default_factory=dict)
    """Between the gradients of each two tasks; below 0 they pull apart."""
    n_prototypes: int = 0
    n_hidden: int = 0
    """Rows that were learned as if their consumer, or their product, were unknown."""


class Fit(NamedTuple):
    """Everything that fitting made."""

    preparation: Preparation
    collaborative: Collaborative
    network: ExplainNetwork
    calibration: Tensor  # (2,) scale and shift of the liking logits
    knowledge: KnowledgeBase | None
    visuals: VisualTable | None
    record: Record


class Strangers(NamedTuple):
    """Hidden blocks of consumers and of products, and what those say who never saw them."""

    consumers: NDArray[np.object_]
    products: NDArray[np.object_]
    collaborative: Collaborative
    knowledge: KnowledgeBase

    def rows_of(self, batch: FeatureBatch) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows in which the consumer alone is hidden, and in which the product alone is."""
        who = np.isin(batch.consumers.consumer_ids, self.consumers)
        what = np.isin(batch.products.product_ids, self.products)
        return np.flatnonzero(who & ~what), np.flatnonzero(what & ~who)


class Ground(NamedTuple):
    """What the ratings of some training rows say: the part of a fit that variants share."""

    collaborative: Collaborative
    held_out: Belief
    """Of the training rows, by models that did not see them."""
    strangers: Strangers | None
    rows: TrainingSet
    made_with: tuple[object, ...]


class Known(NamedTuple):
    """N rows with what is believed of them and what the student says."""

    rows: TrainingSet
    belief: Belief
    taught: NDArray[np.float32]  # (N,)


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
        known = other._ground if isinstance(other, ExplainRec) else None
        if known is None or known.rows is not train or known.made_with != self._grounding:
            known = None
        train_rows, train, valid = train, *(replace(it, batch=self._told(it.batch)) for it in (train, valid))
        ground = self._ground = self._grounded(known, train_rows, train, run)
        visuals = run.visuals if self.config.vision else None
        knowledge = KnowledgeBase.build(train, self.config.knowledge, run.seed) if self.config.knowledge_base else None
        taught = self._taught(train, valid, knowledge, run)
        preparation = Preparation.learn(train, self.scale)
        strangers = ground.strangers if self._hides else None
        # Prototypes rest on training rows, which therefore never ask them.
        learn = self._examples(preparation, Known(train, ground.held_out, taught.train), None, visuals, strangers)
        believed = Known(valid, ground.collaborative.believe(valid.batch), taught.valid)
        check = self._examples(preparation, believed, knowledge, visuals, strangers)
        with seeded(run.seed):
            network = self._network(preparation, Shelf.of(preparation, train.batch.products, visuals))
            network.tutored.fill_(taught.record.tuned)
            report = fit_module(
                network,
                len(learn.pairs),
                lambda rows: self._loss(network, learn, rows),
                lambda: self._mean_loss(network, check),
                self._loop(),
                run,
            )
            calibration = _calibrated(network, check, len(valid))
            cosines = self._task_cosines(network, learn)
        n_prototypes = 0 if knowledge is None else len(knowledge)
        record = Record(taught.record, cosines, n_prototypes, len(learn.pairs) - len(train))
        self._fit = Fit(preparation, ground.collaborative, network, calibration, knowledge, visuals, record)
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
        fields = self._fields
        if not len(batch):
            nothing = np.zeros(0, np.float32)
            return Scores(nothing, nothing, fields, np.zeros((0, len(fields)), np.float32))
        with torch_threads(1), torch.inference_mode():
            outputs, pairs = self._outputs(batch)
            rating = torch.cat([it.rating for it in outputs]) * (self.scale.high - self.scale.low) + self.scale.low
            click = self._calibrate(torch.cat([it.click for it in outputs])).sigmoid()
            if not fields:
                return Scores(rating.numpy(), click.numpy())
            rows = torch.split(torch.arange(len(batch)), CHUNK)
            attention = torch.cat(
                [self._attention(it, pairs.rows(chosen)) for it, chosen in zip(outputs, rows, strict=True)]
            )
            return Scores(rating.numpy(), click.numpy(), fields, attention.numpy())

    def hold(self, products: ProductBlock) -> Held:
        """Scored in full when asked for; what ratings alone say guesses which are worth it."""
        return Guessed(self, products, self._fitted().collaborative)

    def attribute(self, batch: FeatureBatch) -> list[Attributed]:
        """Why each pair was decided as it was. Raises TrainingError where attribution is off."""
        if not self.config.attribution:
            raise TrainingError("This model was fitted without attribution.", remedy="Set attribution = true.")
        fit, made = self._fitted(), list[Attributed]()
        with torch_threads(1), torch.inference_mode():
            outputs, pairs = self._outputs(batch)
            numbers = pairs.inputs.table("attribute_row")
            names = np.array([*("", *fit.preparation.attributes.ids), WHOLE], object)
            added = torch.cat([it.cells.added for it in outputs]) * fit.calibration[0]
            ratings = self._calibrate(torch.cat([it.ratings for it in outputs]))
            prior = torch.cat([it.prior for it in outputs]) * fit.calibration[0]
            liked = self._calibrate(torch.cat([it.click for it in outputs])) >= 0
        for row in range(len(batch)):
            named = names[[*numbers[row].tolist(), len(names) - 1]]
            history = batch.consumers.history_ids[row]
            cells = [
                (str(named[a]), str(history[event]), float(added[row, event, a]))
                for event, a in added[row].nonzero().tolist()
            ]
            others = {RATINGS: float(ratings[row]), PRIOR: float(prior[row])}
            made.append(attributed(cells, others, bool(liked[row])))
        return made

    def imitate(self, batch: FeatureBatch) -> NDArray[np.float32]:
        """(N,) the probability that the student would give, by the head: how well it was distilled."""
        with torch_threads(1), torch.inference_mode():
            chance: Tensor = torch.cat([it.opinion for it in self._outputs(batch)[0]]).sigmoid()
            return chance.numpy()

    def save(self, folder: Path) -> None:
        """Writes weights.safetensors, vocabularies.json, explain_rec.json and what `Collaborative.save` writes."""
        from safetensors.torch import save_file

        fit = self._fitted()
        weights = {name: value.contiguous() for name, value in fit.network.state_dict().items()}
        weights["calibration"] = fit.calibration
        words: dict[str, Any] = {"record": asdict(fit.record), "knowledge": "", "looks": None}
        if fit.knowledge is not None:
            words["knowledge"] = fit.knowledge.to_json()
            weights |= {f"knowledge.{name}": torch.from_numpy(it) for name, it in fit.knowledge.arrays.items()}
        if fit.visuals is not None:
            words["looks"], weights["looks"] = fit.visuals.product_ids, torch.from_numpy(fit.visuals.values)
        save_file(weights, folder / "weights.safetensors")
        (folder / RECORD).write_text(json.dumps(words, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        fit.preparation.save(folder)
        fit.collaborative.save(folder)

    @classmethod
    def load(cls, folder: Path, config: MethodConfig, scale: RatingScale) -> Self:
        """Reads what `save` wrote. Raises ReleaseError if it does not fit the config."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        method = cls(config, scale)
        preparation, collaborative = Preparation.load(folder, scale), Collaborative.load(folder)
        try:
            weights = load_file(folder / "weights.safetensors")
            words = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            calibration, visuals, knowledge = weights.pop("calibration"), None, None
            if words["looks"] is not None:
                visuals = VisualTable(tuple(words["looks"]), weights.pop("looks").numpy())
            kept = [name for name in weights if name.startswith("knowledge.")]
            arrays = {name.partition(".")[2]: weights.pop(name).numpy() for name in kept}
            if words["knowledge"]:
                knowledge = KnowledgeBase.from_parts(arrays, words["knowledge"])
            width = weights["shelf.attributes"].shape[1]
            shelf = Shelf(len(preparation.products), width, 0 if visuals is None else visuals.width)
            network = method._network(preparation, shelf).eval()
            network.load_state_dict(weights)
            kept_record = words["record"]
            record = Record(**{**kept_record, "student": StudentRecord(**kept_record["student"])})
        except (OSError, RuntimeError, KeyError, TypeError, ValueError, SafetensorError) as error:
            raise ReleaseError(
                f"The weights in {folder} do not fit the config: {error}.", remedy="Train and save the model again."
            ) from error
        method._fit = Fit(preparation, collaborative, network, calibration, knowledge, visuals, record)
        return method

    def _told(self, batch: FeatureBatch) -> FeatureBatch:
        return without_protected(batch, self.config.protected)

    def _taught(
        self, train: TrainingSet, valid: TrainingSet, knowledge: KnowledgeBase | None, run: RunContext
    ) -> Taught:
        if run.ground is None:
            why = "no texts were given, so outcomes alone are learned"
            logger.warning("explain_rec tunes no student: %s.", why)
            return Taught.nothing(train, valid, why)
        asked = Questions(run.ground, self.scale, knowledge, self.config.attribution)
        return teach(train, valid, asked, self.config.student, run)

    @property
    def _grounding(self) -> tuple[object, ...]:
        """Settings that a ground depends on."""
        c = self.config
        return c.collaborative, c.knowledge, c.protected, c.hidden_share

    @property
    def _hides(self) -> bool:
        """Whether the head learns from strangers: prototypes and looks are for them."""
        return self.config.knowledge_base or self.config.vision

    def _grounded(self, known: Ground | None, rows: TrainingSet, train: TrainingSet, run: RunContext) -> Ground:
        """What ratings say, and where there is a knowledge base of strangers; what is known is taken over.

        Args:
            known: of the same rows and settings.
            rows: as they were given, by which a ground is known again.
            train: the same without protected attributes.
            run: the seed.
        """
        if known is None:
            with seeded(run.seed):
                collaborative, held_out = Collaborative.fit(train, self.config.collaborative, run)
            known = Ground(collaborative, held_out, None, rows, self._grounding)
        if known.strangers is None and self._hides:
            with seeded(run.seed):
                known = known._replace(strangers=self._strangers(train, run))
        return known

    def _strangers(self, train: TrainingSet, run: RunContext) -> Strangers | None:
        """Hides a block of consumers and one of products; None where the share is of nobody."""
        rng, share = np.random.default_rng(run.seed), self.config.hidden_share
        ids = (train.batch.consumers.consumer_ids, train.batch.products.product_ids)
        consumers, products = (rng.permutation(known)[: int(share * len(known))] for known in map(np.unique, ids))
        rest = train.take(np.flatnonzero(~(np.isin(ids[0], consumers) | np.isin(ids[1], products))))
        if not len(rest) or not len(consumers) + len(products):
            return None
        once = self.config.collaborative.model_copy(update={"folds": 2, "starts": self.config.collaborative.starts[:1]})
        collaborative, _ = Collaborative.fit(rest, once, run)
        return Strangers(consumers, products, collaborative, KnowledgeBase.build(rest, self.config.knowledge, run.seed))

    def _examples(
        self,
        preparation: Preparation,
        known: Known,
        knowledge: KnowledgeBase | None,
        visuals: VisualTable | None,
        strangers: Strangers | None,
    ) -> Examples:
        """Rows as they are; behind them once more those of hidden consumers as strangers', of hidden products as new.

        `knowledge` is what the rows as they are may ask; it must not rest on them.
        """
        n, rows, belief = len(known.rows), known.rows, known.belief
        prior = priors_of(knowledge, rows.batch)
        if strangers is not None:
            who, what = strangers.rows_of(rows.batch)
            rows, place = rows.take(np.concatenate([np.arange(n), who, what])), np.arange(n + len(who) + len(what))
            batch = as_strangers(rows.batch, (place >= n) & (place < n + len(who)))
            rows = replace(rows, batch=as_new(batch, place >= n + len(who)))
            unknown = rows.batch.take(place[n:])
            if len(unknown):
                belief = joined([belief, strangers.collaborative.believe(unknown)])
                asked = priors_of(strangers.knowledge if self.config.knowledge_base else None, unknown)
                asked[len(who) :] = 0  # consumers of new products' rows are known to the prototypes
                prior = np.concatenate([prior, asked])
        pairs = pairs_of(preparation, rows.batch, belief, visuals, prior)
        taught = np.concatenate([known.taught, np.full(len(rows) - n, np.nan, np.float32)])
        return Examples(
            pairs,
            torch.from_numpy(unit_rating(rows.rating, self.scale)),
            torch.from_numpy(np.asarray(rows.liked, np.float32)),
            torch.from_numpy(taught),
            attribute_preferences(rows, pairs.inputs.table("attribute_row")),
        )

    def _network(self, preparation: Preparation, shelf: Shelf) -> ExplainNetwork:
        c = self.config
        parts = c.parts(shelf.visual.shape[1] > 0)
        return ExplainNetwork(
            shelf, len(preparation.attributes), parts, c.embedding_size, c.hidden, c.dropout, c.modality_dropout
        )

    def _losses(self, network: ExplainNetwork, examples: Examples, rows: Tensor) -> dict[str, Tensor]:
        """Each task's loss (), the mean over some rows; those of parts that are off are left out."""
        output: Output = network(examples.pairs.rows(rows))
        parts, liked = network.parts, examples.liked[rows]
        losses = {"like": functional.binary_cross_entropy_with_logits(output.click, liked)}
        if parts.multi_task:
            losses["rating"] = (output.rating - examples.rating[rows]).square().mean()
            losses["attributes"] = masked_cross_entropy(output.attributes, examples.preferred[rows])
        if parts.attribution:
            # The decision stands; what the reasons alone add up to is moved to it, until no remainder is needed.
            reasons = output.ratings + output.cells.total + output.prior
            losses["agree"] = functional.binary_cross_entropy_with_logits(reasons, output.click.detach().sigmoid())
        if parts.vision:
            numbers = torch.unique(examples.pairs.inputs.product[rows])
            losses["align"] = network.alignment(numbers[numbers > 0])
        if bool(network.tutored):
            losses["student"] = masked_cross_entropy(output.opinion, examples.taught[rows])
        return losses

    def _loss(self, network: ExplainNetwork, examples: Examples, rows: Tensor) -> Tensor:
        """L = L_like + the other tasks' losses, weighted."""
        c = self.config
        weights = {
            "like": 1.0,
            "rating": c.lambda_rating,
            "attributes": c.lambda_attributes,
            "agree": c.lambda_agree,
            "align": c.lambda_align,
            "student": c.lambda_distil,
        }
        return torch.stack([weights[name] * it for name, it in self._losses(network, examples, rows).items()]).sum()

    def _mean_loss(self, network: ExplainNetwork, examples: Examples) -> Tensor:
        parts = torch.split(torch.arange(len(examples.pairs)), CHUNK)
        return torch.stack([self._loss(network, examples, rows) * len(rows) for rows in parts]).sum() / len(
            examples.pairs
        )

    def _task_cosines(self, network: ExplainNetwork, examples: Examples) -> dict[str, float]:
        rows = torch.randperm(len(examples.pairs))[:N_COMPARED]
        tasks = ("like", "rating", "attributes", "student")
        losses = self._losses(network, examples, rows)
        return gradient_cosines({name: losses[name] for name in tasks if name in losses}, network.shared)

    def _outputs(self, batch: FeatureBatch) -> tuple[list[Output], Pairs]:
        """What the network says of a batch, chunk by chunk, and what it saw."""
        fit, told = self._fitted(), self._told(batch)
        belief = fit.collaborative.believe(told)
        pairs = pairs_of(fit.preparation, told, belief, fit.visuals, priors_of(fit.knowledge, told))
        return _outputs(fit.network, pairs), pairs

    @property
    def _fields(self) -> tuple[str, ...]:
        """Kinds of evidence: ratings, similar products, prototypes, and the names of attributes."""
        if not self.config.attribution:
            return ()
        ids = self._fitted().preparation.attributes.ids
        kinds = (RATINGS, WHOLE, PRIOR) if self.config.knowledge_base else (RATINGS, WHOLE)
        return (*kinds, *sorted({value.partition("=")[0] for value in ids}))

    def _attention(self, output: Output, pairs: Pairs) -> Tensor:
        """(B, K) the share of each kind of evidence in all that was added, for and against."""
        fit, fields = self._fitted(), self._fields
        size = output.cells.added.abs().sum(1) * fit.calibration[0].abs()  # (B, A + 1)
        names = [value.partition("=")[0] for value in fit.preparation.attributes.ids]
        kind = torch.tensor([0, *(fields.index(name) for name in names)])[pairs.inputs.table("attribute_row")]
        weight = size.new_zeros(len(size), len(fields)).scatter_add_(1, kind, size[:, :-1])
        weight[:, 0] = self._calibrate(output.ratings).abs() + 1e-9
        weight[:, 1] = size[:, -1]
        if self.config.knowledge_base:
            weight[:, 2] = (output.prior * fit.calibration[0]).abs()
        return weight / weight.sum(1, keepdim=True)

    def _calibrate(self, logits: Tensor) -> Tensor:
        calibration = self._fitted().calibration
        return logits * calibration[0] + calibration[1]

    def _loop(self) -> LoopSettings:
        c = self.config
        return LoopSettings(
            c.epochs, c.patience, c.batch_size, c.learning_rate, c.weight_decay, label=f"train {self.name}"
        )

    def _fitted(self) -> Fit:
        if self._fit is None:
            raise TrainingError("explain_rec was asked to score before it was fitted.", remedy="Call fit or load.")
        return self._fit


def _outputs(network: ExplainNetwork, pairs: Pairs) -> list[Output]:
    return [network(pairs.rows(rows)) for rows in torch.split(torch.arange(len(pairs)), CHUNK)]


def _calibrated(network: ExplainNetwork, examples: Examples, n_known: int) -> Tensor:
    """Platt's scale and shift (2,) from the first rows, whose consumers are known."""
    with torch.no_grad():
        logits = torch.cat([output.click for output in _outputs(network, examples.pairs)])
    return platt(logits[:n_known], examples.liked[:n_known])
