"""Evaluation: the value is the metric, the interval holds it, and a method does not beat itself."""

import numpy as np

from features.types import RatingScale
from models.evaluate import Evaluation, Predictions, compare_predictions, evaluate_predictions

P = Predictions(
    np.array(["a", "a", "b", "b"]), np.array([1.0, 5, 1, 5]), np.array([0.0, 1, 0, 1]), np.array([2.0, 4, 2, 4]),
    np.array([0.1, 0.9, 0.2, 0.8]), RatingScale(),
)  # fmt: skip


def test_metrics_and_round_trip():
    found = evaluate_predictions("m", P, 20)
    assert found.metrics["rmse/1-5"].value == 1
    assert found.metrics["auc_soft"].value == 1
    assert Evaluation.from_json(found.to_json()) == found


def test_a_method_does_not_beat_itself():
    assert all(not d.excludes_zero for d in compare_predictions(P, P, 20).values())
