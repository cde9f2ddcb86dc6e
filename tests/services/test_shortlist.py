"""The shortlist holds the best by the guess, and the best of whatever a boost or pin is about."""

from __future__ import annotations

import numpy as np
import pytest

from services.shortlist import shortlist

GUESS = np.array([5, 1, 4, 2, 3], np.float32)
NO_GROUPS: tuple[np.ndarray, ...] = ()


@pytest.mark.parametrize(("keep", "expected"), [(1, [0]), (3, [0, 2, 4]), (5, [0, 1, 2, 3, 4]), (9, [0, 1, 2, 3, 4])])
def test_the_best_are_kept_in_the_order_given(keep: int, expected: list[int]) -> None:
    assert shortlist(GUESS, keep, NO_GROUPS, 2).tolist() == expected


def test_as_many_of_each_group_are_kept_as_can_be_shown() -> None:
    group = np.array([False, True, False, True, True])
    assert shortlist(GUESS, 1, [group], 2).tolist() == [0, 3, 4]
    assert shortlist(GUESS, 1, [np.zeros(5, bool)], 2).tolist() == [0]
