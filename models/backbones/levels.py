"""Stars as ordered levels of something continuous: the ordinal probit likelihood of the factorization.

Sources: Albert and Chib, "Bayesian analysis of binary and polychotomous response data", JASA 1993 (latent values);
Cowles, "Accelerating Monte Carlo Markov chain convergence for cumulative-link generalized linear models", Statistics
and Computing 1996 (cut points are drawn without the latent values, which would hold them where they are); Nandram and
Chen, "Reparameterizing the generalized linear model to accelerate Gibbs sampler convergence", Journal of Statistical
Computation and Simulation 1996 (the outer cut points are fixed and the noise is free, not the other way round).

    rating y has level c   where   cut_(c-1) < z < cut_c,      z ~ N(mu, 1 / tau)      (tau: `noise.py`)

So two levels need not be equally far apart, and a consumer who gives nothing but the highest stars is beyond a cut, not
without noise: a normal likelihood takes such ratings for exact and bends everything else to fit them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.special import erfc, ndtri

MOST_LEVELS = 20
"""Ratings with more distinct values are read as so many levels."""
_LEAST = 1e-300
"""Chances below are as good as none."""
_FAR = 30.0
"""Deviations from which on a level is as far as can be."""
_STEP = 2.4
"""Length of a proposal in deviations of a cut point: the best for one dimension (Gelman, Roberts and Gilks 1996)."""


def levels_of(ratings: Tensor) -> Tensor:
    """(L,) stars of the levels, rising: the distinct ratings, or the means of `MOST_LEVELS` equal parts of them."""
    distinct: Tensor = ratings.unique()  # type: ignore[no-untyped-call]
    if len(distinct) <= MOST_LEVELS:
        return distinct
    parts = ratings.sort().values.tensor_split(MOST_LEVELS)
    means: Tensor = torch.stack([part.mean() for part in parts]).unique()  # type: ignore[no-untyped-call]
    return means


def nearest(stars: Tensor, levels: Tensor) -> Tensor:
    """Number of the level that is next to stars of any shape."""
    return torch.bucketize(stars.contiguous(), (levels[1:] + levels[:-1]) / 2)


class Cuts:
    """The cut points of a chain, and the latent values of N ratings."""

    def __init__(self, level: Tensor, n_levels: int) -> None:
        """Starts where the shares of the levels (N,) say; a level without a rating counts as half of one."""
        counts = torch.bincount(level, minlength=n_levels).double() + 0.5
        share = counts.cumsum(0)[:-1] / counts.sum()
        self.value = ndtri(share)  # (L - 1,)
        self._level, self._inner = level, torch.arange(len(share))[1:-1]
        self._step = _STEP * (share * (1 - share) / counts.sum()).sqrt() / _density(self.value)

    @property
    def scaled(self) -> bool:
        """Whether they say how wide the noise is, which one cut point alone cannot."""
        return len(self.value) > 1

    def likelihood(self, mean: Tensor, tau: Tensor) -> float:
        """Log chance of the ratings, given what is expected of their latent values, and tau; both (N,)."""
        return float(self._chance(self.value, mean.double(), tau.double().sqrt()).log().sum())

    def draw(self, mean: Tensor, tau: Tensor) -> Tensor:
        """Latent values (N,), given what is expected of them and tau, both (N,); moves the inner cut points first."""
        mean, precise = mean.double(), tau.double().sqrt()
        for moved in (self._inner[::2], self._inner[1::2]):
            if len(moved):
                self._move(moved, mean, precise)
        lower, upper = _around(self.value, self._level)
        return (mean + _truncated((lower - mean) * precise, (upper - mean) * precise) / precise).float()

    def _move(self, moved: Tensor, mean: Tensor, precise: Tensor) -> None:
        """A Metropolis step of every other cut point: of a level's two ends one moves and the other stays."""
        proposed = self.value.clone()
        proposed[moved] += self._step[moved] * torch.randn(len(moved), dtype=proposed.dtype)
        ends = _padded(proposed)
        in_order = (ends[1:-1] > ends[:-2]) & (ends[1:-1] < ends[2:])
        proposed = torch.where(in_order, proposed, self.value)
        gain = self._chance(proposed, mean, precise).log() - self._chance(self.value, mean, precise).log()
        by_level = torch.bincount(self._level, gain, minlength=len(ends) - 1)
        accepted = torch.rand_like(proposed).log() < by_level[:-1] + by_level[1:]
        self.value = torch.where(accepted, proposed, self.value)

    def _chance(self, cuts: Tensor, mean: Tensor, precise: Tensor) -> Tensor:
        lower, upper = _around(cuts, self._level)
        return _between((lower - mean) * precise, (upper - mean) * precise)


class Pull(NamedTuple):
    """How ratings pull at what is expected of their latent values, of any shape."""

    gradient: Tensor  # of the log likelihood
    curvature: Tensor  # its negative second derivative, 0..tau


def pull(mean: Tensor, cuts: Tensor, tau: Tensor, level: Tensor) -> Pull:
    """What ratings say of the mean of their latent values.

    Args:
        mean: (S, ...) in each of S samples.
        cuts: (S, L - 1).
        tau: (S,) precision of the noise.
        level: (...) of the ratings.
    """
    precise = tau.double().sqrt().view(-1, *[1] * level.dim())
    ends = _padded(cuts.double())
    lower, upper = (ends[:, level] - mean) * precise, (ends[:, level + 1] - mean) * precise
    beyond = (lower - _FAR).clamp(min=0) + (upper + _FAR).clamp(max=0)  # there chances vanish, and pull no harder
    lower, upper = lower - beyond, upper - beyond
    chance, low, high = _between(lower, upper), _density(lower), _density(upper)
    gradient = (low - high) / chance
    curvature = gradient.square() + ((upper * high).nan_to_num() - (lower * low).nan_to_num()) / chance
    return Pull((gradient * precise).float(), (curvature.clamp(0, 1) * precise.square()).float())


def _padded(cuts: Tensor) -> Tensor:
    """Cut points (..., L - 1) with the open ends of the first and of the last level: (..., L + 1)."""
    end = cuts.new_full((*cuts.shape[:-1], 1), math.inf)
    return torch.cat([-end, cuts, end], dim=-1)


def _around(cuts: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """Both ends (N,) of the levels (N,)."""
    ends = _padded(cuts)
    return ends[level], ends[level + 1]


def _mirrored(lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Intervals above 0 mirrored, since only below are small chances told apart; and which ones these are."""
    high = lower > 0
    return torch.where(high, -upper, lower), torch.where(high, -lower, upper), high


def _between(lower: Tensor, upper: Tensor) -> Tensor:
    """Chance of a standard normal value in each interval; never 0."""
    lower, upper, _ = _mirrored(lower, upper)
    return (_below(upper) - _below(lower)).clamp(min=_LEAST)


def _truncated(lower: Tensor, upper: Tensor) -> Tensor:
    """A standard normal value from each interval."""
    lower, upper, high = _mirrored(lower, upper)
    below = _below(lower)
    share = below + torch.rand_like(below) * (_below(upper) - below)
    value = ndtri(share.clamp(_LEAST, 1 - 1e-16)).clamp(lower, upper)  # so far out that chances vanish: at the end
    return torch.where(high, -value, value)


def _density(value: Tensor) -> Tensor:
    return torch.exp(-value.square() / 2) / math.sqrt(2 * math.pi)


def _below(value: Tensor) -> Tensor:
    """Chance of a standard normal value below; torch's own `ndtr` says 0 from eight deviations down."""
    below: Tensor = erfc(-value * math.sqrt(0.5)) / 2
    return below
