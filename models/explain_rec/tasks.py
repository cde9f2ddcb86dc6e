"""Tasks that are learned together: what a consumer thinks of attributes, and whether tasks pull in one direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from features.batch import TrainingSet


def attribute_preferences(examples: TrainingSet, numbers: Tensor) -> Tensor:
    """(N, A) whether the consumer rates other products with each attribute of the row's above their own mean.

    1 above, 0 below, NaN where no other row of theirs has the attribute or where it is just their mean. A row's own
    outcome has no part in its labels.

    Args:
        examples: N rows.
        numbers: (N, A) their products' attributes, 0 = none.
    """
    who = pd.factorize(examples.batch.consumers.consumer_ids)[0]
    stars = pd.Series(examples.rating.astype(np.float64))
    above = (stars - stars.groupby(who).transform("mean")).to_numpy()
    row, column = np.nonzero(numbers.numpy())
    frame = pd.DataFrame({"who": who[row], "attribute": numbers.numpy()[row, column], "above": above[row]})
    by = frame.groupby(["who", "attribute"])["above"]
    n_others = by.transform("size") - 1
    others = (by.transform("sum") - frame["above"]) / n_others.where(n_others > 0)
    labels = np.full(numbers.shape, np.nan, np.float32)
    labels[row, column] = np.where(others.abs() > 1e-6, others > 0, np.nan)
    return torch.from_numpy(labels)


def gradient_cosines(losses: Mapping[str, Tensor], shared: Sequence[nn.Parameter]) -> dict[str, float]:
    """Cosine between the gradients of each two tasks in the weights they share: below 0 they pull apart.

    A task whose loss does not reach the weights has no cosine.
    """
    gradients: dict[str, NDArray[np.float64]] = {}
    for name, loss in losses.items():
        if not loss.requires_grad:
            continue
        parts = torch.autograd.grad(loss, list(shared), retain_graph=True, allow_unused=True)
        reached = [torch.zeros_like(it) if part is None else part for it, part in zip(shared, parts, strict=True)]
        gradients[name] = torch.cat([part.flatten() for part in reached]).double().numpy()
    cosines = {}
    for a, b in combinations(gradients, 2):
        length = np.linalg.norm(gradients[a]) * np.linalg.norm(gradients[b])
        if length > 0:
            cosines[f"{a}-{b}"] = round(float(gradients[a] @ gradients[b] / length), 4)
    return cosines
