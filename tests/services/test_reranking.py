"""The shown order: the model's, moved by boosts, diversity and pins; every move is disclosed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.base import Scores
from services.reranking import Pinned, Placed, Spread, best_first, rerank

KEY = np.array([3.0, 2.0, 1.0, 0.0])
NO_BOOST = np.zeros(4)


def alike(groups: str) -> Spread:
    same = np.array([[float(a == b) for b in groups] for a in groups], np.float32)
    return Spread(0.5, lambda places, one: same[places, one])


def only(*places: int) -> np.ndarray:
    return np.isin(np.arange(4), places)


def places(shown: tuple[Placed, ...]) -> list[int]:
    return [it.place for it in shown]


def test_without_wishes_it_is_the_order_of_the_model() -> None:
    shown = rerank(KEY, NO_BOOST, None, (), 3)
    assert shown == tuple(Placed(n, n + 1, ()) for n in range(3))


def test_a_boost_moves_a_product_and_those_it_passes_and_says_so() -> None:
    shown = rerank(KEY, np.array([0, 0, 1.5, 0]), None, (), 4)
    assert places(shown) == [0, 2, 1, 3]
    assert [it.moved_by for it in shown] == [(), ("boost",), ("boost",), ()]
    assert [it.model_rank for it in shown] == [1, 3, 2, 4]


def test_a_boost_that_changes_no_rank_is_not_named() -> None:
    assert all(it.moved_by == () for it in rerank(KEY, np.array([0.5, 0, 0, 0]), None, (), 4))


def test_diversity_puts_another_kind_before_more_of_the_same() -> None:
    shown = rerank(KEY, NO_BOOST, alike("aaab"), (), 2)
    assert places(shown) == [0, 3]
    assert shown[1].moved_by == ("diversity",)


@pytest.mark.parametrize(("lambda_", "expected"), [(1.0, [0, 1, 2]), (0.0, [0, 3, 1])])
def test_lambda_goes_from_relevance_alone_to_variety_alone(lambda_: float, expected: list[int]) -> None:
    spread = Spread(lambda_, alike("aaab").similarity)
    assert places(rerank(KEY, NO_BOOST, spread, (), 3)) == expected


def test_pins_put_the_best_of_their_products_at_their_rank_after_everything_else() -> None:
    shown = rerank(KEY, np.array([0, 0, 0, 9.0]), None, (Pinned(only(1, 2), 1), Pinned(only(0), 3)), 3)
    assert places(shown) == [1, 3, 0]
    assert [it.moved_by for it in shown] == [("boost", "pin")] * 3


def test_a_pin_without_a_candidate_does_nothing_and_one_beyond_the_end_is_the_last() -> None:
    assert places(rerank(KEY, NO_BOOST, None, (Pinned(only(), 1),), 4)) == [0, 1, 2, 3]
    assert places(rerank(KEY, NO_BOOST, None, (Pinned(only(0), 90),), 4)) == [1, 2, 3, 0]


def test_missing_scores_keep_the_order_given_and_no_candidates_give_no_products() -> None:
    nothing = np.full(4, np.nan)
    assert places(rerank(nothing, NO_BOOST, alike("aaab"), (), 2)) == [0, 3]
    assert places(rerank(nothing, NO_BOOST, None, (), 4)) == [0, 1, 2, 3]
    assert rerank(KEY[:0], NO_BOOST[:0], alike(""), (), 5) == ()


def test_stars_order_where_a_method_gives_no_probability() -> None:
    nan = np.full(3, np.nan, np.float32)
    stars, click = np.array([1, 3, 2], np.float32), np.array([0.1, 0.2, 0.3], np.float32)
    assert best_first(Scores(stars, nan)).tolist() == [1, 2, 0]
    assert best_first(Scores(stars, click)).tolist() == [2, 1, 0]


@given(
    st.lists(st.floats(-5, 5), min_size=1, max_size=20),
    st.floats(0, 1),
    st.lists(st.tuples(st.integers(0, 19), st.integers(1, 25)), max_size=4),
    st.integers(1, 25),
)
def test_whatever_is_wished_every_product_is_shown_at_most_once(
    key: list[float], lambda_: float, pins: list[tuple[int, int]], k: int
) -> None:
    n = len(key)
    spread = Spread(lambda_, lambda places, one: (places % 3 == one % 3).astype(np.float32))
    pinned = tuple(Pinned(np.arange(n) == place, rank) for place, rank in pins)
    shown = rerank(np.array(key), np.zeros(n), spread, pinned, k)
    assert len({it.place for it in shown}) == len(shown) == min(n, k)
