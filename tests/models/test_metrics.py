"""Metrics by hand, then laws that hold for any input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.metrics.bertscore import bertscore
from models.metrics.ranking import auc, hit_rate, ndcg, user_auc
from models.metrics.rating import ece, ece_by_chance, logloss, mae, rmse


def test_rating_errors_by_hand():
    assert rmse([1, 5], [2, 2]) == pytest.approx(np.sqrt(5))
    assert mae([1, 5], [2, 2]) == 2


def test_auc_counts_ties_half():
    assert auc([1, 0, 0], [0.5, 0.5, 0.1]) == 0.75
    assert np.isnan(auc([1, 1], [0.1, 0.2]))


def test_user_auc_skips_consumers_of_one_class():
    assert user_auc(["a", "a", "b"], [1, 0, 1], [0.2, 0.9, 0.1]) == 0


def test_ndcg_and_hits_by_hand():
    assert ndcg([1, 0], [0.1, 0.9], 2) == pytest.approx(1 / np.log2(3))
    assert ndcg([1, 0], [0.1, 0.9], 1) == 0
    assert hit_rate([1, 0], [0.1, 0.9], 1) == 0
    assert hit_rate([1, 0], [0.1, 0.9], 2) == 1


def test_calibration_by_hand():
    assert ece([1, 0], [0.5, 0.5]) == 0
    assert ece([0, 0], [0.5, 0.5]) == 0.5
    assert logloss([1], [0.5]) == pytest.approx(np.log(2))


def test_chance_alone_leaves_a_calibration_error_that_falls_with_the_rows():
    few, many = np.full(100, 0.5), np.full(10_000, 0.5)
    assert ece_by_chance(few) == pytest.approx(np.sqrt(2 / np.pi) * 0.05, rel=0.1)  # mean of |N(0, 0.25 / 100)|
    assert ece_by_chance(many) == pytest.approx(ece_by_chance(few) / 10, rel=0.15)
    assert ece_by_chance([0.0, 1.0]) == 0
    assert np.isnan(ece_by_chance([]))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=20))
def test_auc_of_negated_scores_is_its_complement(rows):
    liked, score = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    assert auc(liked, score) == pytest.approx(1 - auc(liked, -score), nan_ok=True)


def test_bertscore_by_hand():
    east, north, between = [1.0, 0.0], [0.0, 1.0], [0.6, 0.8]
    assert bertscore(np.array([east]), np.array([east])) == 1
    assert bertscore(np.array([east]), np.array([east, north])) == pytest.approx(2 * 0.5 / 1.5)
    recall = (0.6 + 1 + 1) / 3  # precision is 1: both tokens are in the reference
    found = bertscore(np.array([between, north]), np.array([east, between, north]))
    assert found == pytest.approx(2 * recall / (1 + recall))
    assert bertscore(np.zeros((0, 2)), np.array([east])) == 0
