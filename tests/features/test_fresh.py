"""A stored row continued by new ratings is the row that a refresh would store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.batch import CODE_WIDTH, CONSUMER_NUMERIC, HISTORY_LENGTH, N_FACETS, ConsumerBlock, Indexed, tuples
from features.fresh import with_feedback
from features.inbox import Feedback
from features.states import consumer_states
from features.types import Catalog, Interactions, RatingScale, Snapshot

START, SCALE = datetime(2024, 1, 1, tzinfo=UTC), RatingScale()
Ratings = list[tuple[str, float]]


def stored(ratings: Ratings) -> ConsumerBlock:
    """The row that the lake has after these ratings, an hour apart."""
    codes, nowhere = np.zeros((0, 2, N_FACETS, CODE_WIDTH), np.float32), np.full(1, -1, np.int32)
    ids, stars = np.full((1, HISTORY_LENGTH), "", object), np.full((1, HISTORY_LENGTH), np.nan, np.float32)
    numeric = np.full((1, len(CONSUMER_NUMERIC)), np.nan, np.float32)
    if ratings:
        row = consumer_states(snapshot(ratings)).iloc[-1]
        numeric[0] = [row[name] for name in CONSUMER_NUMERIC]
        ids[0, : len(row["history_ids"])] = row["history_ids"]
        stars[0, : len(row["history_ratings"])] = row["history_ratings"]
    return ConsumerBlock(
        np.array(["c"], object),
        numeric,
        tuples([()]),
        ids,
        stars,
        Indexed(codes, nowhere),
        Indexed(codes[..., 0], nowhere),
    )


def snapshot(ratings: Ratings) -> Snapshot:
    """As read: the latest rating of each product counts."""
    frame = pd.DataFrame(ratings, columns=["product_id", "rating"])
    times = pd.to_datetime([at(n) for n in range(len(ratings))], utc=True).as_unit("us")
    frame = frame.assign(row=range(len(frame)), consumer_id="c", timestamp=times, review=None)
    frame = frame.drop_duplicates("product_id", keep="last").reset_index(drop=True)
    return Snapshot(Interactions(frame), Catalog(pd.DataFrame(), pd.DataFrame()), SCALE, at(len(ratings)))


def at(n: int) -> datetime:
    return START + timedelta(hours=n)


def feedback(ratings: Ratings, first: int) -> list[Feedback]:
    return [Feedback(str(n), "c", name, stars, at(first + n)) for n, (name, stars) in enumerate(ratings)]


def assert_same(found: ConsumerBlock, expected: ConsumerBlock, columns: Any = slice(None)) -> None:
    np.testing.assert_allclose(found.numeric[0, columns], expected.numeric[0, columns], rtol=1e-4, atol=2e-3)
    assert found.history_ids.tolist() == expected.history_ids.tolist()
    np.testing.assert_array_equal(found.history_ratings, expected.history_ratings)


stars = st.sampled_from([1.0, 2.0, 3.5, 4.0, 5.0])


@settings(max_examples=40, deadline=None)
@given(st.lists(stars, max_size=25), st.lists(stars, min_size=1, max_size=5))
def test_new_products_are_continued_exactly(before: list[float], after: list[float]) -> None:
    known = [(f"p{n}", value) for n, value in enumerate(before)]
    new = [(f"q{n}", value) for n, value in enumerate(after)]
    time = at(len(known) - 1) if known else None
    found = with_feedback(stored(known), time, feedback(new, len(known)), SCALE)
    assert_same(found, stored(known + new))


def test_a_product_rated_again_is_counted_once_and_comes_first() -> None:
    known, new = [("a", 1.0), ("b", 5.0), ("c", 4.0)], [("b", 2.0), ("d", 3.0), ("b", 4.0)]
    found = with_feedback(stored(known), at(2), feedback(new, 3), SCALE)
    assert_same(found, stored(known + new))
    assert found.numeric[0, 0] == 4


def test_without_feedback_the_row_stays_and_is_never_changed_in_place() -> None:
    block = stored([("a", 1.0)])
    assert with_feedback(block, at(0), [], SCALE) is block
    with_feedback(block, at(0), feedback([("b", 5.0)], 1), SCALE)
    assert_same(block, stored([("a", 1.0)]))


def test_a_first_rating_has_no_deviation() -> None:
    found = with_feedback(stored([]), None, feedback([("a", 5.0)], 0), SCALE)
    assert found.numeric[0].tolist() == pytest.approx([1, 5, np.nan, 1, 0], nan_ok=True)
