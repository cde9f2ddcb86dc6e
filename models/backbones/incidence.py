"""Attention of N rows over L of E shared things each, without a copy of the things for every row.

Which things a row has is a sparse matrix (N, E) with L entries in each row; dot products are taken at its entries, and
weighted sums are products with it. One such product costs a tenth of gathering (N, L, d) and multiplying it, and so
does its gradient.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


@dataclass(frozen=True, eq=False)
class Incidence:
    """Which L of the E things each of N rows has; one may be there twice."""

    n_things: int
    place: Tensor  # (N, L) 0..E-1
    order: Tensor  # (N L,) the entries in order of their things
    starts: Tensor  # (E + 1,) where each thing's entries start in that order

    @classmethod
    def of(cls, place: Tensor, n_things: int) -> Incidence:
        """From the things of each row (N, L)."""
        flat = place.flatten()
        starts = flat.new_zeros(n_things + 1)
        starts[1:] = torch.bincount(flat, minlength=n_things).cumsum(0)
        return cls(n_things, place, torch.argsort(flat, stable=True), starts)

    def dots(self, rows: Tensor, things: Tensor) -> Tensor:
        """Dot products of each row (N, d) with its things (E, d): (N, L)."""
        dots: Tensor = _Dots.apply(self, rows, things)  # type: ignore[no-untyped-call]
        return dots

    def sums(self, weights: Tensor, things: Tensor) -> Tensor:
        """Sums of each row's things (E, d) with weights (N, L): (N, d)."""
        sums: Tensor = _Sums.apply(self, weights, things)  # type: ignore[no-untyped-call]
        return sums

    def _dots(self, rows: Tensor, things: Tensor) -> Tensor:
        if self.n_things <= self.place.shape[1]:  # a sparse product refuses more entries than the matrix has places
            return (rows @ things.mT).gather(1, self.place)
        pattern = self._matrix(rows.new_zeros(self.place.shape))
        return torch.sparse.sampled_addmm(pattern, rows, things.mT, beta=0.0).values().view(self.place.shape)

    def _sums(self, weights: Tensor, things: Tensor) -> Tensor:
        return self._matrix(weights) @ things

    def _sums_by_thing(self, weights: Tensor, rows: Tensor) -> Tensor:
        """Sums over all entries of each thing of their rows (N, d) with weights (N, L): (E, d)."""
        n_rows, length = self.place.shape
        values = weights.flatten().index_select(0, self.order)
        return compressed(self.starts, self.order // length, values, (self.n_things, n_rows)) @ rows

    def _matrix(self, values: Tensor) -> Tensor:
        n_rows, length = self.place.shape
        starts = torch.arange(0, n_rows * length + 1, length, device=self.place.device)
        return compressed(starts, self.place.flatten(), values.flatten(), (n_rows, self.n_things))


class _Dots(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, incidence: Incidence, rows: Tensor, things: Tensor) -> Tensor:
        ctx.incidence = incidence
        ctx.save_for_backward(rows, things)
        return incidence._dots(rows, things)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, Tensor]:
        rows, things = ctx.saved_tensors
        return None, ctx.incidence._sums(gradient, things), ctx.incidence._sums_by_thing(gradient, rows)


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, incidence: Incidence, weights: Tensor, things: Tensor) -> Tensor:
        ctx.incidence = incidence
        ctx.save_for_backward(weights, things)
        return incidence._sums(weights, things)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, Tensor]:
        weights, things = ctx.saved_tensors
        return None, ctx.incidence._dots(gradient, things), ctx.incidence._sums_by_thing(weights, gradient)


def compressed(starts: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """A sparse matrix in compressed rows, which multiply quickest; entries may repeat."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse")  # torch says once that compressed rows are in beta
        return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=False)
