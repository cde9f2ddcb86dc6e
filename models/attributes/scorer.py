"""The attribute scorer: products on m attributes, each 1 to 10, from what a batch tells of them.

It is a linear map, learned in one of two ways:

- from facts: which way the attribute's two ends point among text vectors (a semantic axis: Grand, Blank, Pereira,
  Fedorenko, Nature Human Behaviour 2022), and what the catalog's values say for and against it. No language model: the
  floor that asking one has to beat.
- from scores that a language model gave to training products (`asked`, `expected`): a ridge regression on the same
  columns repeats them for products that nobody asked about, so serving never waits for a language model.

Attributes that hardly vary among the training products, or say the same as an earlier one, are dropped. Means and
spreads are the training products' and stay with the scorer: a new product is placed among those.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from features.batch import CONTENT_WIDTH, ProductBlock
from features.errors import TrainingError
from features.vocabulary import Vocabulary
from models.attributes.evidence import Columns, Floats, Told
from models.attributes.listed import HIGH, LOW, MIDDLE, Attribute
from models.base import MethodConfig

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to vectors (N, CONTENT_WIDTH)."""
SPREAD = 2.0
"""Points of the scale that one standard deviation of facts is worth."""
logger = logging.getLogger(__name__)


class ScorerConfig(MethodConfig):
    """When an attribute is dropped, and how scores of a language model are repeated."""

    least_spread: float = 0.05
    """Standard deviation, in points of the scale, below which an attribute says nothing."""
    most_alike: float = 0.9
    """Correlation with an earlier attribute from which on it says the same."""
    least_products: int = 3
    """Products a value of the catalog must have to be looked at."""
    l2: float = 10.0
    """Of the ridge regression that repeats a language model's scores."""


@dataclass(frozen=True, eq=False)
class ProductScorer:
    """Scores products on the m attributes that were kept."""

    attributes: tuple[Attribute, ...]
    columns: Columns
    weights: NDArray[np.float32]  # (F, m): of text vector, values, numbers, and a constant, in this order
    center: NDArray[np.float32]  # (F,): what is taken off the columns first
    mean: NDArray[np.float32]  # (m,) of the training products' scores
    sd: NDArray[np.float32]  # (m,)

    @classmethod
    def from_facts(
        cls, products: ProductBlock, attributes: Sequence[Attribute], encode: Encode, config: ScorerConfig
    ) -> Self:
        """Learns from what the training products are (one row each).

        Args:
            products: the training products.
            attributes: the domain's.
            encode: called with the ends of the attributes that have any; not at all if none has.
            config: what is dropped.

        Raises:
            TrainingError: there is no product.
        """
        columns = _columns(products, attributes, config)
        told = columns.read(products)
        center = _center(told)
        weights = _fact_weights(_design(told, center), columns, attributes, encode)
        return cls._kept(attributes, columns, weights, center, told, config)

    @classmethod
    def from_scores(
        cls, products: ProductBlock, scores: Floats, attributes: Sequence[Attribute], config: ScorerConfig
    ) -> Self:
        """Learns to repeat scores (N, m) of the training products; rows with a NaN are not learned from.

        Raises:
            TrainingError: there is no product, or none with scores.
        """
        columns = _columns(products, attributes, config)
        told = columns.read(products)
        known = np.isfinite(scores).all(1)
        if not known.any():
            raise TrainingError(f"None of {len(scores)} products has attribute scores.", remedy="Ask for them first.")
        center = _center(told)
        design = _design(told, center)[known].astype(np.float64)
        pull = config.l2 * np.eye(design.shape[1])
        pull[-1, -1] = 1e-6  # the constant is free
        weights = np.linalg.solve(design.T @ design + pull, design.T @ scores[known])
        return cls._kept(attributes, columns, weights.astype(np.float32), center, told, config)

    @classmethod
    def _kept(
        cls,
        attributes: Sequence[Attribute],
        columns: Columns,
        weights: Floats,
        center: Floats,
        told: Told,
        config: ScorerConfig,
    ) -> Self:
        """The scorer of the attributes that say something of their own."""
        scores = _scores(told, weights, center)
        kept = kept_attributes(scores, [it.name for it in attributes], config)
        sd = np.maximum(np.nanstd(scores[:, kept], axis=0), 1e-6) if len(kept) else np.zeros(0)
        mean = np.nanmean(scores[:, kept], axis=0) if len(kept) else np.zeros(0)
        chosen = tuple(attributes[place] for place in kept)
        return cls(chosen, columns, weights[:, kept], center, mean.astype(np.float32), sd.astype(np.float32))

    def score(self, products: ProductBlock) -> Floats:
        """(N, m) in LOW..HIGH; NaN where nothing is told of a product."""
        return _scores(self.columns.read(products), self.weights, self.center)

    def standard(self, products: ProductBlock) -> Floats:
        """(N, m) scores in standard deviations from the training products' mean; 0 where nothing is told."""
        return np.nan_to_num((self.score(products) - self.mean) / self.sd).astype(np.float32)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """The learned numbers by name."""
        return {"weights": self.weights, "center": self.center, "mean": self.mean, "sd": self.sd}

    def texts(self) -> dict[str, list[object]]:
        """What is not a number, for JSON."""
        return {
            "attributes": [it.model_dump(mode="json") for it in self.attributes],
            "values": list(self.columns.values.ids),
            "numbers": list(self.columns.numbers),
        }

    @classmethod
    def restored(cls, arrays: dict[str, NDArray[np.float32]], texts: dict[str, list[object]]) -> Self:
        """What `arrays` and `texts` gave. Raises KeyError or ValueError if a part is missing or wrong."""
        columns = Columns(Vocabulary(tuple(map(str, texts["values"]))), tuple(map(str, texts["numbers"])))
        attributes = tuple(Attribute.model_validate(it) for it in texts["attributes"])
        return cls(attributes, columns, arrays["weights"], arrays["center"], arrays["mean"], arrays["sd"])


def kept_attributes(scores: Floats, names: Sequence[str], config: ScorerConfig) -> list[int]:
    """Columns (of N, m) that vary, and are no copy of an earlier one; what is dropped is logged."""
    kept: list[int] = []
    for column, name in enumerate(names):
        own = scores[:, column]
        known = own[np.isfinite(own)]
        if not len(known) or known.std() < config.least_spread:
            logger.info("attribute %s is dropped: it hardly varies", name)
            continue
        alike = next((it for it in kept if abs(_correlation(own, scores[:, it])) > config.most_alike), None)
        if alike is not None:
            logger.info("attribute %s is dropped: it says what %s says", name, names[alike])
            continue
        kept.append(column)
    return kept


def _correlation(one: Floats, other: Floats) -> float:
    both = np.isfinite(one) & np.isfinite(other)
    return float(np.corrcoef(one[both], other[both])[0, 1]) if both.sum() > 1 else 0.0


def _columns(products: ProductBlock, attributes: Sequence[Attribute], config: ScorerConfig) -> Columns:
    if not len(products):
        raise TrainingError("There is no product to learn attribute scores from.", remedy="Check the split.")
    numbers = dict.fromkeys(it.number for it in attributes if it.number)
    return Columns.of(products.attributes, tuple(numbers), config.least_products)


def _center(told: Told) -> Floats:
    """(F,) means of the columns where they are known; 0 for the constant."""
    content = told.content[told.has_content].mean(0) if told.has_content.any() else np.zeros(CONTENT_WIDTH)
    values = told.values[told.has_values].mean(0) if told.has_values.any() else np.zeros(told.values.shape[1])
    numbers = [np.nanmean(it) if np.isfinite(it).any() else 0.0 for it in told.numbers.T]
    return np.concatenate([content, values, numbers, [0.0]]).astype(np.float32)


def _design(told: Told, center: Floats) -> Floats:
    """(N, F) columns around their means; what is absent counts as the mean."""
    n_content, n_values = told.content.shape[1], told.values.shape[1]
    content = np.where(told.has_content[:, None], told.content - center[:n_content], 0)
    values = np.where(told.has_values[:, None], told.values - center[n_content : n_content + n_values], 0)
    numbers = np.nan_to_num(told.numbers - center[n_content + n_values : -1])
    return np.column_stack([content, values, numbers, np.ones(len(content))]).astype(np.float32)


def _scores(told: Told, weights: Floats, center: Floats) -> Floats:
    """(N, m) in LOW..HIGH, NaN where nothing is told."""
    scores = _design(told, center) @ weights
    nothing = ~(told.has_content | told.has_values)
    scores[nothing] = np.nan
    return np.clip(scores, LOW, HIGH).astype(np.float32)


def _fact_weights(design: Floats, columns: Columns, attributes: Sequence[Attribute], encode: Encode) -> Floats:
    """(F, m): MIDDLE plus SPREAD times the mean of an attribute's sources, each on a standard scale."""
    weights = np.zeros((design.shape[1], len(attributes)), np.float32)
    ended = [it for it in attributes if it.high and it.low]
    ends = encode([text for it in ended for text in (it.high, it.low)]) if ended else np.zeros((0, CONTENT_WIDTH))
    axis = {it.name: ends[2 * n] - ends[2 * n + 1] for n, it in enumerate(ended)}
    for column, it in enumerate(attributes):
        sources = [_along(axis[it.name])] if it.name in axis else []
        sources += [_of_values(it, columns)] if it.told_by or it.told_against else []
        sources += [_of_number(it, columns)] if it.number else []
        padded = [np.pad(source, (0, design.shape[1] - len(source))) for source in sources]
        spread = [(design @ source).std() for source in padded]
        said = [source / sd for source, sd in zip(padded, spread, strict=True) if sd > 1e-9]
        if said:
            direction = np.sum(said, axis=0)
            weights[:, column] = SPREAD * direction / max((design @ direction).std(), 1e-9)
    weights[-1] = MIDDLE
    return weights


def _along(axis: Floats) -> Floats:
    """Source: how far the text lies towards the upper end."""
    return np.asarray(axis, np.float32)


def _of_values(attribute: Attribute, columns: Columns) -> Floats:
    """Source: values for it count 1, values against it -1."""
    ids = columns.values.ids
    signs = [(text in attribute.told_by) - (text in attribute.told_against) for text in ids]
    return np.concatenate([np.zeros(CONTENT_WIDTH), signs]).astype(np.float32)


def _of_number(attribute: Attribute, columns: Columns) -> Floats:
    """Source: the number itself."""
    own = [float(name == attribute.number) for name in columns.numbers]
    return np.concatenate([np.zeros(CONTENT_WIDTH + len(columns.values.ids)), own]).astype(np.float32)
