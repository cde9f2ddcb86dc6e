"""Closed-form experts equal what is worked out by hand, and know the checkerboard."""

from __future__ import annotations

import numpy as np
import pytest

from features.errors import TrainingError
from features.readers.checkerboard import checkerboard, held_out
from models.backbones.experts import ByPlace, ByTime, Content, Popularity, Unseen
from models.backbones.histories import Histories
from models.backbones.neighbours import AlikeConsumers, Ease, Transitions, standardised

EQUAL = ByPlace()


def made(*histories: list[tuple[int, float]], n_products: int = 4) -> Histories:
    """Histories of (product, time) pairs."""
    rows = [(consumer, *event) for consumer, events in enumerate(histories) for event in events]
    consumer, product, time = (np.array(column) for column in zip(*rows, strict=True))
    return Histories.of(consumer, product, time, len(histories), n_products)


def test_events_are_ordered_by_consumer_and_time_and_equal_times_keep_their_order() -> None:
    histories = Histories.of(np.array([1, 0, 0, 0]), np.array([3, 2, 0, 1]), np.array([5.0, 9, 4, 4]), 3, 4)
    assert histories.product.tolist() == [0, 1, 2, 3]
    assert histories.now.tolist() == [9, 5, 9]
    assert histories.padded(2).tolist() == [[2, 3], [0, 4], [0, 0]]


def test_the_last_event_is_taken_from_those_who_keep_one() -> None:
    earlier, target = made([(0, 1.0), (1, 2), (2, 3)], [(3, 1.0)]).without_last()
    assert (earlier.product.tolist(), earlier.start.tolist()) == ([0, 1, 3], [0, 2, 3])
    assert target.tolist() == [2, -1]
    assert made([(0, 1.0), (1, 2), (2, 3)]).without_last(2)[1].tolist() == [1]


def test_numbers_outside_the_catalogue_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"(?s)product numbers run from 4 to 4.*0\.\.3"):
        made([(4, 1.0)])


def test_ease_equals_the_paper_for_two_products() -> None:
    """X = [[1, 1], [1, 0], [1, 0]]: G + I = [[4, 1], [1, 2]], P = [[2, -1], [-1, 4]] / 7, B = -P_ij / P_jj."""
    histories = made([(0, 1.0), (1, 2)], [(0, 1.0)], [(0, 1.0)], n_products=2)
    ease = Ease(1.0, EQUAL)
    ease.fit(histories)
    b = np.array([[0, 1 / 4], [1 / 2, 0]])
    expected = standardised(histories.matrix().toarray() @ b)
    assert ease.score(histories) == pytest.approx(expected, abs=1e-5)


def test_ease_with_fewer_consumers_than_products_is_the_same_model() -> None:
    random = np.random.default_rng(0)
    wide = made(
        *[[(int(p), float(t)) for t, p in enumerate(random.permutation(9)[:5])] for _ in range(6)], n_products=9
    )
    ease = Ease(3.0, ByPlace(power=0.5))
    ease.fit(wide)
    assert ease.root.shape == (6, 9)
    x = wide.matrix().toarray()
    p = np.linalg.inv(x.T @ x + 3 * np.eye(9))
    b = np.eye(9) - p / np.diag(p)
    assert ease.score(wide) == pytest.approx(standardised(wide.matrix(ByPlace(power=0.5)) @ b), abs=1e-4)


def test_transitions_count_what_follows_within_the_window() -> None:
    """0 -> 1 -> 2 and 0 -> 2: at lag 1 a weight of 1/2, at lag 2 of 1/4; the row of 0 sums to 5/4, plus 1."""
    histories = made([(0, 0.0), (1, 1), (2, 2)], [(0, 0.0), (2, 1)], n_products=3)
    expert = Transitions(ByPlace(decay=0.5), EQUAL, window=2, reverse=0.0, power=0.0)
    expert.fit(histories)
    first = [0, 0.5 / 2.25, 0.75 / 2.25]
    assert expert.table.toarray() == pytest.approx(np.array([first, [0, 0, 0.5 / 1.5], [0, 0, 0]]))


def test_transitions_by_the_clock_forget_long_gaps() -> None:
    expert = Transitions(ByTime(10.0), EQUAL, window=1, reverse=1.0, power=0.0)
    expert.fit(made([(0, 0.0), (1, 10)], [(0, 0.0), (2, 1e6)], n_products=3))
    close = np.exp(-1)
    table = expert.table.toarray()
    assert table[0] == pytest.approx([0, close / (1 + close), 0])
    assert table[1, 0] == pytest.approx(close / (1 + close)), "the reverse direction counts as well"


def test_alike_consumers_pass_on_what_they_had() -> None:
    expert = AlikeConsumers(EQUAL, k=2)
    expert.fit(made([(0, 0.0), (1, 1)], [(0, 0.0), (1, 1), (2, 2)], [(3, 0.0)]))
    scores = expert.score(made([(0, 0.0), (1, 1)]))
    assert scores[0, 2] > scores[0, 3]


def test_popularity_counts_events_near_the_consumers_own_time() -> None:
    histories = made([(0, 0.0), (1, 1000)], [(2, 0.0)], [(3, 1000.0)])
    near = Popularity(10.0)
    near.fit(histories)
    assert near.score(histories)[0] == pytest.approx(np.log([0.1, 2.1 - 1, 0.1, 1.1]))
    always = Popularity()
    always.fit(histories)
    assert always.score(histories)[1] == pytest.approx(np.log([2, 2, 2, 2]))


def test_new_products_are_known_by_having_no_event_and_found_by_their_text() -> None:
    histories = made([(0, 0.0)], [(1, 0.0)])
    unseen = Unseen()
    unseen.fit(histories)
    assert unseen.score(histories)[0].tolist() == [0, 0, 1, 1]
    vectors = np.array([[1, 0], [0, 1], [0.9, 0.1], [0.1, 0.9]], np.float32)
    scores = Content(vectors, EQUAL).score(histories)
    assert scores[0, 2] > scores[0, 3]
    assert scores[1, 3] > scores[1, 2]


@pytest.mark.parametrize("expert", [Ease(1.0, EQUAL), AlikeConsumers(EQUAL, 5), Transitions(EQUAL, EQUAL, window=9)])
def test_liked_pairs_of_the_checkerboard_are_found(expert: Ease | AlikeConsumers | Transitions) -> None:
    """From liked events alone, every expert ranks the held-out tile of the consumer's colour above the other one."""
    frame = checkerboard().interactions.frame
    liked = frame[frame["rating"] == 5]
    number = {f"{kind}-{n:02d}": n for kind in ("consumer", "product") for n in range(20)}
    columns = (liked[name].map(number).to_numpy() for name in ("consumer_id", "product_id"))
    histories = Histories.of(*columns, liked["timestamp"].to_numpy("datetime64[s]").astype(float), 20, 20)
    expert.fit(histories)
    asked = held_out()
    cells = expert.score(histories)[asked["consumer_id"].map(number), asked["product_id"].map(number)]
    mine, other = cells[asked["liked"].to_numpy()], cells[~asked["liked"].to_numpy()]
    assert (mine > other).all()
