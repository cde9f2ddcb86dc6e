"""Predictions that mean what they say: the level and Platt scaling of logits, logistic regression on a few numbers, and
the best mix of two predictions.

Source: Platt, "Probabilistic outputs for support vector machines", 1999.
"""

from __future__ import annotations

import torch
from torch import Tensor

_STEPS = 50
_RIDGE = 1e-3
"""Pull towards rest, in rows: what few or one-sided rows fall back to."""


def platt(logits: Tensor, liked: Tensor) -> Tensor:
    """Scale a and shift b (2,) under which sigmoid(a logit + b) fits what happened best.

    Args:
        logits: (N,).
        liked: (N,) 0 or 1.
    """
    return logistic(torch.stack([logits, torch.ones_like(logits)], dim=1), liked, torch.tensor([1.0, 0.0]))


def level(logits: Tensor, liked: Tensor) -> Tensor:
    """What () added to logits (N,) makes their mean chance the share that is liked (N,), by Newton's method.

    A row more of each kind counts, so that the share is never 0 or 1.
    """
    logits = logits.double()
    share = (liked.double().sum() + 1) / (len(liked) + 2)
    value = torch.zeros((), dtype=torch.float64)
    for _ in range(_STEPS):
        chance = (logits + value).sigmoid()
        step = (chance.mean() - share) / (chance * (1 - chance)).mean()
        value = value - step.clamp(-1, 1)
        if step.abs() < 1e-9:
            break
    return value.float()


def share_of_step(start: Tensor, end: Tensor, truth: Tensor) -> Tensor:
    """How far () to go from one prediction (N,) towards another: the share, 0..1, with the least squared error.

    All of the way where the two are the same.
    """
    step = end - start
    share = (step @ (truth - start)) / step.square().sum()
    return share.nan_to_num(1.0).clamp(0, 1)


def logistic(design: Tensor, liked: Tensor, at_rest: Tensor) -> Tensor:
    """Weights (K,) under which sigmoid(design w) fits what happened best.

    Newton's method on the cross-entropy, with a pull towards `at_rest` (K,) that matters on few or one-sided rows only.

    Args:
        design: (N, K).
        liked: (N,) 0 or 1.
        at_rest: what the weights are without rows.
    """
    design, at_rest = design.double(), at_rest.double()
    value, pull = at_rest.clone(), torch.eye(len(at_rest), dtype=torch.float64) * max(1.0, _RIDGE * len(liked))
    for _ in range(_STEPS):
        chance = (design @ value).sigmoid()
        gradient = design.T @ (chance - liked) + pull @ (value - at_rest)
        curvature = (design * (chance * (1 - chance)).unsqueeze(1)).T @ design + pull
        step = torch.linalg.solve(curvature, gradient)
        value = value - step
        if step.abs().max() < 1e-9:
            break
    return value.float()
