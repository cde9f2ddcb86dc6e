"""Tunes a student: steps, early stopping by a score, and a state from which a stopped training goes on.

A training that was stopped at any moment ends in the same adapter: the order of the rows depends on seed and epoch, and
dropout on seed and step. The state is one safetensors file, so adapter, optimiser and progress always belong together.
"""

from __future__ import annotations

import json
import math
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor

from features.errors import TrainingError
from features.types import content_hash
from models.base import Progress, silent
from models.lora.rows import Row, batches
from models.lora.student import Student

STATE = "training.safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")
Validate = Callable[[], float]
"""Called after an epoch; more is better."""
Batch = TypeVar("Batch")


@dataclass(frozen=True)
class TrainingReport:
    """What training took and reached."""

    steps: int
    tokens: int
    """Trained on in all, over resumed runs too."""
    seconds: float
    """Of this run."""
    loss: float
    """On the last tenth of the steps."""
    scores: tuple[float, ...]
    """What `validate` gave, by epoch."""
    best_epoch: int
    """The epoch whose adapter was kept, from 1."""


class Training(ABC, Generic[Batch]):
    """One training: steps over the batches that a subclass makes, by the loss that it gives them.

    Args:
        student: what is trained; holds the best epoch's adapter afterwards, the last one's without `validate`.
        n_rows: what an epoch goes through; `LoraConfig.batch_size` of them make a batch.
        seed: of order and dropout.
        part: folder of the half-done state; None keeps none.
    """

    def __init__(self, student: Student, n_rows: int, seed: int = 0, part: Path | None = None) -> None:
        if not n_rows:
            raise TrainingError("There is no row to tune on.")
        self.student, self.n_rows, self.seed, self.part = student, n_rows, seed, part
        self.optimizer = torch.optim.AdamW(student.trained.values(), lr=student.config.rate, weight_decay=0.0)
        self.losses, self.scores, self.tokens = list[float](), list[float](), 0
        self._best: dict[str, Tensor] = {}

    @abstractmethod
    def batches(self, epoch: int) -> Sequence[Batch]:
        """The batches of an epoch, always the same for its number."""

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """What a step lowers."""

    @abstractmethod
    def n_tokens(self, batch: Batch) -> int:
        """Tokens of a batch."""

    @abstractmethod
    def made_of(self) -> str:
        """Hash of everything that is learned from and how: a state of something else is not taken up."""

    def run(self, progress: Progress = silent, validate: Validate | None = None) -> TrainingReport:
        """All steps that are left. Raises TrainingError if the loss is not finite."""
        started, config = time.perf_counter(), self.student.config
        self._resume()
        each = math.ceil(self.n_rows / config.batch_size)
        total = each * config.epochs
        while len(self.losses) < total and not self._stopped(validate):
            done = len(self.losses)
            progress("tuning", done, total)
            self._step(self.batches(done // each)[done % each], done / total)
            ended = len(self.losses) % each == 0
            if ended and validate is not None:
                self._see(validate())
            if ended or len(self.losses) % config.save_every == 0:
                self._save()
        progress("tuning", len(self.losses), total)
        if validate is not None:
            self._restore_best()
        return self._report(time.perf_counter() - started, each)

    def _step(self, batch: Batch, done: float) -> None:
        config, step = self.student.config, len(self.losses)
        for group in self.optimizer.param_groups:
            group["lr"] = config.rate * schedule(done, config.warmup)
        self.student.network.train()
        with torch.random.fork_rng():
            torch.manual_seed(1_000_003 * self.seed + step)
            loss = self.loss(batch)
        if not bool(loss.isfinite()):
            raise TrainingError(f"The loss became {float(loss.detach())} in step {step}.", remedy="Lower the rate.")
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.student.trained.values(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.tokens += self.n_tokens(batch)
        self.losses.append(float(loss.detach()))

    def _see(self, score: float) -> None:
        if not self.scores or score > max(self.scores):
            self._best = {name: p.detach().clone() for name, p in self.student.trained.items()}
        self.scores.append(score)

    def _stopped(self, validate: Validate | None) -> bool:
        patience = self.student.config.patience
        if validate is None or not patience or not self.scores:
            return False
        return len(self.scores) - 1 - self.scores.index(max(self.scores)) >= patience

    def _restore_best(self) -> None:
        for name, value in self._best.items():
            self.student.trained[name].data.copy_(value)

    def _report(self, seconds: float, each: int) -> TrainingReport:
        last = self.losses[-max(1, len(self.losses) // 10) :]
        best = 1 + self.scores.index(max(self.scores)) if self.scores else len(self.losses) // each
        return TrainingReport(
            steps=len(self.losses),
            tokens=self.tokens,
            seconds=round(seconds, 1),
            loss=round(sum(last) / len(last), 4),
            scores=tuple(self.scores),
            best_epoch=best,
        )

    def _save(self) -> None:
        """Writes everything in one file, so that it belongs together."""
        from safetensors.torch import save_file

        if self.part is None:
            return
        tensors = {f"weight.{name}": p.detach() for name, p in self.student.trained.items()}
        for name, p in self.student.trained.items():
            tensors |= {f"{moment}.{name}": self.optimizer.state[p][moment].detach() for moment in _MOMENTS}
        tensors |= {f"best.{name}": value for name, value in self._best.items()}
        tensors["losses"] = torch.tensor(self.losses, dtype=torch.float64)
        notes = {"of": self.made_of(), "tokens": str(self.tokens), "scores": json.dumps(self.scores)}
        self.part.mkdir(parents=True, exist_ok=True)
        save_file(tensors, self.part / "half", metadata=notes)
        os.replace(self.part / "half", self.part / STATE)

    def _resume(self) -> None:
        """Takes up what was saved, if it was made with the same settings from the same rows."""
        from safetensors import safe_open

        if self.part is None or not (self.part / STATE).exists():
            return
        with safe_open(self.part / STATE, framework="pt") as file:
            notes = file.metadata()
            if notes["of"] != self.made_of():
                return
            names = set(file.keys())
            for name, p in self.student.trained.items():
                p.data.copy_(file.get_tensor(f"weight.{name}"))
                self.optimizer.state[p] = {moment: file.get_tensor(f"{moment}.{name}") for moment in _MOMENTS}
                if f"best.{name}" in names:
                    self._best[name] = file.get_tensor(f"best.{name}")
            self.losses = file.get_tensor("losses").tolist()
        self.tokens, self.scores = int(notes["tokens"]), json.loads(notes["scores"])


class Trainer(Training[list[Row]]):
    """A training on the answers of rows.

    Args:
        student, seed, part: as for `Training`.
        rows: what is learned.
    """

    def __init__(self, student: Student, rows: Sequence[Row], seed: int = 0, part: Path | None = None) -> None:
        super().__init__(student, len(rows), seed, part)
        self.rows = rows

    @property
    def fingerprint(self) -> str:
        """Hash of everything that is learned from."""
        return content_hash([list(row.tokens) for row in self.rows])[:12]

    def batches(self, epoch: int) -> list[list[Row]]:
        """As `Training`: rows of like length together."""
        return batches(self.rows, self.student.config.batch_size, self.seed + epoch)

    def loss(self, batch: list[Row]) -> Tensor:
        """As `Training`."""
        return self.student.loss(batch)[0]

    def n_tokens(self, batch: list[Row]) -> int:
        """As `Training`."""
        return sum(len(row.tokens) for row in batch)

    def made_of(self) -> str:
        """As `Training`."""
        learned = [(row.n_answer, row.decision) for row in self.rows]
        return content_hash(self.student.identity, self.seed, self.fingerprint, learned)

    def mean_loss(self, rows: Sequence[Row]) -> float:
        """Mean loss per answer token of some rows, nothing learned."""
        network, size = self.student.network, self.student.config.batch_size
        network.eval()
        with torch.no_grad():  # what is kept of rows below the changed blocks may be trained on later
            parts = [self.student.loss(rows[n : n + size]) for n in range(0, len(rows), size)]
        network.train()
        return sum(float(loss) * count for loss, count in parts) / sum(count for _, count in parts)


def schedule(done: float, warmup: float) -> float:
    """Factor of the learning rate after that share of the steps."""
    if done < warmup:
        return (done + 1e-3) / warmup
    return 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))
