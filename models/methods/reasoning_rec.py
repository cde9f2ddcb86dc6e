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
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from features.batch import CONTENT_WIDTH, FeatureBatch, ProductBlock, TrainingSet
from features.errors import ReleaseError, TrainingError
from features.types import RatingScale
from models.backbones.calibration import platt
from models.backbones.collaborative import Collaborative, CollaborativeConfig
from models.backbones.held import HeldInputs
from models.backbones.inputs import RATING_BUCKETS, Inputs
from models.backbones.preparation import Preparation, unit_rating
from models.backbones.sequences.batches import contents
from models.base import FitReport, MethodConfig, Recommender, RunContext, Scores, register
from models.held import Held
from models.reasoning.head import CHUNK, Examples, Head, Output, outputs
from models.reasoning.teaching import Questions, StudentConfig, StudentRecord, Taught, teach
from models.threads import torch_threads
from models.training import LoopSettings, fit_module, masked_cross_entropy, require_rows, seeded

STUDENT = "student.json"


class ReasoningRecConfig(MethodConfig):
    """The student's tuning, what is distilled from it, and the head."""

    student: StudentConfig = StudentConfig()
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

    @property
    def rests_on(self) -> tuple[str, ...]:
        """The adapter that the student begins with, if there is one."""
        return self.student.rests_on


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
                calibration = platt(outputs(head, check.inputs).click, check.liked)
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
            chance: Tensor = outputs(fit.head, inputs).imitation.sigmoid()
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
        questions = None if run.ground is None else Questions(run.ground.texts, self.scale)
        return teach(train, valid, questions, self.config.student, run)

    def _head(self, preparation: Preparation, contents: Tensor) -> Head:
        width = self.scale.high - self.scale.low
        liked_from = round((self.scale.like_from - self.scale.low) / width * (RATING_BUCKETS - 1))
        c = self.config
        return Head(c.embedding_size, c.hidden, c.dropout, contents, liked_from)

    def _examples(self, inputs: Inputs, examples: TrainingSet, taught: NDArray[np.float32]) -> Examples:
        rating = unit_rating(examples.rating, self.scale)
        liked = np.asarray(examples.liked, np.float32)
        return Examples(inputs, torch.from_numpy(rating), torch.from_numpy(liked), torch.from_numpy(taught))

    def _loss(self, head: Head, examples: Examples, rows: Tensor) -> Tensor:
        """MSE(rating) + lambda_click BCE(liking) + lambda_distil BCE(imitation, student where it was asked)."""
        output: Output = head(examples.inputs.rows(rows))
        loss = (output.rating - examples.rating[rows]).square().mean()
        click = functional.binary_cross_entropy_with_logits(output.click, examples.liked[rows])
        imitated = masked_cross_entropy(output.imitation, examples.taught[rows])
        return loss + self.config.lambda_click * click + self.config.lambda_distil * imitated

    def _mean_loss(self, head: Head, examples: Examples) -> Tensor:
        """Mean loss over all rows; how well the student is imitated counts too."""
        parts = torch.split(torch.arange(len(examples.rating)), CHUNK)
        return torch.stack([self._loss(head, examples, rows) * len(rows) for rows in parts]).sum() / len(
            examples.rating
        )

    def _scored(self, inputs: Inputs) -> Scores:
        fit = self._fitted()
        output = outputs(fit.head, inputs)
        rating = output.rating * (self.scale.high - self.scale.low) + self.scale.low
        click = output.click * fit.calibration[0] + fit.calibration[1]
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
