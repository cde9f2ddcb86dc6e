"""Vectors, feature rows and training sets: clean ones pass, and each planted fault is caught and stops the flow."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.batch import (
    CODE_WIDTH,
    CONSUMER_NUMERIC,
    CONTENT_WIDTH,
    HISTORY_LENGTH,
    N_FACETS,
    PRODUCT_NUMERIC,
    ConsumerBlock,
    FeatureBatch,
    Indexed,
    PairBlock,
    ProductBlock,
    TrainingSet,
)
from features.contracts.report import CheckReport
from features.contracts.suites import check_feature_rows, check_training_set, check_vectors
from tests.features.contracts.faults import AS_OF, START, Change, at, caught, clean


class TestVectors:
    vectors = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)

    def test_clean(self) -> None:
        clean(check_vectors("codes", self.vectors, 8))

    def test_width(self) -> None:
        ragged = [*self.vectors[:3], self.vectors[3][:7]]
        caught(check_vectors("codes", ragged, 8), "width")

    def test_not_finite(self) -> None:
        broken = self.vectors.copy()
        broken[3, 2] = np.nan
        caught(check_vectors("codes", broken, 8), "not_finite")

    def test_zero(self) -> None:
        broken = self.vectors.copy()
        broken[3] = 0
        caught(check_vectors("codes", broken, 8), "norm")

    def test_collapsed(self) -> None:
        same = np.repeat(self.vectors[:1], 50, axis=0) + 1e-6 * self.vectors
        caught(check_vectors("codes", same, 8), "spread")


class TestFeatureRows:
    frame = pd.DataFrame(
        {
            "consumer_id": ["a", "a", "b"],
            "event_timestamp": pd.to_datetime(["2020-01-01", "2020-02-01", "2020-01-01"], utc=True),
            "n_interactions": [1, 2, 1],
            "mean_rating": [4.0, np.nan, 3.0],
            "history_ids": [["p0"], ["p1", "p0"], []],
        }
    )

    def check(self, frame: pd.DataFrame) -> CheckReport:
        return check_feature_rows("consumer_features", frame, ["consumer_id"], AS_OF, n_entities=2)

    def test_clean(self) -> None:
        clean(self.check(self.frame))

    @pytest.mark.parametrize(
        ("column", "change"),
        [
            ("key, event_timestamp", lambda frame: pd.concat([frame, frame.iloc[:1]], ignore_index=True)),
            ("consumer_id", lambda frame: at(frame, 0, "consumer_id", None)),
            ("key", lambda frame: frame[frame["consumer_id"] == "a"]),
            ("infinite", lambda frame: at(frame, 0, "mean_rating", np.inf)),
            ("event_timestamp", lambda frame: frame.assign(event_timestamp=pd.Timestamp(AS_OF))),
            ("event_timestamp", lambda frame: frame.drop(columns="event_timestamp")),
        ],
    )
    def test_fault(self, column: str, change: Change) -> None:
        caught(self.check(change(self.frame)), column)

    def test_two_keys(self) -> None:
        pairs = self.frame.assign(product_id="p0")
        clean(check_feature_rows("features/pair_codes", pairs, ["consumer_id", "product_id"], AS_OF))


def training(n_rows: int = 300) -> TrainingSet:
    draw = np.random.default_rng(1)

    def indexed(*shape: int) -> Indexed:
        return Indexed(draw.normal(size=(5, *shape)).astype(np.float32), draw.integers(-1, 5, n_rows).astype(np.int32))

    def numbers(width: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        return draw.normal(size=(n_rows, width)).astype(np.float32)

    ids = np.asarray([f"e{n % 40}" for n in range(n_rows)], object)
    history = np.full((n_rows, HISTORY_LENGTH), "", object)
    history[:, 0] = "other"
    consumers = ConsumerBlock(
        ids,
        numbers(len(CONSUMER_NUMERIC)),
        np.asarray([()] * n_rows + [None], object)[:-1],
        history,
        numbers(HISTORY_LENGTH),
        indexed(2, N_FACETS, CODE_WIDTH),
        indexed(2, N_FACETS),
    )
    products = ProductBlock(
        ids,
        numbers(len(PRODUCT_NUMERIC)),
        np.asarray([()] * n_rows + [None], object)[:-1],
        indexed(CONTENT_WIDTH),
        indexed(2, N_FACETS, CODE_WIDTH),
        indexed(2, N_FACETS),
    )
    days = np.arange(n_rows).astype("timedelta64[D]")
    as_of = (np.datetime64("2020-01-01", "us") + days).astype("datetime64[us]")
    batch = FeatureBatch(consumers, products, PairBlock(indexed(2, CODE_WIDTH)), as_of)
    rating = draw.integers(1, 6, n_rows).astype(np.float32)
    return TrainingSet(batch, rating, (rating >= 4).astype(np.float32), np.arange(n_rows))


class TestTrainingSet:
    def test_clean(self) -> None:
        clean(check_training_set(training(), AS_OF, n_rows=300))

    def test_later_than_the_cut(self) -> None:
        caught(check_training_set(training(), START + timedelta(days=10)), "as_of")

    def test_a_row_lost_in_the_join(self) -> None:
        report = check_training_set(training(), AS_OF, n_rows=301)
        assert [finding.expectation for finding in report.blocking_failures] == ["expect_table_row_count_to_be_between"]

    def test_a_row_repeated_by_the_join(self) -> None:
        caught(check_training_set(training().take(np.r_[0, np.arange(299)]), AS_OF), "row")

    def test_only_one_outcome(self) -> None:
        caught(check_training_set(replace(training(), liked=np.ones(300, np.float32)), AS_OF), "liked")

    def test_features_that_were_not_found(self) -> None:
        rows = training()
        rows.batch.products.numeric[:200] = np.nan
        caught(check_training_set(rows, AS_OF), "product_known")

    def test_the_target_in_its_own_history(self) -> None:
        rows = training()
        rows.batch.consumers.history_ids[7, 3] = rows.batch.products.product_ids[7]
        caught(check_training_set(rows, AS_OF), "in_own_history")

    def test_a_leaked_rating(self) -> None:
        rows = training()
        rows.batch.consumers.numeric[:, 1] = -2 * rows.rating
        caught(check_training_set(rows, AS_OF), f"consumer {CONSUMER_NUMERIC[1]}")

    def test_a_rating_leaked_through_a_text(self) -> None:
        rows = training()
        codes = np.zeros((5, 2, CODE_WIDTH), np.float32)
        codes[:, 1, 0] = np.arange(1, 6)
        pairs = PairBlock(Indexed(codes, (rows.rating - 1).astype(np.int32)))
        caught(check_training_set(replace(rows, batch=replace(rows.batch, pairs=pairs)), AS_OF), "pair code against")
