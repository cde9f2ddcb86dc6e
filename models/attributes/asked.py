"""Attribute scores asked of a language model as text: the requests, and the parser h of its answers.

Source: arXiv 2504.11658: e_i^g = h(f(item description | prompt, attributes)). The prompt itself is not published. Ours
prescribes the form of the answer ("humour: " is an opening that the model continues), asks in several shuffled orders,
since answers depend on what stands before, and takes the mean. What an answer lacks is filled with the mean of the
product's category, and said so in the log.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from features.types import Completion, FinishReason, ModelIdentity, Slot, TextRequest
from models.attributes.listed import HIGH, LOW, MIDDLE, Attribute

KIND = "attribute_scores"
MAX_TOKENS = 12
"""Of one number and what a chatty model says after it."""
SYSTEM = """You are a salesperson who knows every product of the shop. You are told about one product or one customer \
and say how much each attribute applies, as a whole number from {low} (not at all) to {high} (very much).

The attributes:
{attributes}

Answer with one line for each attribute, in the order you are asked, in this form:
attribute: number"""
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subject:
    """A product or a consumer to be scored: a name for the log, what the model is told, and its category."""

    name: str
    text: str
    category: str = ""


@dataclass(frozen=True)
class Reading:
    """What the parser found in one answer."""

    values: NDArray[np.float64]  # (m,) NaN where nothing usable was said
    missing: tuple[str, ...] = ()
    out_of_range: tuple[str, ...] = ()
    extra: int = 0
    """Lines that answer nothing that was asked."""


@dataclass(frozen=True, eq=False)
class AskedScores:
    """Scores of N subjects on m attributes, each in LOW..HIGH, and how they came about."""

    values: NDArray[np.float32]  # (N, m)
    n_answers: int
    missing: int
    """Numbers that no answer gave, in all orders together."""
    out_of_range: int
    extra: int
    filled: Mapping[str, int] = field(default_factory=dict)
    """How many scores are the mean of the `category`, of `all` subjects, or the `middle` of the scale."""


def score_requests(
    subjects: Sequence[Subject], attributes: Sequence[Attribute], identity: ModelIdentity, n_orders: int = 3
) -> list[TextRequest]:
    """One request per subject and order; those of a subject stand together."""
    lines = "\n".join(f"- {it.name}: {it.description}" for it in attributes)
    system = SYSTEM.format(low=LOW, high=HIGH, attributes=lines)
    return [
        TextRequest(KIND, subject.name, system, subject.text, _slots(attributes, order), identity, seed=order)
        for subject in subjects
        for order in range(n_orders)
    ]


def _slots(attributes: Sequence[Attribute], order: int) -> tuple[Slot, ...]:
    """The lines in the order of that number; 0 is the list's own."""
    places = np.arange(len(attributes)) if order == 0 else np.random.default_rng(order).permutation(len(attributes))
    return tuple(Slot(f"{attributes[place].name}:", MAX_TOKENS) for place in places)


def read_scores(lines: Iterable[str], attributes: Sequence[Attribute]) -> Reading:
    """The parser h: m numbers from lines in any order.

    A line counts for the attribute it begins with; the first number after the name is its score. The first usable
    line of an attribute holds. Nothing is clipped: a model that says 11 has not understood the scale.
    """
    place = {_plain(it.name): n for n, it in enumerate(attributes)}
    values, extra, refused = np.full(len(attributes), np.nan), 0, list[str]()
    for line in (part for text in lines for part in text.splitlines() if part.strip()):
        name, _, rest = line.partition(":")
        found, number = place.get(_plain(name)), _NUMBER.search(rest)
        if found is None:
            extra += 1
        elif number and np.isnan(values[found]):
            value = float(number[0])
            if LOW <= value <= HIGH:
                values[found] = value
            else:
                refused.append(attributes[found].name)
    missing = tuple(it.name for it, value in zip(attributes, values, strict=True) if np.isnan(value))
    return Reading(values, missing, tuple(refused), extra)


def collect_scores(
    subjects: Sequence[Subject],
    attributes: Sequence[Attribute],
    requests: Sequence[TextRequest],
    completions: Mapping[str, Completion],
) -> AskedScores:
    """Means over the orders; what no order gave is filled.

    Args:
        subjects, attributes: as given to `score_requests`.
        requests: what it returned.
        completions: answers by request key; a missing or unfinished one says nothing.
    """
    n_orders = len(requests) // max(len(subjects), 1)
    readings = [read_scores(finished_lines(completions.get(request.key)), attributes) for request in requests]
    table = np.array([it.values for it in readings]).reshape(len(subjects), n_orders, len(attributes))
    said = ~np.isnan(table)
    means = np.where(said.any(1), np.where(said, table, 0).sum(1) / np.maximum(said.sum(1), 1), np.nan)
    values, filled = _filled(means, subjects)
    scores = AskedScores(
        values.astype(np.float32),
        sum(bool(finished_lines(completions.get(request.key))) for request in requests),
        sum(len(it.missing) for it in readings),
        sum(len(it.out_of_range) for it in readings),
        sum(it.extra for it in readings),
        filled,
    )
    if filled:
        logger.warning(
            "attribute scores: %d of %d are not the model's: %s", sum(filled.values()), values.size, dict(filled)
        )
    return scores


def _filled(means: NDArray[np.float64], subjects: Sequence[Subject]) -> tuple[NDArray[np.float64], dict[str, int]]:
    """Missing scores (N, m) replaced by the category's mean, else by that of all, else by the scale's middle."""
    values, filled = means.copy(), dict[str, int]()
    category = np.array([it.category for it in subjects], object)
    for row, column in np.argwhere(np.isnan(means)):
        alike = means[(category == category[row]) & (category != ""), column]
        for source, others in (("category", alike), ("all", means[:, column]), ("middle", np.array([MIDDLE]))):
            known = others[~np.isnan(others)]
            if len(known):
                values[row, column] = known.mean()
                filled[source] = filled.get(source, 0) + 1
                logger.info("no score of %s, column %d: %s mean", subjects[row].name, column, source)
                break
    return values, filled


def finished_lines(completion: Completion | None) -> tuple[str, ...]:
    """What a finished answer says."""
    finished = completion is not None and completion.finish is FinishReason.STOP
    return completion.lines if completion is not None and finished else ()


def _plain(name: str) -> str:
    """A name as models write it: without marks of lists and emphasis, in lower case."""
    return re.sub(r"^[\s\-*\d.)]+|[\s*]+$", "", name).lower()
