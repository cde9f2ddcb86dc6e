"""Draws depend on the row and the seed alone, are even, and differ between seeds."""

from __future__ import annotations

import numpy as np

from features.sampling import draw

ROWS = np.arange(20_000)


def test_a_row_is_drawn_alike_whatever_other_rows_there_are() -> None:
    assert draw(ROWS, 3)[77] == draw([77], 3)[0]


def test_draws_are_even() -> None:
    counts = np.histogram(draw(ROWS, 0), bins=10, range=(0, 1))[0]
    assert counts.sum() == len(ROWS)
    assert np.abs(counts / len(ROWS) - 0.1).max() < 0.01


def test_seeds_next_to_each_other_are_unrelated() -> None:
    assert abs(np.corrcoef(draw(ROWS, 0), draw(ROWS, 1))[0, 1]) < 0.02
