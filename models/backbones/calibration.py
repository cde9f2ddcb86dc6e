"""Probabilities that mean what they say: Platt scaling of logits.

Source: Platt, "Probabilistic outputs for support vector machines", 1999.
"""

from __future__ import annotations

import torch
from torch import Tensor

_STEPS = 50
_RIDGE = 1e-3
"""Pull of the scale towards 1 and of the shift towards 0, in rows: what few or one-sided rows fall back to."""


def platt(logits: Tensor, liked: Tensor) -> Tensor:
    """Scale a and shift b (2,) under which sigmoid(a logit + b) fits what happened best.

    Newton's method on the cross-entropy, with a pull towards a = 1 and b = 0 that matters on few rows only.

    Args:
        logits: (N,).
        liked: (N,) 0 or 1.
    """
    design = torch.stack([logits, torch.ones_like(logits)], dim=1).double()
    at_rest = torch.tensor([1.0, 0.0], dtype=torch.float64)
    value, pull = at_rest.clone(), torch.eye(2, dtype=torch.float64) * max(1.0, _RIDGE * len(logits))
    for _ in range(_STEPS):
        chance = (design @ value).sigmoid()
        gradient = design.T @ (chance - liked) + pull @ (value - at_rest)
        curvature = (design * (chance * (1 - chance)).unsqueeze(1)).T @ design + pull
        step = torch.linalg.solve(curvature, gradient)
        value = value - step
        if step.abs().max() < 1e-9:
            break
    return value.float()
