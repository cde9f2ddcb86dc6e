"""Contracts of what the model learns from: vectors, feature rows, the training set."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.batch import CONSUMER_NUMERIC, PRODUCT_NUMERIC, Indexed, TrainingSet
from features.contracts.engine import WARN, expectations, joined, missing_columns, validate
from features.contracts.inputs import EARLIEST
from features.contracts.report import CheckReport

EVENT_TIMESTAMP = "event_timestamp"
CANARY = 0.98
"""A feature that correlates with the target beyond this has seen the answer."""
CANARY_ROWS = 200
"""Fewer rows can correlate by chance."""


def check_vectors(
    name: str, vectors: NDArray[np.floating] | Sequence[Sequence[float]], width: int, min_spread: float = 1e-3
) -> CheckReport:
    """Vectors (N, width) are finite, not zero, and differ: a collapsed encoder gives every text the same one.

    Args:
        name: What they are, for the report (`text_vectors`, `codes`).
        vectors: One per row; rows of different length are found, not refused.
        width: Expected length of each.
        min_spread: Least mean standard deviation over rows, relative to the mean absolute value.
    """
    gxe, rows = expectations(), [np.asarray(row) for row in vectors]
    derived = pd.DataFrame({"width": np.asarray([len(row) for row in rows], np.int64)})
    matrix = np.zeros((len(rows), max(derived["width"], default=0)), np.float32)
    for target, row in zip(matrix, rows, strict=True):
        target[: len(row)] = row
    derived["not_finite"] = (~np.isfinite(matrix)).sum(axis=1)
    derived["norm"] = np.sqrt(np.einsum("nd,nd->n", matrix, matrix, dtype=np.float64))
    derived["norm"] = derived["norm"].where(derived["not_finite"] == 0)
    report = validate(
        name,
        derived,
        [
            gxe.ExpectTableRowCountToBeBetween(min_value=1),
            gxe.ExpectColumnValuesToBeInSet(column="width", value_set=[width], notes="as wide as the model expects"),
            gxe.ExpectColumnValuesToBeInSet(column="not_finite", value_set=[0], notes="neither NaN nor infinite"),
            gxe.ExpectColumnValuesToBeBetween(
                column="norm", min_value=1e-6, max_value=1e4, notes="a zero vector is an absent one in disguise"
            ),
        ],
    )
    if len(rows) < 2 or not report.passed:
        return report
    spread = float(matrix.std(axis=0, dtype=np.float64).mean() / np.abs(matrix).mean())
    suite = [gxe.ExpectColumnMinToBeBetween(column="spread", min_value=min_spread, notes="texts are told apart")]
    return joined(name, [report, validate(f"{name}_spread", pd.DataFrame({"spread": [spread]}), suite)])


def check_feature_rows(
    name: str,
    frame: pd.DataFrame,
    keys: Sequence[str],
    as_of: datetime | None = None,
    n_entities: int | None = None,
) -> CheckReport:
    """Rows of one feature view: keyed, dated, once per key and time, and none lost.

    Args:
        name: The view (`consumer_features`).
        frame: Keys, `event_timestamp` and features.
        keys: Columns that say whose row it is.
        as_of: Rows must be earlier; not checked if absent.
        n_entities: How many different keys there must be; not checked if absent.
    """
    if failed := missing_columns(name, frame, [*keys, EVENT_TIMESTAMP]):
        return failed
    gxe = expectations()
    key = frame[keys[0]].astype("string")
    for column in keys[1:]:
        key = key + "\x1f" + frame[column].astype("string")
    slim = frame[[*keys, EVENT_TIMESTAMP]].assign(key=key)
    numeric = frame.select_dtypes("number")
    slim["infinite"] = np.isinf(numeric.to_numpy(np.float64)).sum(axis=1).astype(float)
    suite = [
        gxe.ExpectTableRowCountToBeBetween(min_value=1),
        *(gxe.ExpectColumnValuesToNotBeNull(column=column) for column in [*keys, EVENT_TIMESTAMP]),
        gxe.ExpectCompoundColumnsToBeUnique(
            column_list=["key", EVENT_TIMESTAMP], notes="a point-in-time join must find one row"
        ),
        gxe.ExpectColumnSumToBeBetween(column="infinite", max_value=0, notes="absent is null, never infinite"),
    ]
    if as_of:
        suite.append(
            gxe.ExpectColumnValuesToBeBetween(
                column=EVENT_TIMESTAMP,
                max_value=pd.Timestamp(as_of),
                strict_max=True,
                notes="nothing from the future",
            )
        )
    if n_entities is not None:
        suite.append(
            gxe.ExpectColumnUniqueValueCountToBeBetween(
                column="key", min_value=n_entities, max_value=n_entities, notes="no entity is lost"
            )
        )
    return validate(name, slim, suite)


def check_training_set(
    training: TrainingSet, cut: datetime | None = None, n_rows: int | None = None, min_known: float = 0.5
) -> CheckReport:
    """What a model is trained on: before the cut, both outcomes, nothing lost in joins, no leaked target.

    Args:
        training: The assembled rows.
        cut: No row may be at or after it; not checked if absent.
        n_rows: How many interactions went into the join; each must come out once. Not checked if absent.
        min_known: Least share of rows whose consumer, and whose product, has features.
    """
    gxe = expectations()
    frame, features = _outcomes(training), _numbers(training)
    first = validate("training_set", frame, _outcome_suite(gxe, cut, n_rows, min_known))
    canary = _correlations(features, training.rating)
    suite = [
        gxe.ExpectColumnValuesToBeBetween(
            column=column,
            max_value=CANARY,
            notes=f"|correlation| of {column} with the rating: more has seen the answer",
        )
        for column in canary.columns
    ]
    return joined("training_set", [first, validate("training_canary", canary, suite)]) if suite else first


def _outcome_suite(gxe: Any, cut: datetime | None, n_rows: int | None, min_known: float) -> list[Any]:
    return [
        gxe.ExpectTableRowCountToBeBetween(
            min_value=1 if n_rows is None else n_rows, max_value=n_rows, notes="no interaction is lost in the join"
        ),
        gxe.ExpectColumnValuesToBeUnique(column="row", notes="no interaction is repeated by the join"),
        gxe.ExpectColumnValuesToNotBeNull(column="as_of"),
        gxe.ExpectColumnValuesToBeBetween(
            column="as_of",
            min_value=EARLIEST,
            max_value=None if cut is None else pd.Timestamp(cut),
            strict_max=cut is not None,
            notes="no row at or after the cut",
        ),
        gxe.ExpectColumnValuesToNotBeNull(column="rating"),
        gxe.ExpectColumnValuesToBeInSet(column="liked", value_set=[0.0, 1.0]),
        gxe.ExpectColumnMeanToBeBetween(
            column="liked", min_value=0.02, max_value=0.98, notes="both outcomes, or there is nothing to rank"
        ),
        gxe.ExpectColumnMeanToBeBetween(column="liked", min_value=0.1, max_value=0.9, severity=WARN),
        gxe.ExpectColumnMeanToBeBetween(
            column="consumer_known", min_value=min_known, notes="share of rows whose consumer has features"
        ),
        gxe.ExpectColumnMeanToBeBetween(
            column="product_known", min_value=min_known, notes="share of rows whose product has features"
        ),
        gxe.ExpectColumnSumToBeBetween(
            column="in_own_history", max_value=0, notes="the history of a row must not hold its own product"
        ),
    ]


def _outcomes(training: TrainingSet) -> pd.DataFrame:
    """One row per training row: its outcome, its time, and whether its joins found anything."""
    batch = training.batch
    return pd.DataFrame(
        {
            "row": training.row,
            "rating": training.rating.astype(np.float64),
            "liked": training.liked.astype(np.float64),
            "as_of": pd.to_datetime(batch.as_of, utc=True),
            "consumer_known": _any_number(batch.consumers.numeric),
            "product_known": _any_number(batch.products.numeric),
            "in_own_history": (batch.consumers.history_ids == batch.products.product_ids[:, None])
            .any(axis=1)
            .astype(float),
        }
    )


def _any_number(numeric: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(np.isfinite(numeric).any(axis=1), np.float64)


def _numbers(training: TrainingSet) -> pd.DataFrame:
    """Every plain number a model sees, by name; codes are represented by the sum of their absolute values."""
    consumers, products = training.batch.consumers, training.batch.products
    columns: dict[str, NDArray[np.floating]]
    columns = {f"consumer {name}": consumers.numeric[:, n] for n, name in enumerate(CONSUMER_NUMERIC)}
    columns |= {f"product {name}": products.numeric[:, n] for n, name in enumerate(PRODUCT_NUMERIC)}
    columns["last rating of the history"] = consumers.history_ratings[:, 0]
    for n, stance in enumerate(("for", "against")):
        columns[f"consumer facet weight {stance}"] = _size(consumers.facet_weights, n)
        columns[f"product facet weight {stance}"] = _size(products.facet_weights, n)
        columns[f"pair code {stance}"] = _size(training.batch.pairs.codes, n)
    return pd.DataFrame(columns)


def _size(indexed: Indexed, side: int) -> NDArray[np.float64]:
    """(N,) sum of absolute values on one side of the stance axis, NaN where absent."""
    table = indexed.table
    sizes = np.abs(table[:, side].reshape(len(table), -1)).sum(axis=1) if len(table) else np.zeros(0)
    return np.append(sizes, np.nan)[indexed.index].astype(np.float64)


def _correlations(features: pd.DataFrame, target: NDArray[np.float32]) -> pd.DataFrame:
    """One row of absolute correlations with the target, for columns with enough rows and any spread."""
    enough = [name for name in features if features[name].notna().sum() >= CANARY_ROWS and features[name].std() > 0]
    correlated = features[enough].astype(np.float64).corrwith(pd.Series(target.astype(np.float64))).abs()
    return correlated.dropna().to_frame().T.reset_index(drop=True)
