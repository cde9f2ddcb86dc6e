"""What an expert on the next product is, and those that need no neighbours: popularity, novelty, text.

An expert is fitted on histories and then scores every product for any histories. Its score is a logarithm of
something like a chance, or on a standard scale, so that a blend can add experts up.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags

from models.backbones.histories import Histories, Numbers, Reals, Scores, Weight

Arrays = dict[str, NDArray[np.generic]]
_SPARSE = ("data", "indices", "indptr", "shape")
_TINY = 1e-9
_FLOOR = 1e-3
"""Share of a list's mean that a product scored 0 counts as, so that its logarithm exists."""
_REACH = 4
"""Scales on either side of a time that still count."""
_BLOCK = 2048


@dataclass(frozen=True)
class ByPlace:
    """Weight decay^n * n^-power of an event n places back: recency counted in events."""

    decay: float = 1.0
    power: float = 0.0

    def __call__(self, places: Numbers, seconds: Reals) -> Reals:
        return np.asarray(self.decay**places * places.astype(float) ** -self.power)


@dataclass(frozen=True)
class ByTime:
    """Weight exp(-seconds / scale): recency counted on the clock."""

    scale: float

    def __call__(self, places: Numbers, seconds: Reals) -> Reals:
        return np.asarray(np.exp(-seconds / self.scale))


class Expert(ABC):
    """Scores all products for histories. `learned` names the attributes that fitting sets: arrays or sparse tables."""

    learned: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def fit(self, histories: Histories) -> None:
        """Learns from all events of the histories."""

    @abstractmethod
    def score(self, histories: Histories) -> Scores:
        """(U, P): higher is likelier next. What a consumer already has may get any score."""

    def arrays(self) -> Arrays:
        """What was learned, by name; a sparse table is four arrays."""
        found: Arrays = {}
        for name in self.learned:
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                found[name] = np.ascontiguousarray(value)
            else:
                parts = (value.data, value.indices, value.indptr, np.array(value.shape))
                found |= {f"{name}.{part}": array for part, array in zip(_SPARSE, parts, strict=True)}
        return found

    def restore(self, arrays: Arrays) -> None:
        """Takes back what `arrays` gave. Raises KeyError if a part is missing."""
        for name in self.learned:
            if name in arrays:
                setattr(self, name, arrays[name])
                continue
            data, indices, indptr, shape = (arrays[f"{name}.{part}"] for part in _SPARSE)
            setattr(self, name, csr_matrix((data, indices, indptr), shape=tuple(shape.tolist())))


class Popularity(Expert):
    """log of each product's events near the consumer's last one, each exp(-|t - now| / scale); log(1 + all) without."""

    learned = ("time", "product")

    def __init__(self, scale: float | None = None) -> None:
        self.scale = scale
        self.time: Reals = np.zeros(0)
        self.product: Numbers = np.zeros(0, np.int64)

    def fit(self, histories: Histories) -> None:
        order = np.argsort(histories.time, kind="stable")
        self.time, self.product = histories.time[order], histories.product[order]

    def score(self, histories: Histories) -> Scores:
        if self.scale is None:
            counts = np.bincount(self.product, minlength=histories.n_products)
            return _same_for_all(np.log1p(counts), histories)
        near = np.zeros((len(histories), histories.n_products), np.float32)
        for row, now in enumerate(histories.now):
            first, end = np.searchsorted(self.time, [now - _REACH * self.scale, now + _REACH * self.scale])
            weight = np.exp(-np.abs(self.time[first:end] - now) / self.scale)
            near[row] = np.bincount(self.product[first:end], weight, histories.n_products)
        return np.log(near + np.float32(0.1))


class Unseen(Expert):
    """1 for products without an event. How often the next product is a new one is for the blend to learn."""

    learned = ("counts",)

    def __init__(self) -> None:
        self.counts: Numbers = np.zeros(0, np.int64)

    def fit(self, histories: Histories) -> None:
        self.counts = histories.counts

    def score(self, histories: Histories) -> Scores:
        return _same_for_all(self.counts == 0, histories)


class Content(Expert):
    """Likeness of a product's text to the recent history: log of the weighted mean of exp(sharpness * cosine).

    A product that nobody had yet is scored like any other. Vectors (P, d) are centred first: all texts of one shop are
    alike, and it is the differences that count.
    """

    learned = ("vectors",)

    def __init__(self, vectors: Scores, weight: Weight, sharpness: float = 8.0) -> None:
        self.vectors, self.weight, self.sharpness = vectors, weight, sharpness

    def fit(self, histories: Histories) -> None:
        """Nothing is learned from events."""

    def score(self, histories: Histories) -> Scores:
        share = row_shares(histories.matrix(self.weight))
        unit = self.vectors - self.vectors.mean(0)
        unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), _TINY)
        scores = np.zeros(share.shape, np.float32)
        for first in range(0, len(unit), _BLOCK):
            cosine = unit @ unit[first : first + _BLOCK].T
            scores[:, first : first + _BLOCK] = share @ np.exp(self.sharpness * cosine)
        return np.log(scores + np.float32(1e-6))


class ContentRegression(Expert):
    """Who has what, explained by text alone: one ridge regression per consumer over the products that anybody had.

    With phi (P, d + 1) the centred text vectors and a 1, W = (phi'phi + l2 I)^-1 phi' X' and the scores are phi W: new
    products are scored by the weights that the known ones taught, their likely popularity included. After the feature
    models of Gantner et al., ICDM 2010 (mapping attributes to factors), without the factors in between.
    """

    learned = ("vectors", "solver")

    def __init__(self, vectors: Scores, weight: Weight, l2: float = 10.0) -> None:
        self.vectors, self.weight, self.l2 = vectors, weight, l2
        self.solver = np.zeros((0, 0), np.float32)
        """(d + 1, P): (phi'phi + l2 I)^-1 phi', 0 for products without an event."""

    def fit(self, histories: Histories) -> None:
        phi = self._features() * (histories.counts > 0)[:, None]
        self.solver = np.linalg.solve(phi.T @ phi + self.l2 * np.eye(phi.shape[1]), phi.T).astype(np.float32)

    def score(self, histories: Histories) -> Scores:
        weights = histories.matrix(self.weight) @ self.solver.T  # (U, d + 1)
        return np.asarray(weights @ self._features().T, np.float32)

    def _features(self) -> NDArray[np.floating]:
        return np.column_stack([self.vectors - self.vectors.mean(0), np.ones(len(self.vectors))])


def row_shares(table: csr_matrix) -> csr_matrix:
    """Rows divided by their sums; an empty row stays empty."""
    return csr_matrix(diags(1 / np.maximum(np.asarray(table.sum(1)).ravel(), _TINY)) @ table)


def unit_rows(table: csr_matrix) -> csr_matrix:
    """Rows of length 1; an empty row stays empty."""
    length = np.sqrt(np.asarray(table.multiply(table).sum(1)).ravel())
    return csr_matrix(diags(1 / np.maximum(length, _TINY)) @ table)


def log_share(scores: NDArray[np.floating]) -> Scores:
    """log of non-negative scores (U, P) in units of each list's mean, with a floor under 0."""
    mean = scores.mean(1, keepdims=True)
    return np.log(scores / np.maximum(mean, 1e-12) + _FLOOR).astype(np.float32)


def _same_for_all(values: NDArray[np.generic], histories: Histories) -> Scores:
    return np.tile(values.astype(np.float32), (len(histories), 1))
