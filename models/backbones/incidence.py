"""Attention of N rows over L of E shared things each, without a copy of the things for every row.

Which things a row has is a sparse matrix (N, E) with L entries in each row; dot products are taken at its entries, and
weighted sums are products with it. One such product costs a tenth of gathering (N, L, d) and multiplying it, and so
does its gradient.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


@dataclass(frozen=True, eq=False)
class Incidence:
    """Which L of the E things each of N rows has; one may be there twice."""

    place: Tensor  # (N, L) 0..E-1; of one row, where all rows have the same things
    n_things: int

    def dots(self, rows: Tensor, things: Tensor) -> Tensor:
        """Dot products of each row (N, d) with its things (E, d): (N, L)."""
        if len(self.place) == 1:
            return rows @ things.index_select(0, self.place[0]).mT
        if not torch.is_grad_enabled():
            return self._dots(rows, things)
        dots: Tensor = _Dots.apply(self, rows, things)  # type: ignore[no-untyped-call]
        return dots

    def sums(self, weights: Tensor, things: Tensor) -> Tensor:
        """Sums of each row's things (E, d) with weights (N, L): (N, d)."""
        if len(self.place) == 1:
            return weights @ things.index_select(0, self.place[0])
        if not torch.is_grad_enabled():
            return self._sums(weights, things)
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
        order, starts = self._by_thing
        values = weights.flatten().index_select(0, order)
        return compressed(starts, order // length, values, (self.n_things, n_rows)) @ rows

    def _matrix(self, values: Tensor) -> Tensor:
        return compressed(self._starts, self.place.flatten(), values.flatten(), (len(self.place), self.n_things))

    @cached_property
    def _starts(self) -> Tensor:
        """(N + 1,) where each row's entries start."""
        n_rows, length = self.place.shape
        return torch.arange(0, n_rows * length + 1, length, device=self.place.device)

    @cached_property
    def _by_thing(self) -> tuple[Tensor, Tensor]:
        """(N L,) the entries in order of their things, and (E + 1,) where each thing's start: for gradients alone."""
        flat = self.place.flatten()
        starts = flat.new_zeros(self.n_things + 1)
        starts[1:] = torch.bincount(flat, minlength=self.n_things).cumsum(0)
        return torch.argsort(flat, stable=True), starts


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
    _hear_of_beta()
    return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=False)


def sparse(rows: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """(shape), where entries that repeat stay apart."""
    order = torch.argsort(rows * shape[1] + columns)
    starts = torch.zeros(shape[0] + 1, dtype=torch.int64)
    starts[1:] = torch.bincount(rows, minlength=shape[0]).cumsum(0)
    return compressed(starts, columns[order], values[order], shape)


@cache
def _hear_of_beta() -> None:
    """Has torch say what it says once, that compressed rows are in beta, where nobody listens."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse")
        torch.sparse_csr_tensor(torch.tensor([0, 0]), torch.zeros(0, dtype=torch.int64), torch.zeros(0), (1, 1))
