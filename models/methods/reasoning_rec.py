"""ReasoningRec: a small language model, tuned on few labelled pairs, decides; a fast head learns its decisions.

Source: Bismay, Dong, Caverlee, "ReasoningRec: Bridging Personalized Recommendations and Human-Interpretable
Explanations through LLM Reasoning", arXiv 2410.23180. A teacher's texts (product descriptions, consumer profiles,
rationales) and the outcomes of K balanced pairs tune a student that answers "Prediction: Yes" or "No" first and then
says why; its score is the probability of Yes between the two.

Deviations from the paper, all ours:
- the student scores a sample of the training pairs while the method is fitted, and a head over the batch's features is
  distilled from it; serving reads the head alone, so ranking never waits for a language model;
- the head starts from what ratings alone say (`models/backbones/collaborative.py`), and learns from all outcomes what
  the student's opinion is worth beside them;
- teacher texts are the platform's: published facets for profiles and reviews, the catalog's descriptions, and texts
  bought for pairs as rationales; the paper's own requests are in `models/reasoning/teacher.py`;
- probabilities of the student, tuned on halves, are moved to the training rows' share of liked ones.

Without texts there is nothing to tune on: the method fits on outcomes alone, and `student.json` says so.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from features.batch import CONTENT_WIDTH, FeatureBatch, ProductBlock, TrainingSet
from features.errors import ReleaseError, TrainingError
from features.types import RatingScale
from models.backbones.calibration import platt
from models.backbones.closeness import N_KERNELS
from models.backbones.collaborative import Collaborative, CollaborativeConfig
from models.backbones.held import HeldInputs
from models.backbones.inputs import RATING_BUCKETS, Inputs
from models.backbones.preparation import N_BELIEF, Preparation, unit_rating
from models.backbones.sequences.batches import contents
from models.base import FitReport, MethodConfig, Recommender, RunContext, Scores, register
from models.held import Held
from models.lora.shots import balanced_shots, most_shots
from models.reasoning.examples import cases_of, lesson_of, tellable
from models.reasoning.tutor import TutorConfig, Tutored, tutor
from models.threads import torch_threads
from models.training import LoopSettings, fit_module, require_rows, seeded

logger = logging.getLogger(__name__)

CHUNK = 4096
STUDENT = "student.json"
_N_NUMERIC = 20


class ReasoningRecConfig(MethodConfig):
    """The student's tuning, what is distilled from it, and the head."""

    tutor: TutorConfig = TutorConfig()
    n_shots: int = 128
    """K: pairs the student is tuned on, half of them liked; 0 takes all of the rarer kind. Fewer where there are not so
    many."""
    n_check: int = 100
    """Validation pairs by whose AUC the student's epoch is chosen."""
    n_distil: int = 1000
    """Training pairs that the student scores for the head."""
    lambda_distil: float = 0.5
    """Weight of the head's imitation of the student."""
    embedding_size: int = 32
    """d: width of products' contents in the head."""
    hidden: int = 64
    dropout: float = 0.1
    collaborative: CollaborativeConfig = CollaborativeConfig()
    """What the ratings alone say."""
    lambda_click: float = 0.1
    """Weight of the liking loss beside the rating loss."""
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    batch_size: int = 1024
    epochs: int = 20
    patience: int = 3


@dataclass(frozen=True)
class StudentRecord:
    """What came of the student, for whoever reads the artifact."""

    tuned: bool
    why_not: str = ""
    n_shots: int = 0
    n_distilled: int = 0
    valid_auc: float | None = None
    """On the pairs that chose its epoch: optimistic."""
    tokens: int = 0
    """Trained on and read."""
    seconds: float = 0.0
    """Of tuning."""


class Output(NamedTuple):
    """What the head says of B pairs."""

    rating: Tensor  # (B,) 0..1
    click: Tensor  # (B,) logit
    imitation: Tensor  # (B,) logit: what the student would say


class Imitation(nn.Module):
    """What the student would say, from what it reads: target, liked and disliked history, facets, numbers.

    Args:
        d: width of contents.
        hidden: width of the layer.
        contents: (P, 384) of products by number, zeros where there is none.
        liked_from: the bucket from which a rating counts as liked.
    """

    def __init__(self, d: int, hidden: int, contents: Tensor, liked_from: int) -> None:
        super().__init__()
        self.contents: Tensor
        self.register_buffer("contents", contents)
        self.liked_from = liked_from
        self.project = nn.Linear(CONTENT_WIDTH, d, bias=False)
        width = 3 * d + 4 + 2 * N_KERNELS + _N_NUMERIC
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, 1))

    def forward(self, inputs: Inputs) -> Tensor:  # (B,)
        target = inputs.table("content_row")  # (B, 384)
        liked = inputs.history_rating >= self.liked_from
        events = inputs.events
        told = self.contents[events.products].index_select(0, events.product)  # (E, 384), each event once
        sides = [events.seen.sums(share, told) for share in self._shares(inputs.history_mask, liked)]
        near = [functional.cosine_similarity(target, side, dim=-1, eps=1e-6).unsqueeze(1) for side in sides]
        counts = [(inputs.history_mask & kind).float().sum(1, keepdim=True).log1p() for kind in (liked, ~liked)]
        shown, pros, cons = (self.project(it) for it in (target, *sides))
        numbers = [inputs.consumer_numeric, inputs.product_numeric, inputs.closeness.flatten(1)]
        logit: Tensor = self.layers(torch.cat([shown, shown * pros, shown * cons, *near, *counts, *numbers], dim=1))
        return logit.squeeze(1)

    @staticmethod
    def _shares(mask: Tensor, liked: Tensor) -> tuple[Tensor, Tensor]:
        """Weights of the means over liked and over disliked events, each (B, L)."""
        pros, cons = (mask & liked).float(), (mask & ~liked).float()
        return pros / pros.sum(1, keepdim=True).clamp(min=1), cons / cons.sum(1, keepdim=True).clamp(min=1)


class Head(nn.Module):
    """Stars and liking from what ratings say, and what the student would say; the student's part can be absent."""

    def __init__(self, config: ReasoningRecConfig, contents: Tensor, liked_from: int) -> None:
        super().__init__()
        self.imitation = Imitation(config.embedding_size, config.hidden, contents, liked_from)
        width = _N_NUMERIC + N_BELIEF + 2 * N_KERNELS + 1
        self.layers = nn.Sequential(
            nn.Linear(width, config.hidden), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(config.hidden, 2)
        )
        self.trust = nn.Parameter(torch.ones(2))
        self.worth = nn.Parameter(torch.zeros(2))
        self.tutored: Tensor
        self.register_buffer("tutored", torch.tensor(False))

    def forward(self, inputs: Inputs) -> Output:
        imitation = self.imitation(inputs)
        # Outcomes say what the opinion is worth, and do not change it.
        opinion = imitation.detach().unsqueeze(1) * self.tutored
        numbers = [inputs.consumer_numeric, inputs.product_numeric, inputs.belief, inputs.closeness.flatten(1)]
        logits = self.layers(torch.cat([*numbers, opinion], dim=1)) + self.worth * opinion
        logits = logits + self.trust * inputs.belief[:, :2]
        return Output(logits[:, 0].sigmoid(), logits[:, 1], imitation)


class Taught(NamedTuple):
    """What the student said: probabilities of liking, NaN where it was not asked."""

    train: NDArray[np.float32]  # (N,)
    valid: NDArray[np.float32]
    record: StudentRecord


class Examples(NamedTuple):
    """N rows to learn from."""

    inputs: Inputs
    rating: Tensor  # (N,) 0..1
    liked: Tensor  # (N,) 0 or 1
    taught: Tensor  # (N,) probability of the student, NaN where it was not asked


class Fit(NamedTuple):
    """Everything that fitting made."""

    preparation: Preparation
    collaborative: Collaborative
    head: Head
    calibration: Tensor  # (2,)
    student: StudentRecord


@register("reasoning_rec", ReasoningRecConfig)
class ReasoningRec(Recommender):
    """The method behind the shared interface."""

    config: ReasoningRecConfig

    def __init__(self, config: MethodConfig, scale: RatingScale) -> None:
        super().__init__(config, scale)
        self._fit: Fit | None = None

    def fit(self, train: TrainingSet, valid: TrainingSet, run: RunContext) -> FitReport:
        """Tunes the student where there are texts, and fits the head to outcomes and to its scores."""
        require_rows(train, valid)
        taught = self._taught(train, valid, run)
        preparation = Preparation.learn(train, self.scale)
        with seeded(run.seed):
            collaborative, held_out = Collaborative.fit(train, self.config.collaborative, run)
            known = contents(train, preparation.products)
            head = self._head(preparation, functional.pad(known, (0, 0, 1, 0)))  # number 0: an unknown product
            head.tutored.fill_(taught.record.tuned)
            learn = self._examples(preparation.inputs(train.batch, held_out), train, taught.train)
            check = self._examples(
                preparation.inputs(valid.batch, collaborative.believe(valid.batch)), valid, taught.valid
            )
            report = fit_module(
                head,
                len(train),
                lambda rows: self._loss(head, learn, rows),
                lambda: self._mean_loss(head, check),
                self._loop(),
                run,
            )
            with torch.no_grad():
                calibration = platt(torch.cat([part.click for part in _parts(head, check.inputs)]), check.liked)
        self._fit = Fit(preparation, collaborative, head, calibration, taught.record)
        return report

    @property
    def student(self) -> StudentRecord:
        """What came of the student."""
        return self._fitted().student

    def score(self, batch: FeatureBatch) -> Scores:
        """Stars and probability of liking, by the head alone."""
        if not len(batch):
            return Scores(np.zeros(0, np.float32), np.zeros(0, np.float32))
        fit = self._fitted()
        with torch_threads(1), torch.inference_mode():
            return self._scored(fit.preparation.inputs(batch, fit.collaborative.believe(batch)))

    def imitate(self, batch: FeatureBatch) -> NDArray[np.float32]:
        """(N,) the probability that the student would give, by the head: how well it was distilled."""
        fit = self._fitted()
        with torch_threads(1), torch.inference_mode():
            inputs = fit.preparation.inputs(batch, fit.collaborative.believe(batch))
            chance: Tensor = torch.cat([part.imitation for part in _parts(fit.head, inputs)]).sigmoid()
            return chance.numpy()

    def hold(self, products: ProductBlock) -> Held:
        """The products' inputs are made once."""
        fit = self._fitted()
        return HeldInputs(fit.preparation, fit.collaborative, self._scored, products)

    def save(self, folder: Path) -> None:
        """Writes weights.safetensors, vocabularies.json, student.json and what `Collaborative.save` writes."""
        from safetensors.torch import save_file

        fit = self._fitted()
        weights = {name: value.contiguous() for name, value in fit.head.state_dict().items()}
        save_file({**weights, "calibration": fit.calibration}, folder / "weights.safetensors")
        fit.preparation.save(folder)
        fit.collaborative.save(folder)
        (folder / STUDENT).write_text(json.dumps(asdict(fit.student), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, config: MethodConfig, scale: RatingScale) -> Self:
        """Reads what `save` wrote. Raises ReleaseError if it does not fit the config."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        method = cls(config, scale)
        preparation, collaborative = Preparation.load(folder, scale), Collaborative.load(folder)
        head = method._head(preparation, torch.zeros(len(preparation.products), CONTENT_WIDTH)).eval()
        try:
            weights = load_file(folder / "weights.safetensors")
            calibration = weights.pop("calibration")
            head.load_state_dict(weights)
            record = StudentRecord(**json.loads((folder / STUDENT).read_text(encoding="utf-8")))
        except (OSError, RuntimeError, KeyError, TypeError, ValueError, SafetensorError) as error:
            raise ReleaseError(
                f"The weights in {folder} do not fit the config: {error}.", remedy="Train and save the model again."
            ) from error
        method._fit = Fit(preparation, collaborative, head, calibration, record)
        return method

    def _taught(self, train: TrainingSet, valid: TrainingSet, run: RunContext) -> Taught:
        """Tunes a student if that is possible, and asks it."""
        unasked, unchecked = (np.full(len(part), np.nan, np.float32) for part in (train, valid))
        nothing = Taught(unasked, unchecked, StudentRecord(False))
        if run.ground is None:
            return nothing._replace(record=_untutored("no texts were given, so outcomes alone are learned"))
        config, texts = self.config, run.ground.texts
        rows, checked = tellable(train, texts), tellable(valid, texts)
        k = min(config.n_shots or len(train), most_shots(train.liked[rows]))
        if k < 2 or not len(checked):
            why = f"{len(rows)} training and {len(checked)} validation rows have texts, which is too few of a kind"
            return nothing._replace(record=_untutored(why))
        rng = np.random.default_rng(run.seed)
        shots = rows[balanced_shots(train.liked[rows], k - k % 2, run.seed)]
        check = rng.permutation(checked)[: config.n_check]
        student = tutor(
            run.ground.base(),
            lesson_of(train, shots, texts, self.scale),
            lesson_of(valid, check, texts, self.scale),
            config.tutor,
            run.seed,
            run.ground.state,
            run.progress,
        )
        rest = np.setdiff1d(rows, shots)
        asked = rng.permutation(rest if len(rest) else rows)[: config.n_distil]
        prior = float(train.liked.mean())
        for answers, examples, chosen in ((nothing.train, train, asked), (nothing.valid, valid, check)):
            answers[chosen] = student.decide(cases_of(examples, chosen, texts, self.scale), prior).soft
        return nothing._replace(record=_record(student, len(shots), len(asked)))

    def _head(self, preparation: Preparation, contents: Tensor) -> Head:
        width = self.scale.high - self.scale.low
        liked_from = round((self.scale.like_from - self.scale.low) / width * (RATING_BUCKETS - 1))
        return Head(self.config, contents, liked_from)

    def _examples(self, inputs: Inputs, examples: TrainingSet, taught: NDArray[np.float32]) -> Examples:
        rating = unit_rating(examples.rating, self.scale)
        liked = np.asarray(examples.liked, np.float32)
        return Examples(inputs, torch.from_numpy(rating), torch.from_numpy(liked), torch.from_numpy(taught))

    def _loss(self, head: Head, examples: Examples, rows: Tensor) -> Tensor:
        """MSE(rating) + lambda_click BCE(liking) + lambda_distil BCE(imitation, student where it was asked)."""
        output: Output = head(examples.inputs.rows(rows))
        loss = (output.rating - examples.rating[rows]).square().mean()
        click = functional.binary_cross_entropy_with_logits(output.click, examples.liked[rows])
        return loss + self.config.lambda_click * click + self.config.lambda_distil * _imitated(output, examples, rows)

    def _mean_loss(self, head: Head, examples: Examples) -> Tensor:
        """Mean loss over all rows; how well the student is imitated counts too."""
        parts = torch.split(torch.arange(len(examples.rating)), CHUNK)
        return torch.stack([self._loss(head, examples, rows) * len(rows) for rows in parts]).sum() / len(
            examples.rating
        )

    def _scored(self, inputs: Inputs) -> Scores:
        fit = self._fitted()
        parts = _parts(fit.head, inputs)
        rating = torch.cat([part.rating for part in parts]) * (self.scale.high - self.scale.low) + self.scale.low
        click = torch.cat([part.click for part in parts]) * fit.calibration[0] + fit.calibration[1]
        return Scores(rating.numpy(), click.sigmoid().numpy())

    def _loop(self) -> LoopSettings:
        c = self.config
        return LoopSettings(
            c.epochs, c.patience, c.batch_size, c.learning_rate, c.weight_decay, label=f"train {self.name}"
        )

    def _fitted(self) -> Fit:
        if self._fit is None:
            raise TrainingError("reasoning_rec was asked to score before it was fitted.", remedy="Call fit or load.")
        return self._fit


def _untutored(why: str) -> StudentRecord:
    logger.warning("reasoning_rec tunes no student: %s.", why)
    return StudentRecord(False, why)


def _record(student: Tutored, n_shots: int, n_distilled: int) -> StudentRecord:
    report = student.report
    if report is None:
        raise TrainingError("The student was asked before it was tuned.")
    score = max(report.scores, default=None)
    return StudentRecord(True, "", n_shots, n_distilled, score, report.tokens + student.n_tokens, report.seconds)


def _imitated(output: Output, examples: Examples, rows: Tensor) -> Tensor:
    """Cross-entropy of the imitation against the student's probability, mean over the rows that have one; else 0."""
    taught = examples.taught[rows]
    known = ~taught.isnan()
    if not known.any():
        return output.imitation.new_zeros(())
    return functional.binary_cross_entropy_with_logits(output.imitation[known], taught[known])


def _parts(head: Head, inputs: Inputs) -> list[Output]:
    return [head(part.each()) for part in inputs.chunks(CHUNK)]
