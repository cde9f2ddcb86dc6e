"""Blocks of rows: put behind each other, each row is what it was."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from features.batch import Indexed, TrainingSet
from models.testing import rich_training_set


def same(one: object, other: object) -> bool:
    """Whether two blocks hold the same rows, whatever their tables."""
    if isinstance(one, Indexed) and isinstance(other, Indexed):
        present = one.index >= 0
        shown = [it.table[it.index[present]] for it in (one, other)]
        return np.array_equal(present, other.index >= 0) and np.array_equal(*shown)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return all(same(getattr(one, it.name), getattr(other, it.name)) for it in fields(one))  # type: ignore[arg-type]


def test_joined_rows_are_those_of_the_parts_in_order() -> None:
    parts = [rich_training_set(9, seed=1), rich_training_set(5, seed=2), rich_training_set(9, seed=1)]
    joined = TrainingSet.joined(parts)
    assert len(joined) == 23
    start = 0
    for part in parts:
        assert same(joined.take(np.arange(start, start + len(part))), part)
        start += len(part)
    assert not same(parts[0].take(np.arange(5)), parts[1])


def test_a_block_joined_alone_is_itself() -> None:
    rows = rich_training_set(9, seed=3)
    assert same(TrainingSet.joined([rows]), rows)
