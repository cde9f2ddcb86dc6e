"""Closed-form experts on the next product: a linear item model, transitions, alike consumers.

Each is fitted in one pass without a gradient. A history is weighted by recency when it is *asked*: that alone lifts
such models most on the next product.

Sources: EASE, Steck, WWW 2019 (arXiv 1905.03375); transitions with decaying weights, Ludewig and Jannach, UMUAI 2018
(sequential rules) and Garg et al., SIGIR 2019 (STAN); consumer neighbours, Herlocker et al., SIGIR 1999.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.sparse import csr_matrix, diags

from models.backbones.experts import Expert, log_share, unit_rows
from models.backbones.histories import Histories, Scores, Weight


class Ease(Expert):
    """EASE: the item-item weights B with zero diagonal that best rebuild X (equation 8 of the paper).

    B = I - P / diag(P) by columns, P = (X'X + l2 I)^-1. With H = X'X (X'X + l2 I)^-1 it is P = (I - H) / l2, so l2
    cancels and scores are q - (q - q H) / (1 - diag H). Where there are fewer consumers than products, H = Z'Z with
    Z = L^-1 X and L L' = X X' + l2 I, so that memory grows with the products and not with their square.
    """

    learned = ("root", "hat")

    def __init__(self, l2: float, weight: Weight) -> None:
        self.l2, self.weight = l2, weight
        self.root = self.hat = np.zeros((0, 0), np.float32)
        """Z, or H: the other one is empty."""

    def fit(self, histories: Histories) -> None:
        x = histories.matrix()
        if x.shape[0] < x.shape[1]:
            lower = cholesky((x @ x.T).toarray() + self.l2 * np.eye(x.shape[0]), lower=True)
            self.root = solve_triangular(lower, x.toarray(), lower=True).astype(np.float32)
        else:
            gram = (x.T @ x).toarray()
            self.hat = cho_solve(cho_factor(gram + self.l2 * np.eye(len(gram))), gram).T.astype(np.float32)

    def score(self, histories: Histories) -> Scores:
        query = histories.matrix(self.weight)
        if self.root.size:
            rebuilt, diagonal = (query @ self.root.T) @ self.root, (self.root**2).sum(0)
        else:
            rebuilt, diagonal = query @ self.hat, np.diag(self.hat)
        asked = query.toarray()
        return standardised(asked - (asked - rebuilt) / (1 - diagonal))


class Transitions(Expert):
    """Which product follows which: pairs at most `window` places apart, weighted by how close they are.

    C[a, b] = sum of pair(places, seconds) over events a before b; C + reverse * C', where order says little; then
    divided by the row's sum (all that follows a) and by a power of the column's (popular products follow everything).
    Scores: log(query @ C).
    """

    learned = ("table",)

    def __init__(self, pair: Weight, query: Weight, window: int = 20, reverse: float = 0.5, power: float = 0.3) -> None:
        self.pair, self.query, self.window, self.reverse, self.power = pair, query, window, reverse, power
        self.table = csr_matrix((0, 0))

    def fit(self, histories: Histories) -> None:
        counts = self._counts(histories)
        counts = counts + self.reverse * counts.T
        # One event more on every sum: a product seen once is no proof of what follows it.
        row, column = (np.asarray(counts.sum(axis)).ravel() + 1 for axis in (1, 0))
        self.table = csr_matrix(diags(1 / row) @ counts @ diags(column**-self.power))

    def score(self, histories: Histories) -> Scores:
        return log_share((histories.matrix(self.query) @ self.table).toarray())

    def _counts(self, histories: Histories) -> csr_matrix:
        """(P, P): weighted counts of a before b."""
        earlier, later, value = [], [], []
        for lag in range(1, self.window + 1):
            event = np.flatnonzero(histories.place >= lag)
            seconds = histories.time[event] - histories.time[event - lag]
            earlier.append(histories.product[event - lag])
            later.append(histories.product[event])
            value.append(self.pair(np.full(len(event), lag), seconds))
        cells = (np.concatenate(earlier), np.concatenate(later))
        return csr_matrix((np.concatenate(value), cells), shape=(histories.n_products, histories.n_products))


class AlikeConsumers(Expert):
    """What the k consumers with the likest recent history had, summed by likeness: cosine of recency-weighted rows.

    A consumer the expert was fitted on is their own best neighbour, which adds to nothing but what they already have.
    """

    learned = ("rows",)

    def __init__(self, weight: Weight, k: int = 50) -> None:
        self.weight, self.k = weight, k
        self.rows = csr_matrix((0, 0))

    def fit(self, histories: Histories) -> None:
        self.rows = unit_rows(histories.matrix(self.weight))

    def score(self, histories: Histories) -> Scores:
        alike = (unit_rows(histories.matrix(self.weight)) @ self.rows.T).toarray()
        k = min(self.k, alike.shape[1])
        least = np.partition(alike, -k, axis=1)[:, -k, None]
        near = csr_matrix(np.where(alike >= least, alike, 0))
        return log_share((near @ self.rows.sign()).toarray())


def standardised(scores: NDArray[np.floating]) -> Scores:
    """Scores (U, P) with mean 0 and deviation 1 in each list; an even list becomes 0."""
    centred = scores - scores.mean(1, keepdims=True)
    return np.asarray(centred / np.maximum(centred.std(1, keepdims=True), 1e-9), np.float32)
