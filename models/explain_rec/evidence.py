"""What a fitted ExplainRec shows of its decisions: reasons of each pair, and the weight of each kind of evidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from features.batch import FeatureBatch
from models.explain_rec.attribution import PRIOR, RATINGS, WHOLE, Attributed, attributed
from models.explain_rec.inputs import Pairs
from models.explain_rec.kept import Fit
from models.explain_rec.network import Output


def kinds_of(fit: Fit) -> tuple[str, ...]:
    """Kinds of evidence: ratings, similar products, prototypes where there are some, and the names of attributes."""
    kinds = (RATINGS, WHOLE) if fit.knowledge is None else (RATINGS, WHOLE, PRIOR)
    return (*kinds, *sorted(set(_names(fit))))


def weights_of(fit: Fit, output: Output, pairs: Pairs) -> Tensor:
    """(B, K) the share of each kind of evidence in all that was added, for and against."""
    kinds = kinds_of(fit)
    size = output.cells.added.abs().sum(1) * fit.calibration[0].abs()  # (B, A + 1)
    kind = torch.tensor([0, *(kinds.index(name) for name in _names(fit))])[pairs.inputs.table("attribute_row")]
    weight = size.new_zeros(len(size), len(kinds)).scatter_add_(1, kind, size[:, :-1])
    weight[:, 0] = fit.calibrate(output.ratings).abs() + 1e-9
    weight[:, 1] = size[:, -1]
    if fit.knowledge is not None:
        weight[:, 2] = (output.prior * fit.calibration[0]).abs()
    return weight / weight.sum(1, keepdim=True)


def reasons_of(fit: Fit, batch: FeatureBatch, outputs: Sequence[Output], pairs: Pairs) -> list[Attributed]:
    """Why each pair was decided as it was."""
    numbers = pairs.inputs.table("attribute_row")
    names = np.array([*("", *fit.preparation.attributes.ids), WHOLE], object)
    added = torch.cat([it.cells.added for it in outputs]) * fit.calibration[0]
    ratings = fit.calibrate(torch.cat([it.ratings for it in outputs]))
    prior = torch.cat([it.prior for it in outputs]) * fit.calibration[0]
    liked = fit.calibrate(torch.cat([it.click for it in outputs])) >= 0
    made = []
    for row in range(len(batch)):
        named = names[[*numbers[row].tolist(), len(names) - 1]]
        history = batch.consumers.history_ids[row]
        cells = [
            (str(named[a]), str(history[event]), float(added[row, event, a]))
            for event, a in added[row].nonzero().tolist()
        ]
        others = {RATINGS: float(ratings[row]), PRIOR: float(prior[row])}
        made.append(attributed(cells, others, bool(liked[row])))
    return made


def _names(fit: Fit) -> list[str]:
    """The name of each attribute value, in the order of their numbers from 1."""
    return [value.partition("=")[0] for value in fit.preparation.attributes.ids]
