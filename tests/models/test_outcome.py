"""Stars and liking from a preference: what many rows teach, and what few fall back to."""

from __future__ import annotations

import numpy as np
import pytest

from features.batch import TrainingSet
from features.types import RatingScale
from models.backbones.outcome import LEAST_TRUST, Design, Outcome, counts_at_rest, log_odds, means_at_rest
from models.base import Scores
from models.testing import SCALE, plain_batch, training_set


def examples(stars: np.ndarray) -> TrainingSet:
    ids = np.array([f"c{n}" for n in range(len(stars))], object)
    rows = training_set(plain_batch(ids, ids), stars >= 4)
    rows.rating[:] = stars
    return rows


def means(n: int, stars: float = 3.5, chance: float = 0.6) -> Scores:
    return Scores(np.full(n, stars, np.float32), np.full(n, chance, np.float32))


def test_a_preference_that_tells_stars_is_read() -> None:
    preference = np.tile([-1.0, 0.0, 1.0], 200)
    rows = examples(3 + preference)
    design = Design.beside_counts(np.ones((600, 1)), preference)
    outcome = Outcome.learn(design, rows, counts_at_rest(1, SCALE))
    scores = outcome.scores(design, SCALE)
    np.testing.assert_allclose(scores.rating, rows.rating, atol=0.02)
    assert scores.click[preference == 1].min() > 0.9 > 0.5 > scores.click[preference == 0].max()


def test_without_rows_the_means_stand_and_the_preference_breaks_ties() -> None:
    nothing = Design.beside_means(means(0), np.zeros(0))
    outcome = Outcome.learn(nothing, examples(np.zeros(0)), means_at_rest())
    scores = outcome.scores(Design.beside_means(means(2), np.array([0.0, 1.0])), SCALE)
    assert scores.rating[0] == pytest.approx(3.5)
    assert scores.click[0] == pytest.approx(0.6)
    assert scores.rating[1] > scores.rating[0]
    assert outcome.trust == pytest.approx(LEAST_TRUST)


def test_without_rows_counts_say_nothing() -> None:
    nothing = Design.beside_counts(np.zeros((0, 3)), np.zeros(0))
    outcome = Outcome.learn(nothing, examples(np.zeros(0)), counts_at_rest(3, SCALE))
    scores = outcome.scores(Design.beside_counts(np.full((1, 3), 9.0), np.zeros(1)), SCALE)
    assert scores.click[0] == 0.5
    assert scores.rating[0] == SCALE.low


@pytest.mark.parametrize("at_rest", [means_at_rest, lambda: counts_at_rest(1, SCALE)])
def test_a_list_keeps_its_order_where_rows_speak_against_the_preference(at_rest) -> None:
    preference = np.tile([-1.0, 1.0], 300)
    rows, told = examples(3 - 2 * preference), np.tile([0.3, -0.3], 300)
    outcome = Outcome.learn(Design.beside_counts(told[:, None], preference), rows, at_rest())
    assert (outcome.liking[-1], outcome.stars[-1]) == pytest.approx((LEAST_TRUST, LEAST_TRUST))


def test_stars_end_where_the_scale_does() -> None:
    outcome = Outcome(np.array([0.0, 9.0]), np.array([3.0, 9.0]))
    design = Design(*2 * [np.array([[1.0, -5.0], [1.0, 5.0]])])
    assert outcome.scores(design, RatingScale(1, 7)).rating.tolist() == [1, 7]


def test_the_log_odds_are_those_of_the_chance() -> None:
    outcome = Outcome(np.array([0.1, 1.0, 0.5]), np.zeros(3))
    design = Design.beside_means(means(3), np.array([-1.0, 0.0, 2.0]))
    np.testing.assert_allclose(log_odds(outcome.scores(design, SCALE).click), outcome.odds(design), atol=1e-5)
