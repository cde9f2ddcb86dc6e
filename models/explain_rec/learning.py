"""Rows that ExplainRec's network learns from, as they are and as strangers' and newcomers', and its tasks' losses."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from features.batch import TrainingSet
from features.types import RatingScale
from features.visuals import VisualTable
from models.backbones.calibration import platt
from models.backbones.factorization import Belief, joined
from models.backbones.preparation import Preparation, unit_rating
from models.explain_rec.ground import Strangers
from models.explain_rec.inputs import Pairs, as_new, as_strangers, pairs_of, priors_of
from models.explain_rec.knowledge import KnowledgeBase
from models.explain_rec.network import ExplainNetwork, Output
from models.explain_rec.tasks import attribute_preferences, gradient_cosines
from models.training import masked_cross_entropy

CHUNK = 2048
N_COMPARED = 2048
"""Training rows on which the tasks' gradients are compared."""
TASKS = ("like", "rating", "attributes", "student")


class Examples(NamedTuple):
    """N rows to learn from."""

    pairs: Pairs
    rating: Tensor  # (N,) 0..1
    liked: Tensor  # (N,) 0 or 1
    taught: Tensor  # (N,) probability of the student, NaN where it was not asked
    preferred: Tensor  # (N, A) 1, 0 or NaN


class Known(NamedTuple):
    """N rows with what is believed of them and what the student says."""

    rows: TrainingSet
    belief: Belief
    taught: NDArray[np.float32]  # (N,)


class Knowing(NamedTuple):
    """What a network may know beside the rows themselves."""

    knowledge: KnowledgeBase | None
    """What the rows as they are may ask; it must not rest on them."""
    visuals: VisualTable | None
    strangers: Strangers | None
    asks_strangers: bool
    """Whether those who are hidden ask the prototypes that were made without them."""


def examples_of(preparation: Preparation, known: Known, knowing: Knowing, scale: RatingScale) -> Examples:
    """Rows as they are; behind them once more those of hidden consumers as strangers', of hidden products as new."""
    n, rows, belief = len(known.rows), known.rows, known.belief
    prior = priors_of(knowing.knowledge, rows.batch)
    if knowing.strangers is not None:
        rows, belief, prior = _with_hidden(known, knowing.strangers, prior, knowing.asks_strangers)
    pairs = pairs_of(preparation, rows.batch, belief, knowing.visuals, prior)
    taught = np.concatenate([known.taught, np.full(len(rows) - n, np.nan, np.float32)])
    return Examples(
        pairs,
        torch.from_numpy(unit_rating(rows.rating, scale)),
        torch.from_numpy(np.asarray(rows.liked, np.float32)),
        torch.from_numpy(taught),
        attribute_preferences(rows, pairs.inputs.table("attribute_row")),
    )


def _with_hidden(
    known: Known, strangers: Strangers, prior: NDArray[np.float32], asks: bool
) -> tuple[TrainingSet, Belief, NDArray[np.float32]]:
    """The rows, beliefs and priors with those of the hidden behind them."""
    n, rows, belief = len(known.rows), known.rows, known.belief
    who, what = strangers.rows_of(rows.batch)
    rows, place = rows.take(np.concatenate([np.arange(n), who, what])), np.arange(n + len(who) + len(what))
    batch = as_strangers(rows.batch, (place >= n) & (place < n + len(who)))
    rows = replace(rows, batch=as_new(batch, place >= n + len(who)))
    unknown = rows.batch.take(place[n:])
    if len(unknown):
        belief = joined([belief, strangers.collaborative.believe(unknown)])
        asked = priors_of(strangers.knowledge if asks else None, unknown)
        asked[len(who) :] = 0  # consumers of new products' rows are known to the prototypes
        prior = np.concatenate([prior, asked])
    return rows, belief, prior


def task_losses(network: ExplainNetwork, examples: Examples, rows: Tensor) -> dict[str, Tensor]:
    """Each task's loss (), the mean over some rows; those of parts that are off are left out."""
    output: Output = network(examples.pairs.rows(rows))
    parts, liked = network.parts, examples.liked[rows]
    losses = {"like": functional.binary_cross_entropy_with_logits(output.click, liked)}
    if parts.multi_task:
        losses["rating"] = (output.rating - examples.rating[rows]).square().mean()
        losses["attributes"] = masked_cross_entropy(output.attributes, examples.preferred[rows])
    if parts.attribution:
        # The decision stands; what the reasons alone add up to is moved to it, until no remainder is needed.
        reasons = output.ratings + output.cells.total + output.prior
        losses["agree"] = functional.binary_cross_entropy_with_logits(reasons, output.click.detach().sigmoid())
    if parts.vision:
        numbers = torch.unique(examples.pairs.inputs.product[rows])
        losses["align"] = network.alignment(numbers[numbers > 0])
    if bool(network.tutored):
        losses["student"] = masked_cross_entropy(output.opinion, examples.taught[rows])
    return losses


def task_cosines(network: ExplainNetwork, examples: Examples) -> dict[str, float]:
    """Between the gradients of each two tasks, on some rows."""
    losses = task_losses(network, examples, torch.randperm(len(examples.pairs))[:N_COMPARED])
    return gradient_cosines({name: losses[name] for name in TASKS if name in losses}, network.shared)


def outputs(network: ExplainNetwork, pairs: Pairs) -> list[Output]:
    """What the network says of N pairs, chunk by chunk."""
    return [network(pairs.rows(rows)) for rows in torch.split(torch.arange(len(pairs)), CHUNK)]


def calibrated(network: ExplainNetwork, examples: Examples, n_known: int) -> Tensor:
    """Platt's scale and shift (2,) from the first rows, whose consumers are known."""
    with torch.no_grad():
        logits = torch.cat([output.click for output in outputs(network, examples.pairs)])
    return platt(logits[:n_known], examples.liked[:n_known])
