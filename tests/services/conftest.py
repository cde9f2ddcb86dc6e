"""A runtime on fakes: three products, a model whose score can be read off, a store that can be broken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from features.batch import (
    CODE_WIDTH,
    CONTENT_WIDTH,
    N_FACETS,
    PRODUCT_NUMERIC,
    FeatureBatch,
    Indexed,
    PairBlock,
    ProductBlock,
)
from features.errors import StoreError
from features.types import EntityKind, Explanation, Facet, ModelIdentity, RatingScale, Stance
from models.base import Scores
from models.release import Release, ReleaseTexts
from services.explain import Reasons
from services.runtime import Runtime
from services.sources import ConsumerNow, absent_consumer

NOW = datetime(2024, 5, 1, tzinfo=UTC)
COUNTS = {"p1": 5.0, "p2": 50.0, "p3": np.nan}


def make_release(release_id: str = "r1") -> Release:
    return Release(
        release_id=release_id,
        created_at=NOW,
        method="fake",
        artifact_tag="counterpoint:abc",
        artifact_hash="0" * 64,
        feature_service="lr_recsys_v1",
        text_set_hash="t",
        prompt_hash="p",
        data_hash="d",
        encoder=ModelIdentity("mini", "1"),
        llm=ModelIdentity("smol", "1"),
        metrics=(),
        scale=RatingScale(),
        as_of=NOW,
    )


def make_facet(kind: EntityKind, entity_id: str, stance: Stance, rank: int, fact_id: str) -> dict[str, object]:
    return {
        "facet_id": f"{kind}-{entity_id}-{stance}-{rank}",
        "entity_kind": str(kind),
        "entity_id": entity_id,
        "stance": str(stance),
        "rank": rank,
        "text": f"{entity_id} {stance} {rank}",
        "weight": 1.0,
        "fact_ids": [fact_id],
        "evidence_time": pd.Timestamp(NOW),
        "request_key": "k",
        "input_hash": "h",
        "model": "smol",
        "vector": [3.0, 4.0] if stance == Stance.FOR else [0.0, 1.0],
    }


def make_texts() -> ReleaseTexts:
    facts = [
        {
            "fact_id": fact_id,
            "entity_kind": "product",
            "entity_id": "p1",
            "aspect": "plot",
            "text": f"Text of {fact_id}.",
            "polarity": 1,
            "weight": 1.0,
            "source": "interactions:7",
            "evidence_time": pd.Timestamp(NOW),
        }
        for fact_id in ("f1", "f2")
    ]
    written = {
        "consumer_id": "c1",
        "product_id": "p2",
        "stance": "for",
        "text": "Written for c1 and p2.",
        "fact_ids": ["f2"],
        "evidence_time": pd.Timestamp(NOW),
        "granularity": "pair",
        "model": "smol",
        "request_key": "k",
    }
    facets = [
        make_facet(EntityKind.CONSUMER, "c1", Stance.FOR, 0, "f2"),
        make_facet(EntityKind.PRODUCT, "p1", Stance.AGAINST, 0, "f1"),
        make_facet(EntityKind.PRODUCT, "p1", Stance.FOR, 0, "f1"),
    ]
    titles = [{"product_id": it, "title": f"Title {it}", "description": ""} for it in COUNTS]
    return ReleaseTexts(*(pd.DataFrame(rows) for rows in (titles, facets, facts, [written])))


@dataclass
class FakeFeatures:
    """Knows the consumer c1, who has seen p1; `broken` makes every read fail."""

    broken: bool = False
    pairs_asked: list[tuple[str, ...]] = field(default_factory=list)

    def consumer(self, consumer_id: str) -> ConsumerNow:
        if self.broken:
            raise StoreError("The online store is away.")
        block = absent_consumer(consumer_id)
        if consumer_id != "c1":
            return ConsumerNow(block, None)
        block.numeric[0] = 2.0
        block.history_ids[0, 0], block.history_ratings[0, 0] = "p1", 5.0
        return ConsumerNow(block, NOW)

    def products(self, product_ids: Sequence[str]) -> ProductBlock:
        n, nowhere = len(product_ids), np.full(len(product_ids), -1, np.int32)
        numeric = np.zeros((n, len(PRODUCT_NUMERIC)), np.float32)
        numeric[:, 0] = [COUNTS[it] for it in product_ids]
        attributes = np.empty(n, object)
        attributes[:] = [()] * n
        codes = np.zeros((0, 2, N_FACETS, CODE_WIDTH), np.float32)
        return ProductBlock(
            product_ids=np.array(product_ids, object),
            numeric=numeric,
            attributes=attributes,
            content=Indexed(np.zeros((0, CONTENT_WIDTH), np.float32), nowhere),
            facet_codes=Indexed(codes, nowhere),
            facet_weights=Indexed(codes[..., 0], nowhere),
        )

    def pairs(self, consumer_id: str, product_ids: Sequence[str]) -> PairBlock:
        self.pairs_asked.append((consumer_id, *product_ids))
        if self.broken:
            raise StoreError("The online store is away.")
        table = np.ones((1, 2, CODE_WIDTH), np.float32)
        return PairBlock(Indexed(table, np.zeros(len(product_ids), np.int32)))


@dataclass
class FakeModel:
    """p3 before p1 before p2; a known consumer adds half a star, a pair text a tenth. `broken` makes it fail."""

    broken: bool = False
    batches: list[FeatureBatch] = field(default_factory=list)

    def score(self, batch: FeatureBatch) -> Scores:
        if self.broken:
            raise RuntimeError("no kernel")
        self.batches.append(batch)
        base = np.array([{"p3": 3.0, "p1": 2.0, "p2": 1.0}[it] for it in batch.products.product_ids])
        known = ~np.isnan(batch.consumers.numeric).all(axis=1)
        rating = (base + 0.5 * known + 0.1 * (batch.pairs.codes.index >= 0)).astype(np.float32)
        attention = np.tile(np.array([[0.25, 0.75]], np.float32), (len(batch), 1))
        return Scores(rating, rating / 5, ("consumer", "product"), attention)


def fake_compose(
    consumer_id: str, product_id: str, consumer: Sequence[Facet], product: Sequence[Facet], similarity: np.ndarray
) -> tuple[Explanation, Explanation]:
    """Says how many facets it got and the sum of their similarities."""
    fact_ids = tuple(fact_id for facet in product for fact_id in facet.fact_ids)
    text = f"{len(consumer)} x {len(product)}: {similarity.sum():.1f}"

    def side(stance: Stance) -> Explanation:
        return Explanation(consumer_id, product_id, stance, text, fact_ids, NOW, "entity", "composed", "")

    return side(Stance.FOR), side(Stance.AGAINST)


@pytest.fixture
def features() -> FakeFeatures:
    return FakeFeatures()


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
def reasons() -> Reasons:
    return Reasons(make_texts(), fake_compose)


@pytest.fixture
def runtime(features: FakeFeatures, model: FakeModel, reasons: Reasons) -> Runtime:
    return make_runtime(features, model, reasons)


def make_runtime(features: FakeFeatures, model: FakeModel, reasons: Reasons, release_id: str = "r1") -> Runtime:
    titles = dict(make_texts().products[["product_id", "title"]].to_numpy())
    return Runtime(make_release(release_id), model, features, reasons, titles)  # type: ignore[arg-type]


@pytest.fixture
def open_runtime(features: FakeFeatures, model: FakeModel, reasons: Reasons) -> Callable[[str], Runtime]:
    return lambda release_id: make_runtime(features, model, reasons, release_id)
