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
from models.threads import torch_threads

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
    started = time.monotonic()
    best, learned = _Best(module), []
    for epoch, loss in _epochs(module, n_rows, train_loss, settings, run):
        learned.append(loss)
        with torch.no_grad():
            best.see(_finite(valid_loss(), "validation", epoch), epoch)
        if epoch - best.last >= settings.patience:
            break
    best.restore()
    seconds = time.monotonic() - started
    return FitReport(len(learned), best.epoch, tuple(best.history), seconds, n_parameters(module), tuple(learned))


def fit_epochs(module: nn.Module, n_rows: int, train_loss: RowLoss, settings: LoopSettings, run: RunContext) -> None:
    """Trains for all of the settings' epochs, where how many there are was chosen before. Raises TrainingError."""
    for _ in _epochs(module, n_rows, train_loss, settings, run):
        pass


def _epochs(
    module: nn.Module, n_rows: int, train_loss: RowLoss, settings: LoopSettings, run: RunContext
) -> Iterator[tuple[int, float]]:
    """Yields after each epoch: its number and its mean training loss, with the module in evaluation mode."""
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    order = torch.Generator().manual_seed(run.seed)
    for epoch in range(1, settings.epochs + 1):
        module.train()
        total = 0.0
        for rows in torch.split(torch.randperm(n_rows, generator=order), settings.batch_size):
            loss = train_loss(rows.to(run.device))
            total += _step(module, optimizer, loss, settings.clip_norm, epoch) * len(rows)
        module.eval()
        run.progress(settings.label, epoch, settings.epochs)
        yield epoch, total / n_rows


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
