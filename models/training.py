"""The one training loop: mini-batches by row number, early stopping, clipping, and a NaN that stops everything."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from features.errors import TrainingError
from models.base import FitReport, RunContext
from models.threads import torch_threads

RowLoss = Callable[[Tensor], Tensor]
"""Loss (a scalar tensor) of the rows with these numbers, int64 (B,)."""


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
    valid_loss: Callable[[], float],
    settings: LoopSettings,
    run: RunContext,
) -> FitReport:
    """Trains until the validation loss stops falling and leaves the best epoch's weights in the module.

    Args:
        module: what is trained, on its device already.
        n_rows: number of training rows; each epoch visits every row once, in a new order.
        train_loss: loss of some rows with gradients; the module is in training mode.
        valid_loss: loss by which epochs are compared; the module is in evaluation mode, without gradients.
        settings: epochs, patience, batch size and rates.
        run: seed, device and progress.

    Raises:
        TrainingError: there is no row, or a loss is not finite.
    """
    if n_rows == 0:
        raise TrainingError("There is no row to train on.", remedy="Check the split and the contracts before it.")
    started = time.monotonic()
    optimizer = torch.optim.AdamW(module.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    order = torch.Generator().manual_seed(run.seed)
    history: list[float] = []
    learned: list[float] = []
    best, best_epoch, best_state = math.inf, 0, copy.deepcopy(module.state_dict())
    for epoch in range(1, settings.epochs + 1):
        module.train()
        total = 0.0
        for rows in torch.split(torch.randperm(n_rows, generator=order), settings.batch_size):
            loss = train_loss(rows.to(run.device))
            total += _step(module, optimizer, loss, settings.clip_norm, epoch) * len(rows)
        learned.append(total / n_rows)
        module.eval()
        with torch.no_grad():
            history.append(_finite(valid_loss(), "validation", epoch))
        run.progress(settings.label, epoch, settings.epochs)
        if history[-1] < best:
            best, best_epoch, best_state = history[-1], epoch, copy.deepcopy(module.state_dict())
        elif epoch - best_epoch >= settings.patience:
            break
    module.load_state_dict(best_state)
    module.eval()
    seconds = time.monotonic() - started
    return FitReport(len(history), best_epoch, tuple(history), seconds, n_parameters(module), tuple(learned))


def _step(module: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor, clip: float, epoch: int) -> float:
    """One optimiser step on a loss that must be finite; returns the loss before it."""
    before = _finite(loss.item(), "training", epoch)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(module.parameters(), clip)
    optimizer.step()
    return before


def _finite(loss: float, which: str, epoch: int) -> float:
    """The loss itself. Raises TrainingError if it is NaN or infinite."""
    if math.isfinite(loss):
        return loss
    raise TrainingError(
        f"The {which} loss became {loss} in epoch {epoch}.",
        "It must stay finite.",
        "Look for NaN or huge values in the features, then lower learning_rate.",
    )
