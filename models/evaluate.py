"""How good a fitted method is on test rows, with intervals, and how much better than another one.

Intervals are 95 % percentile intervals of a bootstrap over consumers (a consumer's rows stay together). The name
of a metric holds its protocol: `rmse/1-5` is in stars, `auc_soft` orders the observed test rows (not the whole
catalogue), `ndcg@10/observed` orders each consumer's own test rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.batch import TrainingSet
from features.errors import InputError
from features.types import RatingScale
from models.base import Recommender
from models.metrics.ranking import auc_of_groups, by_consumer_auc, by_consumer_ndcg
from models.metrics.rating import ECE_BINS

RESAMPLES = 500
SEED = 20240607

Column = NDArray[np.float64]
Statistic = Callable[[Column], float]
"""A metric as a function of how often each consumer counts, (C,)."""


@dataclass(frozen=True)
class Interval:
    """A value with the 2.5 and 97.5 percentiles of its resamples."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference with this interval counts."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, eq=False)
class Predictions:
    """A method's scores of test rows beside the truth; all (N,)."""

    consumers: NDArray[np.object_]
    rating: Column
    liked: Column
    predicted_rating: Column
    predicted_click: Column
    scale: RatingScale


@dataclass(frozen=True)
class Evaluation:
    """A method's metrics on one test set."""

    method: str
    rows: int
    consumers: int
    metrics: dict[str, Interval]

    def to_json(self) -> str:
        """Indented JSON."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Evaluation:
        """Reads what `to_json` wrote."""
        content: dict[str, Any] = json.loads(text)
        content["metrics"] = {name: Interval(**values) for name, values in content["metrics"].items()}
        return cls(**content)

    def write(self, path: Path) -> None:
        """Writes the JSON to a file."""
        path.write_text(self.to_json())


def evaluate(recommender: Recommender, test: TrainingSet) -> Evaluation:
    """Scores the test rows and measures. Raises InputError if there is no row or a score is not finite."""
    return evaluate_predictions(recommender.name, predict(recommender, test))


def compare(a: Recommender, b: Recommender, test: TrainingSet) -> dict[str, Interval]:
    """b minus a for every metric, on the same rows and the same resamples; see `compare_predictions`."""
    return compare_predictions(predict(a, test), predict(b, test))


def predict(recommender: Recommender, test: TrainingSet) -> Predictions:
    """The method's scores of the test rows. Raises InputError if there is no row or a score is not finite."""
    if not len(test):
        raise InputError("There is no test row to evaluate on.", remedy="Check the split of the recipe.")
    scores = recommender.score(test.batch)
    if bad := int((~np.isfinite(scores.rating) | ~np.isfinite(scores.click)).sum()):
        raise InputError(f"{recommender.name} gave {bad} of {len(test)} test rows no finite score.")
    return Predictions(
        test.batch.consumers.consumer_ids.astype(str),
        test.rating.astype(np.float64),
        test.liked.astype(np.float64),
        scores.rating.astype(np.float64),
        scores.click.astype(np.float64),
        recommender.scale,
    )


def evaluate_predictions(method: str, predictions: Predictions, resamples: int = RESAMPLES) -> Evaluation:
    """Every metric of the predictions with its interval."""
    consumers, group = np.unique(predictions.consumers, return_inverse=True)
    draws = _draws(len(consumers), resamples)
    metrics = {}
    for name, statistic in _statistics(predictions, group).items():
        value = statistic(np.ones(len(consumers)))
        if not np.isnan(value):
            metrics[name] = _interval(value, np.array([statistic(weight) for weight in draws]))
    return Evaluation(method, len(group), len(consumers), metrics)


def compare_predictions(a: Predictions, b: Predictions, resamples: int = RESAMPLES) -> dict[str, Interval]:
    """b minus a for every metric, paired: both are measured on each resample of consumers.

    Raises InputError if a and b are not of the same rows in the same order.
    """
    if not (np.array_equal(a.consumers, b.consumers) and np.array_equal(a.rating, b.rating)):
        raise InputError("The two methods were not scored on the same test rows in the same order.")
    consumers, group = np.unique(a.consumers, return_inverse=True)
    draws, ones = _draws(len(consumers), resamples), np.ones(len(consumers))
    first, second = _statistics(a, group), _statistics(b, group)
    differences = {}
    for name in first:
        value = second[name](ones) - first[name](ones)
        if not np.isnan(value):
            resampled = np.array([second[name](weight) - first[name](weight) for weight in draws])
            differences[name] = _interval(value, resampled)
    return differences


def mean_with_interval(values: Column, groups: NDArray[Any], resamples: int = RESAMPLES) -> Interval:
    """The mean of values, with the interval of a bootstrap over the groups (consumers) they belong to.

    Args:
        values: (N,); NaN counts nowhere.
        groups: (N,) whose each value is.
    """
    known = ~np.isnan(values)
    if not known.any():
        return Interval(float("nan"), float("nan"), float("nan"))
    names, group = np.unique(groups[known], return_inverse=True)
    mean = _mean(values[known], group)
    return _interval(mean(np.ones(len(names))), np.array([mean(draw) for draw in _draws(len(names), resamples)]))


def auc_interval(consumers: NDArray[Any], liked: NDArray[Any], scores: NDArray[Any]) -> Interval:
    """AUC of scores (N,), or the mean over seeds of (S, N), with the interval of a bootstrap over consumers."""
    names, group = np.unique(consumers, return_inverse=True)
    measure = _mean_auc(np.asarray(liked, float), scores, group)
    return _interval(measure(np.ones(len(names))), np.array([measure(draw) for draw in _draws(len(names), RESAMPLES)]))


def auc_difference(consumers: NDArray[Any], liked: NDArray[Any], a: NDArray[Any], b: NDArray[Any]) -> Interval:
    """AUC of b minus that of a, each of (N,) or a mean over seeds of (S, N), on the same resamples of consumers."""
    names, group = np.unique(consumers, return_inverse=True)
    label = np.asarray(liked, float)
    first, second = _mean_auc(label, a, group), _mean_auc(label, b, group)
    resampled = np.array([second(draw) - first(draw) for draw in _draws(len(names), RESAMPLES)])
    return _interval(second(np.ones(len(names))) - first(np.ones(len(names))), resampled)


def _mean_auc(liked: Column, scores: NDArray[Any], group: NDArray[np.intp]) -> Statistic:
    """The mean AUC of several scorings of the same rows."""
    each = [_auc(liked, row, group) for row in np.atleast_2d(scores)]
    return lambda weight: float(np.mean([measure(weight) for measure in each]))


def _statistics(p: Predictions, group: NDArray[np.intp]) -> dict[str, Statistic]:
    """Every metric by name, as a function of how often each consumer counts."""
    stars, width = f"{p.scale.low:g}-{p.scale.high:g}", p.scale.high - p.scale.low
    error = p.predicted_rating - p.rating
    squared, absolute = _mean(error**2, group), _mean(np.abs(error), group)
    clipped = np.clip(p.predicted_click, 1e-6, 1 - 1e-6)
    log_likelihood = p.liked * np.log(clipped) + (1 - p.liked) * np.log(1 - clipped)
    ids = p.consumers
    return {
        f"rmse/{stars}": lambda weight: float(np.sqrt(squared(weight))),
        f"mae/{stars}": absolute,
        "rmse/0-1": lambda weight: float(np.sqrt(squared(weight)) / width),
        "mae/0-1": lambda weight: absolute(weight) / width,
        "auc_soft": _auc(p.liked, p.predicted_click, group),
        "auc_soft/rating": _auc(p.liked, p.predicted_rating, group),
        "user_auc_soft": _mean_known(by_consumer_auc(ids, p.liked, p.predicted_click)),
        "ndcg@10/observed": _mean_known(by_consumer_ndcg(ids, p.liked, p.predicted_click, 10)),
        "logloss": _mean(-log_likelihood, group),
        "ece": _ece(p.liked, p.predicted_click, group),
    }


def _mean(values: Column, group: NDArray[np.intp]) -> Statistic:
    """Mean over rows."""
    sums, counts = np.bincount(group, weights=values), np.bincount(group)
    return lambda weight: float((weight @ sums) / (weight @ counts))


def _mean_known(values: Column) -> Statistic:
    """Mean over the consumers that have a value; NaN if none has."""
    known = (~np.isnan(values)).astype(float)
    filled = np.nan_to_num(values)
    return lambda weight: float((weight @ filled) / (weight @ known)) if weight @ known else float("nan")


def _auc(liked: Column, score: Column, group: NDArray[np.intp]) -> Statistic:
    """AUC over pooled rows; the scores are ranked once for all resamples."""
    _, ranks = np.unique(score, return_inverse=True)
    return lambda weight: auc_of_groups(liked, ranks, weight[group])


def _ece(liked: Column, probability: Column, group: NDArray[np.intp]) -> Statistic:
    """Expected calibration error over pooled rows."""
    bins = np.minimum((probability * ECE_BINS).astype(int), ECE_BINS - 1)

    def measure(weight: Column) -> float:
        each = weight[group]
        gap = np.bincount(bins, weights=each * (probability - liked))
        return float(np.abs(gap).sum() / each.sum())

    return measure


def _draws(n_consumers: int, resamples: int) -> Column:
    """How often each consumer counts in each resample: (resamples, C)."""
    rng = np.random.default_rng(SEED)
    return rng.multinomial(n_consumers, np.full(n_consumers, 1 / n_consumers), size=resamples).astype(float)


def _interval(value: float, resampled: Column) -> Interval:
    known = resampled[~np.isnan(resampled)]
    low, high = np.percentile(known, [2.5, 97.5]) if known.size else (float("nan"), float("nan"))
    return Interval(float(value), float(low), float(high))
