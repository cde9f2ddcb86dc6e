"""Fresh or absent: nothing past its age limit is served; it is missing, never zero, and the answer says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from features.rows import EVENT_TIMESTAMP, ViewRows
from features.settings import HostSettings
from features.wording import CATALOG_TIME
from models.release import ReleaseStore, ReleaseTexts
from services.explain import Reasons
from services.runtime import Runtime
from services.schemas import RecommendRequest
from services.sources import AgeLimits, OnlineFeatures

NOW = datetime(2024, 5, 11, tzinfo=UTC)
"""Ten days after the evidence of all texts."""


def test_a_row_is_absent_from_the_moment_it_is_past_its_limit() -> None:
    times = pa.array([datetime(2024, 5, day) for day in (1, 3)], pa.timestamp("us"))
    rows = ViewRows(pa.table({EVENT_TIMESTAMP: times}), np.array([0, 1, -1, 0], np.int32))
    limits = AgeLimits(feature_days=2, text_days=4)

    def kept(day: int, hour: int = 0) -> list[list[int]]:
        now = datetime(2024, 5, day, hour, tzinfo=UTC)
        return [limits.features(rows, now).index.tolist(), limits.texts(rows, now).index.tolist()]

    assert kept(3) == [[0, 1, -1, 0], [0, 1, -1, 0]]
    assert kept(3, 1) == [[-1, 1, -1, -1], [0, 1, -1, 0]]
    assert kept(6) == [[-1, -1, -1, -1], [-1, 1, -1, -1]]


def test_what_the_catalog_says_has_no_age(texts: ReleaseTexts) -> None:
    rows = ViewRows(
        pa.table({EVENT_TIMESTAMP: pa.array([datetime(1970, 1, 1)], pa.timestamp("us"))}), np.zeros(1, np.int32)
    )
    limits = AgeLimits(feature_days=2, text_days=4)
    assert limits.texts(rows, NOW).index.tolist() == [0]
    assert limits.features(rows, NOW).index.tolist() == [-1]
    catalog = replace(
        texts,
        facts=texts.facts.assign(evidence_time=pd.Timestamp(CATALOG_TIME)),
        facets=texts.facets.assign(evidence_time=pd.Timestamp(CATALOG_TIME)),
        pair_texts=texts.pair_texts.assign(evidence_time=pd.Timestamp(CATALOG_TIME)),
    )
    limited, unlimited = Reasons(catalog, text_days=9), Reasons(catalog)
    for pair in (("c1", "p2"), ("c1", "p1"), ("stranger", "p1")):
        assert limited.of(*pair, NOW) == unlimited.of(*pair, NOW)
    assert limited.arguments("p1", NOW) == unlimited.arguments("p1", NOW) != ()


@pytest.mark.parametrize("pair", [("c1", "p2"), ("c1", "p1"), ("stranger", "p1")])
def test_no_text_is_shown_past_its_limit_and_the_reason_says_why(texts: ReleaseTexts, pair: tuple[str, str]) -> None:
    before = Reasons(texts).of(*pair, NOW)
    assert any(reason.fact_ids for reason in before)
    assert Reasons(texts, text_days=11).of(*pair, NOW) == before
    for reason, was in zip(Reasons(texts, text_days=9).of(*pair, NOW), before, strict=True):
        assert (reason.facts, reason.fact_ids) == ((), ())
        assert (reason.text, reason.granularity) == ("", "expired") if was.fact_ids else (was.text, "none")


def test_an_expired_consumer_is_named_in_the_answer(runtime: Runtime, features: Any) -> None:
    known = features.consumer("stranger")
    features.consumer = lambda consumer_id: replace(known, expired=True)
    answer = runtime.recommend(RecommendRequest(consumer_id="c1", k=2))
    assert (answer.degraded, answer.cold) == (True, True)
    assert answer.cause == "what is known of the consumer is past its age limit"


@pytest.mark.slow
def test_a_moved_clock_makes_stored_rows_absent(tiny_release: HostSettings) -> None:
    release = ReleaseStore(tiny_release.releases).live()
    assert release is not None

    def read(clock: Callable[[], datetime]) -> tuple[Any, Any, Any]:
        online = OnlineFeatures(replace(tiny_release, feature_days=30, text_days=60), release, clock)
        return online.consumer("c0"), online.products(["p1", "p15"]), online.pairs("c0", ["p15"])

    consumer, _, pairs = read(lambda: release.as_of)
    assert not consumer.expired
    assert not np.isnan(consumer.block.numeric).any()
    assert (pairs.codes.index >= 0).all()
    consumer, products, _ = read(lambda: release.as_of + timedelta(days=40))
    assert (consumer.expired, consumer.cold, consumer.evidence_time) == (True, True, None)
    assert np.isnan(consumer.block.numeric).all()
    assert np.isnan(products.numeric).all()
    assert (products.facet_codes.index >= 0).all()
    assert (products.content.index >= 0).all()
    consumer, products, pairs = read(lambda: release.as_of + timedelta(days=100))
    assert (consumer.block.facet_codes.index == -1).all()
    assert (products.facet_codes.index == -1).all()
    assert (pairs.codes.index == -1).all()
