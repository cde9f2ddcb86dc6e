"""How near facets come is counted, so that three met reasons are more than one."""

from __future__ import annotations

import torch
from torch.nn import functional

from models.backbones.closeness import CENTRES, closeness

WIDTH = 8
TOPICS = functional.one_hot(torch.arange(WIDTH), WIDTH).float()


def facets(*topics: int, n_slots: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes (1, 2, M, W) and weights (1, 2, M): FOR facets about these topics, nothing against."""
    codes, weights = torch.zeros(1, 2, n_slots, WIDTH), torch.zeros(1, 2, n_slots)
    codes[0, 0, : len(topics)], weights[0, 0, : len(topics)] = TOPICS[list(topics)], 1
    return codes, weights


def same(*pairs: tuple[int, ...]) -> float:
    """Pairs of FOR facets about the same topic, of consumer and product."""
    near = closeness(*facets(*pairs[0]), *facets(*pairs[1]))
    return float(near[0, 0, CENTRES.index(1.0)].expm1())


def test_each_met_reason_counts() -> None:
    assert abs(same((1, 2, 3), (1, 2, 3)) - 3) < 1e-4
    assert abs(same((1, 2, 3), (1, 5, 6)) - 1) < 1e-4
    assert same((1, 2, 3), (4, 5, 6)) < 1e-4


def test_no_facet_meets_nothing_whatever_stands_in_its_slot() -> None:
    codes, weights = facets(1, 2, 3)
    none = closeness(codes, weights, codes, torch.zeros_like(weights))
    assert (none == 0).all()
    assert (closeness(codes, weights, codes, weights)[:, 1] == 0).all()  # nothing speaks against


def test_the_length_of_a_code_does_not_matter() -> None:
    codes, weights = facets(1, 2)
    torch.testing.assert_close(closeness(codes, weights, codes, weights), closeness(3 * codes, weights, codes, weights))
