"""Scores in bulk are those of the endpoint, bit for bit; a stopped job goes on, and little is in memory at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError, StoreError
from features.settings import HostSettings
from services.batch import BatchReport, BatchRequest, score_batch
from services.runtime import Runtime

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
PRODUCTS = ("p1", "p2", "p3")


def scored(runtime: Runtime, out: Path, consumers: list[str], **choices: Any) -> tuple[BatchReport, pd.DataFrame]:
    report = score_batch(runtime, BatchRequest(consumers, PRODUCTS, **choices), out, at=NOON, rows_per_shard=6)
    return report, pd.read_parquet(out) if out.suffix == ".parquet" else pd.read_csv(out)


@pytest.mark.slow
def test_scores_are_those_of_the_endpoint_bit_for_bit(
    tiny_release: HostSettings, artifact_folder: Path, tmp_path: Path
) -> None:
    runtime = Runtime.open(tiny_release, artifact_folder)
    consumers, products = ["c0", "c3", "nobody"], [*reversed(runtime.product_ids)]
    for consumer_id in consumers:
        answer = runtime.score(consumer_id, products)
        request = BatchRequest([consumer_id], products)
        score_batch(runtime, request, tmp_path / "scores.parquet", at=answer.answered_at)
        frame = pd.read_parquet(tmp_path / "scores.parquet").set_index("product_id").loc[products]
        for column in ("rating", "click"):
            expected = np.array([getattr(item, column) for item in answer.items], np.float32)
            assert frame[column].to_numpy().tobytes() == expected.tobytes()
        assert not answer.degraded


def test_the_most_likely_liked_come_first_for_everyone(runtime: Runtime, tmp_path: Path) -> None:
    report, frame = scored(runtime, tmp_path / "scores.parquet", ["c1", "stranger"])
    assert (report.consumers, report.products, report.rows, report.release_id) == (2, 3, 6, "r1")
    assert frame["product_id"].tolist() == ["p3", "p1", "p2"] * 2
    assert frame["rank"].tolist() == [1, 2, 3] * 2
    assert frame["rating"].tolist() == pytest.approx([3.5, 2.5, 1.6, 3.0, 2.0, 1.0])
    assert set(frame["release_id"]) == {"r1"}


def test_k_keeps_the_best_and_what_was_seen_can_be_left_out(runtime: Runtime, tmp_path: Path) -> None:
    _, frame = scored(runtime, tmp_path / "scores.parquet", ["c1", "stranger"], k=2, exclude_seen=True)
    assert frame["product_id"].tolist() == ["p3", "p2", "p3", "p1"]
    assert frame["rank"].tolist() == [1, 2, 1, 2]


def test_csv_holds_the_same_numbers(runtime: Runtime, tmp_path: Path) -> None:
    _, table = scored(runtime, tmp_path / "scores.parquet", ["c1"])
    _, text = scored(runtime, tmp_path / "scores.csv", ["c1"])
    assert text["click"].astype(np.float32).tolist() == table["click"].tolist()
    assert text.columns.tolist() == table.columns.tolist()


class Stopped(Exception):
    pass


def stop_after(n_consumers: int) -> Any:
    def progress(what: str, done: int, total: int) -> None:
        if done >= n_consumers:
            raise Stopped

    return progress


def test_a_stopped_job_goes_on_and_finished_shards_are_not_scored_again(
    runtime: Runtime, model: Any, tmp_path: Path
) -> None:
    consumers = [f"c{n}" for n in range(8)]
    _, expected = scored(runtime, tmp_path / "whole.parquet", consumers)
    out, request = tmp_path / "scores.parquet", BatchRequest(consumers, PRODUCTS)
    with pytest.raises(Stopped):
        score_batch(runtime, request, out, stop_after(4), at=NOON, rows_per_shard=6)
    assert not out.exists()
    model.batches.clear()
    report, frame = scored(runtime, out, consumers)
    assert (report.shards, report.shards_found, len(model.batches)) == (4, 2, 4)
    pd.testing.assert_frame_equal(frame, expected)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_a_resumed_job_is_asked_as_of_its_start(runtime: Runtime, model: Any, tmp_path: Path) -> None:
    out, request = tmp_path / "scores.parquet", BatchRequest(["c0", "c1"], PRODUCTS)
    with pytest.raises(Stopped):
        score_batch(runtime, request, out, stop_after(1), at=NOON, rows_per_shard=3)
    report = score_batch(runtime, request, out, rows_per_shard=3)
    assert report.as_of == NOON
    assert {str(batch.as_of[0]) for batch in model.batches} == {"2024-06-01T12:00:00.000000"}


@pytest.mark.parametrize("choices", [{"k": 1}, {"exclude_seen": True}])
def test_shards_of_other_choices_are_not_taken(runtime: Runtime, tmp_path: Path, choices: dict[str, Any]) -> None:
    out, consumers = tmp_path / "scores.parquet", ["c0", "c1", "c2"]
    with pytest.raises(Stopped):
        score_batch(runtime, BatchRequest(consumers, PRODUCTS), out, stop_after(1), at=NOON, rows_per_shard=3)
    report, _ = scored(runtime, out, consumers, **choices)
    assert report.shards_found == 0


def test_a_shard_is_bounded_by_rows_whatever_the_number_of_consumers() -> None:
    everyone, catalog = [f"c{n}" for n in range(1000)], [f"p{n}" for n in range(50)]
    for k, least in ((0, 2), (10, 10), (100, 2)):
        shards = BatchRequest(everyone, catalog, k).shards(rows=100)
        assert {len(shard) for shard in shards} == {least}
        assert sum(len(shard) for shard in shards) == 1000
    assert len(BatchRequest(everyone, catalog).shards(rows=1)) == 1000


def test_what_lacks_features_is_not_written(runtime: Runtime, features: Any, tmp_path: Path) -> None:
    features.broken = True
    with pytest.raises(StoreError, match="'c1' could not be scored: the online store"):
        scored(runtime, tmp_path / "scores.parquet", ["c1"])
    assert not (tmp_path / "scores.parquet").exists()


def test_a_model_that_fails_writes_no_order_of_popularity(runtime: Runtime, model: Any, tmp_path: Path) -> None:
    model.broken = True
    with pytest.raises(StoreError, match="the model failed"):
        scored(runtime, tmp_path / "scores.parquet", ["c1"])


def test_unusable_requests_say_what_would_do(runtime: Runtime, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.parquet or \.csv"):
        scored(runtime, tmp_path / "scores.txt", ["c1"])
    with pytest.raises(InputError, match="1 products are not in the release r1: p9"):
        score_batch(runtime, BatchRequest(["c1"], ["p9"]), tmp_path / "scores.csv")
    with pytest.raises(InputError, match="0 consumers"):
        scored(runtime, tmp_path / "scores.csv", [])


def test_a_folder_that_is_no_job_is_left_alone(runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "scores.csv.shards").mkdir()
    with pytest.raises(InputError, match="in the way"):
        scored(runtime, tmp_path / "scores.csv", ["c1"])
