"""The one training loop: mini-batches by row number, early stopping, clipping, and a NaN that stops everything."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from features.errors import TrainingError
from models.base import FitReport, RunContext
from models.checkpoint import Checkpoint, random_state, set_random_state, under
from models.threads import torch_threads

_LOSS = "/loss"
"""Name of the lowest losses among the best weights; no weight's name starts so."""
RowLoss = Callable[[Tensor], Tensor]
"""Loss of the rows with these numbers, int64 (B,): (), or (M,) for `Members`, whose losses are their own."""


def require_rows(train: Sized, valid: Sized) -> None:
    """Raises TrainingError unless there are rows to learn from and rows to choose by."""
    if not len(train) or not len(valid):
        raise TrainingError(
            f"There are {len(train)} training and {len(valid)} validation rows; both must have some.",
            remedy="Check the split of the recipe.",
        )


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast to learn."""

    epochs: int
    patience: int
    """Epochs without a better validation loss before the loop stops."""
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    label: str = "train"
    """What progress is reported as."""


def n_parameters(module: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Makes everything inside depend on `seed` alone and leaves the caller's random state as it was.

    On one thread: sums do not depend on how many cores there are, and networks this small gain nothing from a second
    one (one observation on a busy machine: about 18 s an epoch on two threads, 0.7 s on one).
    """
    with torch.random.fork_rng(), torch_threads(1):
        torch.manual_seed(seed)
        yield


def fit_module(
    module: nn.Module,
    n_rows: int,
    train_loss: RowLoss,
    valid_loss: Callable[[], Tensor],
    settings: LoopSettings,
    run: RunContext,
) -> FitReport:
    """Trains until the validation loss stops falling and leaves the best epoch's weights in the module.

    Of `Members`, each keeps the weights of its own best epoch, and the loop stops once none gets better.

    Args:
        module: what is trained, on its device already.
        n_rows: number of training rows; each epoch visits every row once, in a new order.
        train_loss: loss of some rows with gradients; the module is in training mode.
        valid_loss: loss by which epochs are compared, () or (M,); the module is in evaluation mode, without gradients.
        settings: epochs, patience, batch size and rates.
        run: seed, device and progress.

    Raises:
        TrainingError: there is no row, or a loss is not finite.
    """
    if n_rows == 0:
        raise TrainingError("There is no row to train on.", remedy="Check the split and the contracts before it.")
    best = _Best(module)
    training = _Training(module, n_rows, settings, run, best)
    for epoch in training.epochs(train_loss):
        with torch.no_grad():
            best.see(_finite(valid_loss(), "validation", epoch), epoch)
        if epoch - best.last >= settings.patience:
            break
    training.finish()
    best.restore()
    learned = tuple(training.learned)
    return FitReport(len(learned), best.epoch, tuple(best.history), training.seconds, n_parameters(module), learned)


def fit_epochs(module: nn.Module, n_rows: int, train_loss: RowLoss, settings: LoopSettings, run: RunContext) -> None:
    """Trains for all of the settings' epochs, where how many there are was chosen before. Raises TrainingError."""
    training = _Training(module, n_rows, settings, run)
    for _ in training.epochs(train_loss):
        pass
    training.finish()


class _Training:
    """A module in training with all that it takes to go on: where the run keeps states, a killed one does so."""

    def __init__(
        self, module: nn.Module, n_rows: int, settings: LoopSettings, run: RunContext, best: _Best | None = None
    ) -> None:
        self.module, self.n_rows, self.settings, self.run, self.best = module, n_rows, settings, run, best
        self.optimizer = torch.optim.AdamW(
            module.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        self.order = torch.Generator().manual_seed(run.seed)
        self.learned: list[float] = []
        """Mean training loss of each finished epoch."""
        self._drawn = self.order.get_state()  # before the order of the present epoch was drawn
        self._step, self._total, self._finished = 0, 0.0, False
        self._before, self._started = 0.0, time.monotonic()
        self._checkpoint = Checkpoint.of(run, module, settings, n_rows, run.seed, run.device)
        self._resume()

    @property
    def seconds(self) -> float:
        """Spent on training, with what killed runs had reached."""
        return self._before + time.monotonic() - self._started

    def epochs(self, train_loss: RowLoss) -> Iterator[int]:
        """Yields each epoch that is left after its last step, with the module in evaluation mode."""
        n_epochs = 0 if self._finished else self.settings.epochs
        for epoch in range(len(self.learned) + 1, n_epochs + 1):
            self.module.train()
            self._drawn = self.order.get_state()
            rows = torch.randperm(self.n_rows, generator=self.order)
            for batch in torch.split(rows, self.settings.batch_size)[self._step :]:
                if self._checkpoint.due:
                    self._save()
                loss = train_loss(batch.to(self.run.device))
                self._total += _step(self.module, self.optimizer, loss, self.settings.clip_norm, epoch) * len(batch)
                self._step += 1
            self.module.eval()
            self.learned.append(self._total / self.n_rows)
            self._step, self._total = 0, 0.0
            self.run.progress(self.settings.label, epoch, self.settings.epochs)
            yield epoch

    def finish(self) -> None:
        """Keeps that nothing is left to do, for a fit that is killed in one of its later parts."""
        self.module.eval()
        if not self._finished:
            self._finished = True
            self._save()

    def _save(self) -> None:
        moments = {
            f"moment.{place}.{name}": value
            for place, state in self.optimizer.state_dict()["state"].items()
            for name, value in state.items()
        }
        module = {f"module.{name}": value for name, value in self.module.state_dict().items()}
        best = {f"best.{name}": value for name, value in self.best.tensors.items()} if self.best else {}
        tensors = {**module, **moments, **best, **random_state(self.run.device), "order": self._drawn}
        notes = {
            "learned": self.learned,
            "step": self._step,
            "total": self._total,
            "finished": self._finished,
            "seconds": self.seconds,
            "history": self.best.history if self.best else [],
            "last": self.best.last if self.best else 0,
        }
        self._checkpoint.write(tensors, notes)

    def _resume(self) -> None:
        """Takes up what was kept, if anything was."""
        kept = self._checkpoint.read()
        if kept is None:
            return
        tensors, notes = kept
        self.module.load_state_dict(under("module.", tensors))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in under("moment.", tensors).items():
            place, _, moment = name.partition(".")
            moments.setdefault(int(place), {})[moment] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        if self.best:
            self.best.resume(under("best.", tensors), notes["history"], notes["last"])
        set_random_state(tensors, self.run.device)
        self.order.set_state(tensors["order"])
        self.learned, self._step, self._total = notes["learned"], notes["step"], notes["total"]
        self._finished, self._before = notes["finished"], notes["seconds"]
        if not self._finished:
            self.run.progress(self.settings.label, len(self.learned), self.settings.epochs)


class _Best:
    """The best weights so far, member by member."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._state = copy.deepcopy(module.state_dict())
        self._loss = torch.tensor(math.inf)
        self.history: list[float] = []
        self.last = 0
        """The last epoch in which any member got better."""

    @property
    def epoch(self) -> int:
        """The epoch with the lowest mean loss."""
        return 1 + min(range(len(self.history)), key=self.history.__getitem__, default=-1)

    def see(self, loss: Tensor, epoch: int) -> None:
        """Keeps the weights of the members whose loss () or (M,) is the lowest so far."""
        self.history.append(loss.mean().item())
        better = loss < self._loss
        self._loss = torch.where(better, loss, self._loss)
        if not better.any():
            return
        self.last = epoch
        for name, now in self._module.state_dict().items():
            chosen = better.view(better.shape + (1,) * (now.dim() - better.dim()))
            self._state[name] = torch.where(chosen, now, self._state[name])

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The best weights by name, and under `_LOSS` the loss they had."""
        return {**self._state, _LOSS: self._loss}

    def resume(self, tensors: dict[str, Tensor], history: list[float], last: int) -> None:
        """Takes up what was kept of another run."""
        self._loss = tensors.pop(_LOSS).to(self._loss.device)
        self._state = {name: tensors[name].to(now.device) for name, now in self._state.items()}
        self.history, self.last = history, last

    def restore(self) -> None:
        """Puts the best weights into the module."""
        self._module.load_state_dict(self._state)
        self._module.eval()


def _step(module: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor, clip: float, epoch: int) -> float:
    """One optimiser step on a loss () or (M,) that must be finite; returns the mean loss before it."""
    optimizer.zero_grad(set_to_none=True)
    _finite(loss, "training", epoch).sum().backward()  # type: ignore[no-untyped-call]
    _clip([p.grad for p in module.parameters() if p.grad is not None], clip, loss.dim())
    optimizer.step()
    return loss.mean().item()


def _clip(gradients: list[Tensor], limit: float, member_dims: int) -> None:
    """Shortens the gradients of each member to the limit, in place."""
    squares = [gradient.reshape(*gradient.shape[:member_dims], -1).square().sum(-1) for gradient in gradients]
    scale = (limit / torch.stack(squares).sum(0).sqrt().clamp(min=1e-12)).clamp(max=1)
    for gradient in gradients:
        gradient.mul_(scale.view(scale.shape + (1,) * (gradient.dim() - member_dims)))


def _finite(loss: Tensor, which: str, epoch: int) -> Tensor:
    """The loss itself. Raises TrainingError if any of it is NaN or infinite."""
    if bool(loss.isfinite().all()):
        return loss
    raise TrainingError(
        f"The {which} loss became {loss.tolist()} in epoch {epoch}.",
        "It must stay finite.",
        "Look for NaN or huge values in the features, then lower learning_rate.",
    )


def masked_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross-entropy over the labels that are not NaN; 0 where all are."""
    known = ~labels.isnan()
    if not bool(known.any()):
        return logits.sum() * 0
    return functional.binary_cross_entropy_with_logits(logits[known], labels[known])
