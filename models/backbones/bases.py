"""What is known of consumers and products beside their ratings, in few directions.

Each group of features is reduced to its leading singular directions, so that its weights are independent given the
vectors (`models/backbones/factorization.py`).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from models.backbones.incidence import sparse

if TYPE_CHECKING:
    from models.backbones.factorization import Ratings


@dataclass(frozen=True, eq=False)
class Features:
    """What is known of n consumers or products beside their ratings."""

    n: int
    groups: tuple[Tensor, ...] = ()
    """Each (n, P_g), dense or sparse; a row of zeros says nothing."""


@dataclass(frozen=True, eq=False)
class Basis:
    """A group of features X (n, P) in its leading singular directions."""

    scores: Tensor  # (n, r) = X V, orthogonal columns
    projection: Tensor  # V: (P, r)
    energy: Tensor  # (r,) squared lengths of the columns of the scores

    @classmethod
    def of(cls, features: Tensor, rank: int) -> Basis:
        """The leading directions of dense or sparse features (n, P)."""
        rank = min(rank, *features.shape)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse")
            try:
                left, values, right = torch.svd_lowrank(features, q=rank, niter=3)
            except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
                # So few rows that many directions are equally long, and rounding decides.
                precise = torch.svd_lowrank(features.double(), q=rank, niter=3)
                left, values, right = (part.float() for part in precise)
        kept = values > 1e-5 * values[0].clamp(min=1e-12)
        return cls(left[:, kept] * values[kept], right[:, kept], values[kept] ** 2)


def bases_of(ratings: Ratings, consumers: Features, products: Features, rank: int) -> tuple[list[Basis], list[Basis]]:
    """The features of both sides, reduced; the last group of each is who interacted with what, rows of length 1."""
    u, i, shape = ratings.consumer, ratings.product, (consumers.n, products.n)

    def shares(rows: Tensor, columns: Tensor, shape: tuple[int, int]) -> Tensor:
        return sparse(rows, columns, torch.bincount(rows)[rows].float().rsqrt(), shape)

    implicit = (shares(u, i, shape), shares(i, u, shape[::-1]))
    return (
        [Basis.of(group, rank) for group in (*consumers.groups, implicit[0])],
        [Basis.of(group, rank) for group in (*products.groups, implicit[1])],
    )


def unit_rows(seen: Tensor) -> Tensor:
    """Rows of ones and zeros (N, P) divided by their length; rows of zeros stay."""
    return seen / seen.sum(1, keepdim=True).clamp(min=1).sqrt()
