"""The training loop reports both losses of every epoch and keeps the best one's weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.base import FitReport, RunContext
from models.training import LoopSettings, fit_module, masked_cross_entropy, seeded

TARGET = torch.tensor([1.0, 2.0, 3.0])


class Constant(nn.Module):
    """One number, which three targets pull at."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(()))


def fitted(batch_size: int, epochs: int = 4, rate: float = 1e-6) -> tuple[Constant, FitReport]:
    module = Constant()

    def loss(rows: Tensor) -> Tensor:
        return ((module.value - TARGET[rows]) ** 2).mean()

    settings = LoopSettings(epochs, patience=epochs, batch_size=batch_size, learning_rate=rate)
    with seeded(0):
        return module, fit_module(module, 3, loss, lambda: loss(torch.arange(3)), settings, RunContext())


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_the_training_loss_is_the_mean_over_rows_whatever_the_batches(batch_size: int) -> None:
    _, report = fitted(batch_size)
    assert len(report.train_loss) == len(report.valid_loss) == report.epochs == 4
    assert report.train_loss[0] == pytest.approx(14 / 3, abs=1e-4)


def test_the_best_epoch_is_kept() -> None:
    module, report = fitted(3, epochs=60, rate=0.3)
    assert report.valid_loss[report.best_epoch - 1] == min(report.valid_loss)
    assert report.train_loss[-1] < report.train_loss[0]
    assert ((module.value - TARGET) ** 2).mean().item() == pytest.approx(min(report.valid_loss))


def test_unknown_labels_have_no_part_in_the_loss() -> None:
    logits = torch.tensor([[2.0, -7.0]], requires_grad=True)
    loss = masked_cross_entropy(logits, torch.tensor([[1.0, torch.nan]]))
    assert float(loss.detach()) == pytest.approx(np.log1p(np.exp(-2)))
    nothing = masked_cross_entropy(logits, torch.full((1, 2), torch.nan))
    nothing.backward()
    assert float(nothing.detach()) == 0
