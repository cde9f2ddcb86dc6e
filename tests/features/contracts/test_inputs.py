"""What is ingested: clean events and products pass, and each planted fault is caught by name and stops the flow."""

from __future__ import annotations

import pandas as pd
import pytest

from features.contracts.suites import check_catalog, check_interactions
from features.errors import CheckError
from tests.features.contracts.faults import AS_OF, Change, at, caught, clean, interactions


class TestInteractions:
    def test_clean(self) -> None:
        clean(check_interactions(interactions(), as_of=AS_OF))

    @pytest.mark.parametrize(
        ("column", "change"),
        [
            ("rating", lambda frame: at(frame, 3, "rating", 7.0)),
            ("rating", lambda frame: at(frame, 3, "rating", None)),
            ("consumer_id", lambda frame: at(frame, 3, "consumer_id", " ")),
            ("product_id", lambda frame: at(frame, 3, "product_id", None)),
            ("consumer_id, product_id", lambda frame: at(frame, 1, "product_id", "p0")),
            ("row", lambda frame: at(frame, 1, "row", 0)),
            ("timestamp", lambda frame: frame.iloc[::-1]),
            ("timestamp", lambda frame: frame.assign(timestamp=frame["timestamp"] + pd.Timedelta(days=900))),
            ("timestamp", lambda frame: frame.assign(timestamp=frame["timestamp"] - pd.Timedelta(days=18_000))),
            ("rating", lambda frame: frame.drop(columns="rating")),
        ],
    )
    def test_fault(self, column: str, change: Change) -> None:
        caught(check_interactions(change(interactions()), as_of=AS_OF), column)

    def test_a_single_rating_warns_and_does_not_stop(self) -> None:
        report = check_interactions(interactions().assign(rating=5.0), as_of=AS_OF)
        assert {finding.column for finding in report.warnings} == {"rating", "liked"}
        report.enforce()

    def test_no_rows(self) -> None:
        assert not check_interactions(interactions().iloc[:0], as_of=AS_OF).passed

    def test_the_error_says_what_was_found_and_what_to_do(self) -> None:
        with pytest.raises(CheckError) as raised:
            check_interactions(at(interactions(), 3, "rating", 7.0), as_of=AS_OF).enforce()
        message = str(raised.value)
        assert "rating: found 1 of 20 rows wrong, for example 7" in message
        assert "at least 1 and at most 5" in message
        assert "run the stage again" in message


class TestCatalog:
    products = pd.DataFrame(
        [(f"p{n}", f"Title {n}", "") for n in range(4)], columns=["product_id", "title", "description"]
    )
    attributes = pd.DataFrame([(f"p{n}", "genre", "Drama") for n in range(4)], columns=["product_id", "name", "value"])

    def test_clean(self) -> None:
        clean(check_catalog(self.products, self.attributes, interactions()))

    def test_repeated_product(self) -> None:
        caught(check_catalog(at(self.products, 1, "product_id", "p0"), self.attributes), "product_id")

    def test_missing_title(self) -> None:
        caught(check_catalog(at(self.products, 1, "title", ""), self.attributes), "title")

    def test_attribute_of_an_unlisted_product(self) -> None:
        caught(check_catalog(self.products, at(self.attributes, 1, "product_id", "p9")), "unlisted")

    def test_event_about_an_unlisted_product(self) -> None:
        caught(check_catalog(self.products.iloc[:3], self.attributes.iloc[:3], interactions()), "unlisted")

    def test_no_attributes_only_warns(self) -> None:
        report = check_catalog(self.products, self.attributes.iloc[:0])
        assert report.passed
        assert len(report.warnings) == 1
