"""Contracts of what comes in: interactions and the catalog."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd

from features.contracts.engine import WARN, expectations, joined, missing_columns, validate
from features.contracts.report import CheckReport
from features.types import ATTRIBUTE_COLUMNS, INTERACTION_COLUMNS, PRODUCT_COLUMNS, RatingScale

EARLIEST = pd.Timestamp("1990-01-01", tz="UTC")
"""Earlier times are nearly always milliseconds read as seconds, or a missing value read as zero."""

FILLED = r"\S"
"""An id or a text with at least one visible character."""


def check_interactions(
    frame: pd.DataFrame, scale: RatingScale | None = None, as_of: datetime | None = None
) -> CheckReport:
    """Events as readers deliver them: whole, rated on the scale, in order of time, once per pair.

    Args:
        frame: Columns `INTERACTION_COLUMNS`.
        scale: The dataset's stars (default 1 to 5).
        as_of: No event may be at or after this time (default: now).
    """
    if failed := missing_columns("interactions", frame, INTERACTION_COLUMNS):
        return failed
    gxe, scale = expectations(), scale or RatingScale()
    latest = pd.Timestamp(as_of or datetime.now(UTC))
    rated = frame["rating"].notna()
    derived = frame.assign(
        liked=(frame["rating"] >= scale.like_from).astype(float).where(rated),
        review_length=frame["review"].str.len() if rated.any() and frame["review"].notna().any() else float("nan"),
    )
    return validate(
        "interactions",
        derived,
        [
            gxe.ExpectTableRowCountToBeBetween(min_value=2, notes="there is something to learn from"),
            gxe.ExpectColumnValuesToNotBeNull(column="row"),
            gxe.ExpectColumnValuesToBeUnique(column="row", notes="every event traces back to one source row"),
            gxe.ExpectColumnValuesToNotBeNull(column="consumer_id"),
            gxe.ExpectColumnValuesToMatchRegex(column="consumer_id", regex=FILLED, notes="an id is never blank"),
            gxe.ExpectColumnValuesToNotBeNull(column="product_id"),
            gxe.ExpectColumnValuesToMatchRegex(column="product_id", regex=FILLED, notes="an id is never blank"),
            gxe.ExpectCompoundColumnsToBeUnique(
                column_list=["consumer_id", "product_id"],
                notes="one event per consumer and product, so that no target hides in its own history",
            ),
            gxe.ExpectColumnValuesToNotBeNull(column="timestamp"),
            gxe.ExpectColumnValuesToBeBetween(
                column="timestamp", min_value=EARLIEST, max_value=latest, strict_max=True, notes="a plausible time"
            ),
            gxe.ExpectColumnValuesToBeIncreasing(column="timestamp", notes="events are in order of time"),
            gxe.ExpectColumnValuesToNotBeNull(column="rating"),
            gxe.ExpectColumnValuesToBeBetween(column="rating", min_value=scale.low, max_value=scale.high),
            gxe.ExpectColumnUniqueValueCountToBeBetween(
                column="consumer_id", min_value=2, notes="more than one consumer"
            ),
            gxe.ExpectColumnUniqueValueCountToBeBetween(column="product_id", min_value=2),
            gxe.ExpectColumnUniqueValueCountToBeBetween(
                column="rating", min_value=2, severity=WARN, notes="with a single rating there is nothing to rank"
            ),
            gxe.ExpectColumnMeanToBeBetween(
                column="liked", min_value=0.02, max_value=0.98, severity=WARN, notes="both outcomes occur"
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="review_length", max_value=20_000, severity=WARN, notes="longer ones are cut when read"
            ),
        ],
    )


def check_catalog(
    products: pd.DataFrame, attributes: pd.DataFrame, interactions: pd.DataFrame | None = None
) -> CheckReport:
    """Products with titles, once each; attributes of known products; no event about an unlisted product.

    Args:
        products: Columns `PRODUCT_COLUMNS`.
        attributes: Columns `ATTRIBUTE_COLUMNS`.
        interactions: If given, every product in it must be listed.
    """
    failed = missing_columns("catalog", products, PRODUCT_COLUMNS) or missing_columns(
        "catalog", attributes, ATTRIBUTE_COLUMNS
    )
    if failed:
        return failed
    gxe = expectations()
    known = set(products["product_id"])
    reports = [validate("catalog", products, _product_suite(gxe))]
    listed = attributes.assign(unlisted=(~attributes["product_id"].isin(known)).astype(float))
    reports.append(validate("catalog_attributes", listed, _attribute_suite(gxe, n_rows=len(attributes))))
    if interactions is not None:
        used = pd.DataFrame({"product_id": interactions["product_id"].unique()})
        used["unlisted"] = (~used["product_id"].isin(known)).astype(float)
        suite = [
            gxe.ExpectColumnSumToBeBetween(
                column="unlisted", max_value=0, notes="every product that has an event is in the catalog"
            )
        ]
        reports.append(validate("catalog_use", used, suite))
    return joined("catalog", reports)


def _product_suite(gxe: Any) -> list[Any]:
    return [
        gxe.ExpectTableRowCountToBeBetween(min_value=2),
        gxe.ExpectColumnValuesToNotBeNull(column="product_id"),
        gxe.ExpectColumnValuesToMatchRegex(column="product_id", regex=FILLED, notes="an id is never blank"),
        gxe.ExpectColumnValuesToBeUnique(column="product_id", notes="one row per product"),
        gxe.ExpectColumnValuesToNotBeNull(
            column="title", mostly=0.99, notes="a product without a title cannot be argued about"
        ),
        gxe.ExpectColumnValuesToMatchRegex(column="title", regex=FILLED, mostly=0.99),
        gxe.ExpectColumnValueLengthsToBeBetween(
            column="title", max_value=300, severity=WARN, notes="a longer one is probably a description"
        ),
    ]


def _attribute_suite(gxe: Any, n_rows: int) -> list[Any]:
    if not n_rows:
        return [
            gxe.ExpectTableRowCountToBeBetween(
                min_value=1, severity=WARN, notes="without attributes there are few facts to argue from"
            )
        ]
    return [
        gxe.ExpectColumnValuesToNotBeNull(column="name"),
        gxe.ExpectColumnValuesToMatchRegex(column="name", regex=FILLED),
        gxe.ExpectColumnValuesToNotBeNull(column="value"),
        gxe.ExpectColumnValuesToMatchRegex(column="value", regex=FILLED),
        gxe.ExpectColumnSumToBeBetween(column="unlisted", max_value=0, notes="attributes belong to listed products"),
        gxe.ExpectCompoundColumnsToBeUnique(
            column_list=["product_id", "name", "value"], severity=WARN, notes="said once"
        ),
    ]
