"""Sparse attention is what gathering and multiplying would be, forwards and backwards."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.backbones.incidence import Incidence

N_ROWS, LENGTH, N_THINGS, WIDTH = 5, 4, 7, 3


@pytest.fixture
def incidence() -> Incidence:
    place = torch.randint(0, N_THINGS - 1, (N_ROWS, LENGTH), generator=torch.Generator().manual_seed(0))
    place[0] = 2  # the same thing four times; thing 6 is nowhere
    return Incidence(place, N_THINGS)


def values(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_()


def test_dots_are_those_of_each_row_with_its_things(incidence: Incidence) -> None:
    rows, things = values(N_ROWS, WIDTH, seed=1), values(N_THINGS, WIDTH, seed=2)
    torch.testing.assert_close(incidence.dots(rows, things), (things[incidence.place] @ rows.unsqueeze(-1)).squeeze(-1))
    assert torch.autograd.gradcheck(incidence.dots, (rows, things))


def test_sums_weigh_each_rows_things(incidence: Incidence) -> None:
    weights, things = values(N_ROWS, LENGTH, seed=1), values(N_THINGS, WIDTH, seed=2)
    told = (weights.unsqueeze(-1) * things[incidence.place]).sum(1)
    torch.testing.assert_close(incidence.sums(weights, things), told)
    assert torch.autograd.gradcheck(incidence.sums, (weights, things))


def test_more_entries_than_things_are_a_normal_case() -> None:
    rows, things = torch.randn(5, 3), torch.randn(2, 3)
    place = torch.randint(0, 2, (5, 4))
    assert torch.allclose(Incidence(place, 2).dots(rows, things), (rows @ things.mT).gather(1, place))
