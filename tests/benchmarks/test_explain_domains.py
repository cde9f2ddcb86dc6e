"""Domains of ExplainRec's benchmark: ids that cannot meet, and stars of one scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.explain.domains import CASES, FULL, disjoint, named, rescaled
from features.errors import InputError
from features.types import RatingScale
from models.testing import rich_training_set


def test_named_rows_share_no_id_and_are_otherwise_what_they_were() -> None:
    rows = rich_training_set(20)
    films, books = named(rows, "films"), named(rows, "books")
    disjoint([films], books.batch)
    with pytest.raises(InputError, match="ids are in source and target"):
        disjoint([films, books], books.batch)
    assert films.batch.consumers.consumer_ids[0] == f"films/{rows.batch.consumers.consumer_ids[0]}"
    absent = rows.batch.consumers.history_ids == ""
    assert absent.any()
    np.testing.assert_array_equal(films.batch.consumers.history_ids == "", absent)
    np.testing.assert_array_equal(films.rating, rows.rating)
    assert {*FULL.knowledge.domains(films.batch.products.product_ids)} == {"films"}


def test_half_stars_become_stars_of_the_source() -> None:
    rows = rich_training_set(20)
    half = replace(rows, rating=np.linspace(0.5, 5, 20, dtype=np.float32))
    moved = rescaled(half, RatingScale(0.5, 5, 4), RatingScale(1, 5, 4))
    np.testing.assert_allclose(moved.rating, np.linspace(1, 5, 20), rtol=1e-6)
    np.testing.assert_array_equal(moved.liked, half.liked)
    before, after = rows.batch.products.numeric, moved.batch.products.numeric
    np.testing.assert_array_equal(after[:, [0, 3]], before[:, [0, 3]])  # counts and shares are in no stars
    np.testing.assert_allclose(after[:, 2], before[:, 2] * 4 / 4.5, rtol=1e-6)
    np.testing.assert_allclose(after[:, [1, 4]], 1 + (before[:, [1, 4]] - 0.5) * 4 / 4.5, rtol=1e-6)
    same = rescaled(rows, RatingScale(), RatingScale())
    np.testing.assert_allclose(same.batch.consumers.history_ratings, rows.batch.consumers.history_ratings)


def test_no_case_is_trained_on_its_target() -> None:
    assert all(case.target not in case.sources for case in CASES.values())
