"""The sampler of `models/backbones/factorization.py`; a sweep is linear in the ratings.

A sweep begins with Metropolis steps, to which only ratings count: how far biases and tastes spread, and where the cut
points between levels lie (`models/backbones/levels.py`). Everything else is Gibbs: the latent values of the ratings are
drawn, then the two sides take turns. Of one side, given the other: the weights of its features and its normal-Wishart
prior are drawn from its vectors, then all its vectors at once from their ratings.

The first steps move vectors, weights and prior of a side together (a group move: Liu and Sabatti, "Generalised Gibbs
sampler and multigrid Monte Carlo", Biometrika 2000). Given the vectors a prior hardly moves and the other way round,
so that without them a chain stays near the spread it starts with wherever few ratings speak of each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from models.backbones.bases import Basis
from models.backbones.incidence import compressed, sparse
from models.backbones.levels import Cuts
from models.backbones.noise import Noise, gamma

if TYPE_CHECKING:
    from models.backbones.factorization import FactorizationConfig, Ratings

_WEAK = 1e-3
"""Rate of the gamma priors of lambda: next to nothing is known before."""
_START = 0.3
"""The start deviation at which features weigh as much as what they do not tell."""
_PRIOR_COUNT = 2.0
"""Vectors that the prior of m counts for."""
_BIAS, _TASTE = slice(0, 1), slice(1, None)
_SHORTEST, _LONGEST = -2.0, -0.5
"""Lengths of a step of the spreads, as powers of ten of a log."""


class Side:
    """Consumers or products: vectors (n, D) and the prior they have."""

    def __init__(self, bases: Sequence[Basis], width: int, prior_scale: float, start: float) -> None:
        self._bases, self._prior_scale = bases, prior_scale
        n = len(bases[0].scores)
        self.vectors = torch.randn(n, width) * start
        self._weights = [torch.zeros(len(basis.energy), width) for basis in self._bases]
        self._strengths = [torch.tensor((_START / start) ** 4) for _ in self._bases]
        self._parts = [torch.zeros(n, width) for _ in self._bases]  # scores @ weights of each group
        self._offset = torch.zeros(width)
        self._root = torch.eye(width) / start  # R, with Lambda = R R'

    @property
    def design(self) -> Tensor:
        """(n, D): what the other side's vectors are multiplied with; 1 stands for their bias."""
        return torch.cat([torch.ones(len(self.vectors), 1), self.vectors[:, 1:]], dim=1)

    def stretch(self, columns: slice, by: float) -> None:
        """Multiplies columns of the vectors, and their prior with them."""
        for values in (self.vectors, *self._weights, *self._parts):
            values[:, columns] *= by
        self._offset[columns] *= by
        self._root[columns] /= by

    def prior_of_stretch(self, columns: slice, by: float) -> float:
        """Log ratio of the prior densities after and before `stretch`, times its Jacobian.

        All that is drawn given Lambda cancels out; left is Lambda's own prior, Wishart with D + 1 degrees of freedom.
        """
        width, spread = len(self._root), self._root[columns].square().sum()  # of Lambda's diagonal there
        n_columns = len(range(width)[columns])
        trace = self._prior_scale * float(spread) * (by**-2 - 1)
        return -trace / 2 - n_columns * (width + 1) * math.log(by)

    def draw_prior(self) -> None:
        """lambda_g, W_g, then m and Lambda, given the vectors."""
        inverse_root = torch.linalg.inv(self._root)
        total = torch.stack(self._parts).sum(0)
        for g, basis in enumerate(self._bases):
            others = total - self._parts[g]
            self._draw_weights(g, basis, self.vectors - self._offset - others, inverse_root)
            total = others + self._parts[g]
        self._draw_normal_wishart(self.vectors - total)

    def draw_vectors(self, weighted: Tensor, weights: Tensor, other: Side) -> None:
        """All vectors, given the other side.

        Args:
            weighted: (n, n_other) sparse latent values of the ratings, times their weights.
            weights: (n, n_other) sparse precisions of their noise.
            other: the other side.
        """
        design, bias = other.design, other.vectors[:, :1]
        width = design.shape[1]
        rows, columns, both = _half(width)
        sums = weights @ torch.cat(
            [design.index_select(1, rows) * design.index_select(1, columns), bias * design], dim=1
        )
        own = self._root @ self._root.T
        precision = sums.index_select(1, both).view(-1, width, width) + own
        prior = self._offset + torch.stack(self._parts).sum(0)
        pull = weighted @ design - sums[:, len(rows) :] + prior @ own
        root = torch.linalg.cholesky(precision)
        mean = torch.cholesky_solve(pull.unsqueeze(-1), root)
        noise = torch.linalg.solve_triangular(root.mT, torch.randn_like(mean), upper=True)
        self.vectors = (mean + noise).squeeze(-1)

    def state(self, name: str) -> dict[str, Tensor]:
        """The draw, by name."""
        weights = {f"{name}.weights.{g}": w.clone() for g, w in enumerate(self._weights)}
        precision = self._root @ self._root.T
        return weights | {
            f"{name}.vectors": self.vectors,
            f"{name}.offset": self._offset,
            f"{name}.precision": precision,
        }

    def constants(self, name: str) -> dict[str, Tensor]:
        """What no sweep changes, by name."""
        return {f"{name}.projection.{g}": basis.projection.contiguous() for g, basis in enumerate(self._bases)}

    def usual(self, rated: Tensor) -> Tensor:
        """(r,) mean scores of the last group, who interacted with them, over the numbers of those rated (N,)."""
        return self._bases[-1].scores.index_select(0, rated).mean(0)

    def _draw_weights(self, g: int, basis: Basis, left: Tensor, inverse_root: Tensor) -> None:
        """W_g and lambda_g from what the other parts of the prior leave (n, D)."""
        precision = basis.energy + self._strengths[g]
        mean = (basis.scores.T @ left) / precision.unsqueeze(1)
        noise = (torch.randn_like(mean) @ inverse_root) / precision.sqrt().unsqueeze(1)
        weights = self._weights[g] = mean + noise
        self._parts[g] = basis.scores @ weights
        size = float((weights @ self._root).square().sum())
        self._strengths[g] = gamma(1 + weights.numel() / 2, _WEAK + size / 2)

    def _draw_normal_wishart(self, left: Tensor) -> None:
        """m and Lambda from the vectors without what their features say (n, D); the weights' prior counts too."""
        n, width = left.shape
        mean = left.mean(0)
        scatter = (left - mean).T @ (left - mean) + self._prior_scale * torch.eye(width)
        scatter = scatter + _PRIOR_COUNT * n / (_PRIOR_COUNT + n) * torch.outer(mean, mean)
        count = width + 1 + n
        for weights, strength in zip(self._weights, self._strengths, strict=True):
            scatter = scatter + strength * (weights.T @ weights)
            count += len(weights)
        self._root = _wishart_root(count, scatter)
        noise = torch.linalg.solve_triangular(self._root.T, torch.randn(width, 1), upper=True).squeeze(1)
        self._offset = n * mean / (_PRIOR_COUNT + n) + noise / (_PRIOR_COUNT + n) ** 0.5


class Sampler:
    """The state of the Markov chain."""

    def __init__(
        self, ratings: Ratings, consumers: Sequence[Basis], products: Sequence[Basis], config: FactorizationConfig
    ) -> None:
        u, i, shape = ratings.consumer, ratings.product, (len(consumers[0].scores), len(products[0].scores))
        ones = torch.ones(len(ratings))
        self._seen, self._seen_by = sparse(u, i, ones, shape), sparse(i, u, ones, shape[::-1])
        by_consumer = torch.argsort(u * shape[1] + i)  # the order of the entries of `_seen`
        self._u, self._i = u[by_consumer], i[by_consumer]
        self._turned = torch.argsort(self._i * shape[0] + self._u)  # from it to that of the entries of `_seen_by`
        width, self._may_stretch = config.rank + 1, config.stretch
        self._consumers = Side(consumers, width, config.prior_scale, config.start)
        self._products = Side(products, width, config.prior_scale, config.start)
        self._cuts = Cuts(ratings.level[by_consumer], len(ratings.levels))
        self._noise = Noise(self._u, shape[0], config.alike, self._cuts.scaled)

    def sweep(self) -> None:
        """Draws everything once, each given all else."""
        u, v = self._consumers, self._products
        expected = self._stretched() if self._may_stretch else self._expected()
        weight = self._noise.precision
        latent = self._cuts.draw(expected, weight)
        weighted, turned = weight * latent, self._turned
        u.draw_prior()
        u.draw_vectors(_with(self._seen, weighted), _with(self._seen, weight), v)
        v.draw_prior()
        v.draw_vectors(_with(self._seen_by, weighted[turned]), _with(self._seen_by, weight[turned]), u)
        self._noise.draw(latent - self._expected())

    def state(self) -> dict[str, Tensor]:
        """The current draw, by name."""
        cuts = self._cuts.value.float()
        sides = {**self._consumers.state("consumer"), **self._products.state("product")}
        return {"cuts": cuts, **self._noise.state(), **sides}

    def constants(self) -> dict[str, Tensor]:
        """What no sweep changes, by name."""
        sides = {**self._consumers.constants("consumer"), **self._products.constants("product")}
        return {**sides, "product.usual": self._products.usual(self._i)}

    def _stretched(self) -> Tensor:
        """What is expected (N,), after a step of how far biases and tastes of either side spread."""
        u, v = self._consumers, self._products
        expected = self._expected()
        of_u, of_v = u.vectors[:, 0][self._u], v.vectors[:, 0][self._i]
        taste, known = expected - of_u - of_v, self._cuts.likelihood(expected, self._noise.precision)
        of_u, known = self._stretch(u, _BIAS, of_u, of_v + taste, known)
        of_v, known = self._stretch(v, _BIAS, of_v, of_u + taste, known)
        if u.vectors.shape[1] > 1:
            for side in (u, v):
                taste, known = self._stretch(side, _TASTE, taste, of_u + of_v, known)
        return of_u + of_v + taste

    def _stretch(self, side: Side, columns: slice, part: Tensor, rest: Tensor, known: float) -> tuple[Tensor, float]:
        """A Metropolis step of how far columns of a side spread.

        Args:
            side: consumers or products.
            columns: of their vectors.
            part: (N,) of what is expected that these columns make.
            rest: (N,) of it.
            known: log likelihood of both together.

        Returns:
            Part and log likelihood after the step.
        """
        width = 10 ** (_SHORTEST + (_LONGEST - _SHORTEST) * torch.rand(()))  # no one length suits few and many ratings
        by = float(torch.exp(width * torch.randn(())))
        then = self._cuts.likelihood(by * part + rest, self._noise.precision)
        if float(torch.rand(()).log()) > then - known + side.prior_of_stretch(columns, by):
            return part, known
        side.stretch(columns, by)
        return by * part, then

    def _expected(self) -> Tensor:
        """(N,) of the latent values, in the order of the entries of `_seen`."""
        u, v = self._consumers, self._products
        given_u = torch.cat([u.vectors[:, :1], u.design], dim=1)  # its product with (1, c_i, q_i) is what is expected
        given_v = torch.cat([torch.ones(len(v.vectors), 1), v.vectors], dim=1)
        expected: Tensor = torch.sparse.sampled_addmm(self._seen, given_u, given_v.T, beta=0.0).values()
        return expected


def _with(matrix: Tensor, values: Tensor) -> Tensor:
    """The sparse matrix with other entries in the same places."""
    n_rows, n_columns = matrix.shape
    return compressed(matrix.crow_indices(), matrix.col_indices(), values, (n_rows, n_columns))


def _half(width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows and columns of the upper half of a symmetric matrix, and where in that half each of its entries stands."""
    rows, columns = torch.triu_indices(width, width)
    place = torch.zeros(width, width, dtype=torch.int64)
    place[rows, columns] = place[columns, rows] = torch.arange(len(rows))
    return rows, columns, place.flatten()


def _wishart_root(count: float, scatter: Tensor) -> Tensor:
    """R with R R' ~ Wishart(count, scatter^-1), by Bartlett's decomposition."""
    width = len(scatter)
    scale_root = torch.linalg.cholesky(torch.linalg.inv(scatter))
    freedom = count - torch.arange(width, dtype=torch.float32)
    triangle = torch.randn(width, width).tril(-1) + torch.diag(torch.distributions.Chi2(freedom).sample().sqrt())
    return scale_root @ triangle
