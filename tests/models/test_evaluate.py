"""Evaluation: the value is the metric, the interval holds it, and a method does not beat itself."""

import numpy as np

from features.types import RatingScale
from models.evaluate import (
    Evaluation,
    Predictions,
    auc_difference,
    auc_interval,
    compare_predictions,
    evaluate_predictions,
)

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


def test_aucs_of_several_seeds_are_averaged_on_the_same_resamples():
    who, liked = np.repeat(np.arange(50), 4), np.tile([0, 1, 0, 1], 50)
    rng = np.random.default_rng(0)
    right, coin = liked + rng.normal(size=200), rng.normal(size=200)
    both = auc_interval(who, liked, np.stack([right, coin]))
    each = [auc_interval(who, liked, scores) for scores in (right, coin)]
    assert both.value == np.mean([interval.value for interval in each])
    assert each[1].low < 0.5 < each[1].high
    assert 0.5 < each[0].low < each[0].value < each[0].high
    gain = auc_difference(who, liked, coin, right)
    assert gain.value == each[0].value - each[1].value
    assert gain.low > 0
    assert auc_difference(who, liked, right, right) == auc_difference(who, liked, coin, coin)
