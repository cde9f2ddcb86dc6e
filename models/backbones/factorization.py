"""Bayesian matrix factorization with side information: who goes with what before any text is read, and how surely.

Sources: Salakhutdinov and Mnih, "Bayesian probabilistic matrix factorization using Markov chain Monte Carlo", ICML
2008 (the sampler); Simm et al., "Macau: scalable Bayesian multi-relational factorization with side information",
2015 (priors that depend on features). As there, with five differences: ratings are ordered levels of a latent value
(`models/backbones/levels.py`); consumers differ in how exactly they rate (`models/backbones/noise.py`); who interacted
with what is a feature of both sides (as the implicit feedback of SVD++, Koren, KDD 2008, in both directions); each
group of features is reduced to its leading singular directions, so that its weights are independent given the vectors
and a sweep is linear in the ratings; and the biases are coordinates of the vectors, with features like the others.

Model, for the latent value z of a rating of consumer u and product i:

    z = b_u + c_i + p_u . q_i + noise,                    noise ~ N(0, 1 / (tau g_u))
    (b_u, p_u) ~ N(m + sum_g x_ug W_g, Lambda^-1)         and likewise (c_i, q_i)
    W_g ~ N(0, lambda_g^-1 I, Lambda^-1)                  m, Lambda ~ normal-Wishart; lambda_g, tau, g_u ~ gamma
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.backbones.bases import Features, bases_of, unit_rows
from models.backbones.gibbs import Sampler
from models.backbones.levels import levels_of, nearest, pull
from models.base import MethodConfig, Progress, silent

_NEWTON_STEPS = 3
"""From what features say of a new consumer to what the history adds."""


class FactorizationConfig(MethodConfig):
    """Size of the model and of the sample."""

    rank: int = 12
    """K: width of p_u and q_i."""
    side_rank: int = 400
    """Singular directions kept of each group of features."""
    chains: int = 2
    """Independent runs of the sampler, which differ by more than the draws within one do."""
    sweeps: int = 160
    """Passes of each run."""
    burn_in: int = 60
    """First passes, which count for nothing."""
    samples: int = 32
    """Draws that are kept of each run, evenly spread over its other passes; S is all of them together."""
    prior_scale: float = 0.1
    """Prior scale matrix of the vectors' precision: smaller pulls vectors closer to what their features say."""
    start: float = 0.3
    """Deviation of the vectors that a chain starts from."""
    alike: float = 10.0
    """How much alike consumers are in how exactly they rate, in ratings that each one's own are weighed against; 0:
    quite alike."""
    stretch: bool = True
    """Whether all vectors of a side may spread or shrink together, so that a chain forgets its start. If not, short
    chains stay near it where there are few ratings, which is as good as a prior that one has chosen."""


@dataclass(frozen=True, eq=False)
class Ratings:
    """Observed pairs as numbers, each at most once."""

    consumer: Tensor  # (N,)
    product: Tensor  # (N,)
    level: Tensor  # (N,) of the rating
    levels: Tensor  # (L,) stars of each level, rising

    @classmethod
    def of(cls, consumer: Tensor, product: Tensor, stars: Tensor) -> Ratings:
        """Pairs and their ratings (N,); any scale."""
        levels = levels_of(stars)
        return cls(consumer, product, nearest(stars, levels), levels)

    def take(self, rows: Tensor) -> Ratings:
        """The chosen rows, with the levels of all."""
        return Ratings(self.consumer[rows], self.product[rows], self.level[rows], self.levels)

    def __len__(self) -> int:
        return len(self.level)


@dataclass(frozen=True, eq=False)
class Belief:
    """What is believed of N pairs."""

    levels: Tensor  # (L,) stars of each level, rising
    above: Tensor  # (N, L - 1) chance of a rating of level 1 or higher, of level 2 or higher, and so on
    deviation: Tensor  # (N,) of the mean in stars, not of a single rating

    @property
    def mean(self) -> Tensor:
        """(N,) expected stars."""
        return self.levels[0] + self.above @ self.levels.diff()

    def at_least(self, stars: Tensor) -> Tensor:
        """(N, ...) chance of a rating as high as each of the stars (...)."""
        sure = torch.ones(len(self.above), 1)
        return torch.cat([sure, self.above, 1 - sure], dim=1)[:, torch.searchsorted(self.levels, stars)]

    def rows(self, rows: Tensor) -> Belief:
        """The chosen rows."""
        return Belief(self.levels, self.above[rows], self.deviation[rows])


def joined(parts: Sequence[Belief]) -> Belief:
    """Beliefs of different pairs as one; models of few ratings may not know the same levels."""
    levels: Tensor = torch.cat([part.levels for part in parts]).unique()  # type: ignore[no-untyped-call]
    above = torch.cat([part.at_least(levels[1:]) for part in parts])
    return Belief(levels, above, torch.cat([part.deviation for part in parts]))


@dataclass(frozen=True, eq=False)
class Vectors:
    """Vectors of N consumers or products in each of the S samples, the bias first."""

    mean: Tensor  # (S, N, K + 1)
    covariance: Tensor | None  # (S, N or 1, K + 1, K + 1) within a sample; None where the samples are draws themselves
    unsure: Tensor | None = None  # (N,) the rows that have it; None: all
    exactness: Tensor | None = None  # (S, N) of consumers: how exactly they rate, a factor of tau; None: 1

    def rows(self, rows: Tensor) -> Vectors:
        """The chosen rows, repeats allowed."""
        covariance = None if self.covariance is None else self.covariance[:, rows]
        exactness = None if self.exactness is None else self.exactness[:, rows]
        return Vectors(self.mean[:, rows], covariance, exactness=exactness)

    def replaced(self, new: Tensor, by: Vectors) -> Vectors:
        """These vectors, with those of the rows that `new` marks (N,) taken from `by`, one for each of them."""
        mean = self.mean.clone()
        mean[:, new] = by.mean
        covariance = mean.new_zeros(*mean.shape, mean.shape[-1])
        if by.covariance is not None:
            covariance[:, new] = by.covariance
        if self.exactness is None:
            return Vectors(mean, covariance)
        return Vectors(mean, covariance, exactness=self.exactness.masked_fill(new, 1.0))


class Factorization:
    """Posterior samples of both sides' vectors; made by `fit`, and all of it is in `levels` (L,) and `tensors`.

    Names: `cuts` (S, L - 1), `tau` (S,), `consumer.exactness` (S, n); and for each side (`consumer`, `product`)
    `.vectors` (S, n, K + 1), `.offset` (S, K + 1), `.precision` (S, K + 1, K + 1), and for each group g of features
    `.projection.g` (P_g, r) and `.weights.g` (S, r, K + 1); and `product.usual` (r,), mean scores of the last group.
    """

    def __init__(self, levels: Tensor, tensors: dict[str, Tensor]) -> None:
        self.levels, self.tensors = levels, tensors

    @classmethod
    def fit(
        cls,
        ratings: Ratings,
        consumers: Features,
        products: Features,
        config: FactorizationConfig,
        progress: Progress = silent,
    ) -> Factorization:
        """Draws from the posterior with a Gibbs sampler; random draws are torch's global ones.

        Args:
            ratings: what was observed.
            consumers: how many there are and what is known of them.
            products: likewise.
            config: sizes.
            progress: called after every tenth sweep.
        """
        bases = bases_of(ratings, consumers, products, config.side_rank)
        drawn = config.sweeps - config.burn_in
        kept = {config.burn_in + (k + 1) * drawn // config.samples - 1 for k in range(config.samples)}
        draws = []
        for chain in range(config.chains):
            sampler = Sampler(ratings, *bases, config)
            for sweep in range(config.sweeps):
                sampler.sweep()
                if sweep in kept:
                    draws.append(sampler.state())
                if (sweep + 1) % 10 == 0:
                    progress("factorize", chain * config.sweeps + sweep + 1, config.chains * config.sweeps)
        drawn_values = {name: torch.stack([draw[name] for draw in draws]) for name in draws[0]}
        return cls(ratings.levels, drawn_values | sampler.constants())

    def consumers(self, rows: Tensor) -> Vectors:
        """Vectors of consumers of the fit, by number (N,)."""
        exactness = self.tensors["consumer.exactness"][:, rows]
        return Vectors(self.tensors["consumer.vectors"][:, rows], None, exactness=exactness)

    def products(self, rows: Tensor) -> Vectors:
        """Vectors of products of the fit, by number (N,)."""
        return Vectors(self.tensors["product.vectors"][:, rows], None)

    def new_products(self, n: int, features: Sequence[Tensor]) -> Vectors:
        """What features (n, P_g) alone say of n products.

        Who will interact with them is not known, which is not the same as nobody: products that nobody has are thought
        little of. So the mean over the ratings stands for it. In double precision, so that what is said of a product
        does not depend on how many others are scored beside it.
        """
        usual = self.tensors["product.usual"] @ self.tensors[f"product.weights.{len(features)}"]
        told, offset = [values.double() for values in features], self.tensors["product.offset"] + usual
        vectors = self._prior("product", n, told, offset.double())
        return Vectors(vectors.mean.float(), vectors.covariance)

    def new_consumers(self, features: Sequence[Tensor], products: Tensor, stars: Tensor, known: Tensor) -> Vectors:
        """What features and a history say of consumers: the most likely vector in each sample, and its spread there.

        Of how exactly they rate nothing is said: as consumers do on average.

        Args:
            features: groups (N, P_g), without the products of the history.
            products: (N, L) numbers of products of the fit.
            stars: (N, L) given to them.
            known: (N, L) where there is an event.
        """
        n_products = self.tensors["product.vectors"].shape[1]
        seen = torch.zeros(len(products), n_products).scatter_add_(1, products, known.float())
        groups = [*features, unit_rows(seen)]
        prior = self._prior("consumer", len(products), groups, self.tensors["consumer.offset"]).mean
        v = self.tensors["product.vectors"][:, products]  # (S, N, L, K + 1)
        design = _given(v) * known.unsqueeze(-1)
        precision, level = self.tensors["consumer.precision"].unsqueeze(1), nearest(stars, self.levels)
        mean, covariance = prior, precision.inverse()
        for _ in range(_NEWTON_STEPS):
            expected = _times(design, mean) + v[..., 0]
            told = pull(expected, self.tensors["cuts"], self.tensors["tau"], level)
            covariance = (precision + design.mT @ (design * told.curvature.unsqueeze(-1))).inverse()  # (S, N, D, D)
            uphill = _times(design.mT, told.gradient) + _times(precision, prior - mean)
            mean = mean + _times(covariance, uphill)
        return Vectors(mean, covariance)

    def believe(self, consumers: Vectors, products: Vectors) -> Belief:
        """What is believed of N pairs; a side that is the same for all may have N = 1."""
        u, v = consumers.mean, products.mean
        drawn = u[..., 0] + torch.einsum("snk,snk->sn", v, _given(u))
        within = _spread(consumers, v) + _spread(products, u)
        tau = self.tensors["tau"].view(-1, 1)
        noise = (1 / (tau if consumers.exactness is None else tau * consumers.exactness) + within).sqrt()
        reach = (drawn - self.tensors["cuts"].T.unsqueeze(-1)) / noise  # (L - 1, S, N)
        above, gaps = torch.special.ndtr(reach), self.levels.diff().view(-1, 1, 1)
        slope = (gaps * torch.exp(-reach.square() / 2) / noise).sum(0).mean(0) / (2 * math.pi) ** 0.5
        deviation = ((gaps * above).sum(0).var(0) + within * slope.square()).sqrt()
        return Belief(self.levels, above.mean(1).T, deviation)

    def unsureness(self, side: str) -> Tensor:
        """(S, 1, K + 1, K + 1) covariance of every new consumer's or product's vector, given its features alone."""
        return self.tensors[f"{side}.precision"].inverse().unsqueeze(1)

    def _prior(self, side: str, n: int, features: Sequence[Tensor], offset: Tensor) -> Vectors:
        """What features (n, P_g) add to an offset (S, K + 1)."""
        mean = offset.unsqueeze(1).expand(-1, n, -1)
        for group, values in enumerate(features):
            scores = values @ self.tensors[f"{side}.projection.{group}"].to(values.dtype)
            mean = mean + scores @ self.tensors[f"{side}.weights.{group}"].to(values.dtype)
        return Vectors(mean, self.unsureness(side).expand(-1, n, -1, -1))


def _times(matrices: Tensor, vectors: Tensor) -> Tensor:
    """(..., A, B) times (..., B): (..., A)."""
    return (matrices @ vectors.unsqueeze(-1)).squeeze(-1)


def _given(vectors: Tensor) -> Tensor:
    """(S, N, K + 1) what the other side's vectors are multiplied with: 1 for its bias, in the place of this side's."""
    return torch.cat([torch.ones_like(vectors[..., :1]), vectors[..., 1:]], dim=-1)


def _spread(vectors: Vectors, others: Tensor) -> Tensor | float:
    """Mean over the samples of x' C x: (N,), from C (S, N or 1, D, D) and x of the other side (S, N or 1, D)."""
    covariance = vectors.covariance
    if covariance is None:
        return 0.0
    given = _given(others)
    shared = covariance.shape[1] == 1  # one matrix for all rows: one product, instead of one for each row
    told = given @ covariance.squeeze(1) if shared else (covariance @ given.unsqueeze(-1)).squeeze(-1)
    spread = (told * given).sum(-1).mean(0)
    return spread if vectors.unsure is None else spread * vectors.unsure
