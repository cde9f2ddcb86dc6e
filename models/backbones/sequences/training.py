"""The one training loop of sequence models: windows, one cycle of the learning rate, and the best epoch by NDCG@10.

Where nothing is held out the last epoch stays: under one cycle it is the one that was annealed, so no event has to be
kept back to stop.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from features.errors import TrainingError
from models.backbones.histories import Histories
from models.backbones.sequences.encoders import Asks
from models.backbones.sequences.losses import LossKind, make_loss
from models.backbones.sequences.network import SequenceNetwork
from models.backbones.sequences.windows import MASK, Asked, Windows
from models.base import FitReport, MethodConfig, RunContext
from models.training import n_parameters, seeded

_CUTS = 8
"""Places of a window that an encoder which answers at the last one learns from in a step: each is a row of its own."""
Judge = Callable[[], float]
"""NDCG@10 of the network as it is, in evaluation mode and without gradients."""
Lesson = Callable[[Asked], Tensor]
"""The mean loss () of a batch of windows."""


class TrainingConfig(MethodConfig):
    """How a sequence model learns."""

    loss: LossKind = "softmax"
    """`softmax` over the catalogue, or `one_negative` per event as SASRec and LANE were published."""
    learning_rate: float = 3e-3
    """Highest rate of the one cycle it follows (up in the first 15 % of the steps, then down to nothing)."""
    weight_decay: float = 0.0
    epochs: int = 20
    patience: int = 5
    """Epochs without a better NDCG@10 after which training stops, where there is something to judge by."""
    batch_size: int = 32
    """Windows per step."""
    max_candidates: int = 2048
    """Products in one step's softmax: a larger catalogue is sampled."""
    masked_share: float = 0.2
    """Share of the places that a masked encoder is asked for (BERT4Rec's rho)."""


def train(
    network: SequenceNetwork,
    histories: Histories,
    length: int,
    config: TrainingConfig,
    run: RunContext,
    judge: Judge | None = None,
    lesson: Lesson | None = None,
) -> FitReport:
    """Trains the network on its device and leaves it in evaluation mode.

    Args:
        network: what is trained.
        histories: all events to learn from.
        length: T, the events that the network reads.
        config: how long, how fast, by which loss.
        run: seed, device and progress.
        judge: how good the network is now; the best epoch's weights are kept. Without it the last epoch's are.
        lesson: what is learned; by default what comes next, by the config's loss.

    Returns:
        Losses by epoch; `valid_loss` is 1 - NDCG@10, empty without a judge.

    Raises:
        TrainingError: no history has two events, or a loss is not finite.
    """
    started, random = time.monotonic(), np.random.default_rng(run.seed)
    losses, judged, best = list[float](), list[float](), network.state_dict()
    with seeded(run.seed):
        taught = lesson or _next_product(network, histories, config)
        for loss in _epochs(network, histories, length, config, run, random, taught):
            losses.append(loss)
            if judge is None:
                continue
            with torch.no_grad():
                judged.append(1 - judge())
            if judged[-1] == min(judged):
                best = copy.deepcopy(network.state_dict())
            if len(judged) - _best(judged) >= config.patience:
                break
    network.load_state_dict(best)
    best_epoch = _best(judged) if judged else len(losses)
    seconds = time.monotonic() - started
    return FitReport(len(losses), best_epoch, tuple(judged), seconds, n_parameters(network), tuple(losses))


def _epochs(
    network: SequenceNetwork,
    histories: Histories,
    length: int,
    config: TrainingConfig,
    run: RunContext,
    random: np.random.Generator,
    lesson: Lesson,
) -> Iterator[float]:
    """Yields the mean loss of each epoch, with the network in evaluation mode."""
    per_epoch = len(Windows.of(histories, length, random)) // config.batch_size + 2
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, config.learning_rate, weight_decay=config.weight_decay, fused=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.epochs * per_epoch, pct_start=0.15
    )
    for epoch in range(1, config.epochs + 1):
        windows, total = Windows.of(histories, length, random), 0.0
        if not len(windows):
            raise TrainingError("No history has two events.", remedy="Train the sequence model on longer histories.")
        network.train()
        for batch in windows.batches(config.batch_size):
            loss = lesson(batch.to(run.device))
            if not torch.isfinite(loss):
                raise TrainingError(f"The sequence model's loss became {loss.item()} in epoch {epoch}.")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            cycle.step()
            total += loss.item() * len(batch.history)
        network.eval()
        run.progress("sequence", epoch, config.epochs)
        yield total / len(windows)


def _next_product(network: SequenceNetwork, histories: Histories, config: TrainingConfig) -> Lesson:
    """Mean loss of what is asked of a batch of windows."""
    loss_of = make_loss(config.loss, histories, config.max_candidates)

    def lesson(window: Asked) -> Tensor:
        question, answer = places(window, network.encoder.asks, config.masked_share)
        wanted = answer > 0
        consumer = question.consumer.unsqueeze(1).expand_as(answer)[wanted]
        states, penalty = network.lesson(question, wanted)
        return loss_of(network, states, answer[wanted] - 1, consumer) + penalty

    return lesson


def places(window: Asked, asks: Asks, share: float) -> tuple[Asked, Tensor]:
    """What is asked of windows (B, T + 1), and the number + 1 that each place should say, 0 where it is not asked."""
    if asks is Asks.MASKED:
        return masked_places(window, share)
    return next_places(window) if asks is Asks.NEXT else cut_places(window)


def next_places(window: Asked) -> tuple[Asked, Tensor]:
    """Windows (B, T + 1) as histories (B, T), and the number + 1 of what came after each event, 0 elsewhere."""
    history, following = window.history[:, :-1], window.history[:, 1:]
    return Asked(history, window.consumer, window.events - 1), following * (history > 0)


def masked_places(window: Asked, share: float) -> tuple[Asked, Tensor]:
    """Windows (B, T + 1) as histories (B, T) with masks, and the number + 1 of what they hide, 0 elsewhere.

    Each place is masked with the probability `share`, the last one of every fourth window alone: that is what will be
    asked. A window without a mask gets one at its end.
    """
    history = window.history[:, 1:]
    last = torch.zeros_like(history, dtype=torch.bool)
    last[:, -1] = True
    hidden = (torch.rand(history.shape, device=history.device) < share) & (history > 0)
    alone = torch.rand(len(history), 1, device=history.device) < 1 / 4
    hidden = torch.where(alone | ~hidden.any(1, keepdim=True), last, hidden)
    return Asked(history.masked_fill(hidden, MASK), window.consumer, window.events), history * hidden


def cut_places(window: Asked) -> tuple[Asked, Tensor]:
    """Windows (B, T + 1) cut at some places: C histories (C, T') with what came, and its number + 1, 0 but at the end.

    Up to `_CUTS` places of each window are drawn, among those that have an event at and after them.
    """
    history, following = window.history[:, :-1], window.history[:, 1:]
    length = history.shape[1]
    chance = torch.rand(history.shape, device=history.device).masked_fill((history == 0) | (following == 0), -1)
    drawn, place = chance.topk(min(_CUTS, length))
    row, which = torch.nonzero(drawn >= 0, as_tuple=True)
    end = place[row, which]
    column = torch.arange(length, device=end.device) + (end - length + 1).unsqueeze(1)
    cut = history[row].gather(1, column.clamp(min=0)).masked_fill(column < 0, 0)
    came, events = following[row, end], window.events[row] - (length - end)
    question = Asked(cut, window.consumer[row], events, came).trimmed()
    return question, functional.pad(came.unsqueeze(1), (question.history.shape[1] - 1, 0))


def _best(judged: list[float]) -> int:
    """The epoch with the lowest value, from 1."""
    return 1 + judged.index(min(judged))
