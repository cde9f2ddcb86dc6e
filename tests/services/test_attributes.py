"""Levels of attributes: told with the answer, set by a request for itself alone, refused where a method has none."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pytest
from pydantic import ValidationError

from features.batch import ConsumerBlock, FeatureBatch, ProductBlock
from features.errors import InputError
from models.base import AttributeLevel, Scores
from models.held import Crossed
from services.runtime import Runtime
from services.schemas import RecommendRequest, RecommendResponse

DRAMA = {"p1": 1.0, "p2": 1.0, "p3": -1.0}
FAME = {"p1": 0.2, "p2": 0.0, "p3": 0.6}


@dataclass
class Sum:
    """Log odds are fame, and how far the consumer's level of drama is from the middle where a product is a drama."""

    name: str = "sum"
    drama: float = 5.0
    held: list[float] = field(default_factory=list)

    def hold(self, products: ProductBlock) -> Crossed:
        self.held.append(self.drama)
        return Crossed(self, products)  # type: ignore[arg-type]

    def additive(self, batch: FeatureBatch) -> dict[str, np.ndarray]:
        ids = batch.products.product_ids
        drama = (self.drama - 5.0) * np.array([DRAMA[it] for it in ids])
        return {"fame": np.array([FAME[it] for it in ids], np.float32), "drama": drama.astype(np.float32)}

    def score(self, batch: FeatureBatch) -> Scores:
        odds = sum(self.additive(batch).values())
        return Scores(np.full(len(batch), 3.0, np.float32), 1 / (1 + np.exp(-odds)))

    def levels(self, consumer: ConsumerBlock) -> tuple[AttributeLevel, ...]:
        return (AttributeLevel("drama", "how serious it is", self.drama),)

    def adjusted(self, levels: Mapping[str, float]) -> Self:
        if not levels:
            return self
        if set(levels) != {"drama"}:
            raise InputError(f"There is no attribute {min(levels)!r}.")
        other = copy.copy(self)
        other.drama = levels["drama"]
        return other


@pytest.fixture
def summing() -> Sum:
    return Sum()


@pytest.fixture
def sums(make_runtime: Callable[..., Runtime], features: Any, summing: Sum, reasons: Any, inbox: Any) -> Runtime:
    return make_runtime(features, summing, reasons, inbox)


def ask(runtime: Runtime, **wishes: Any) -> RecommendResponse:
    return runtime.recommend(RecommendRequest(consumer_id="stranger", **wishes))


def order(answer: RecommendResponse) -> list[str]:
    return [item.product_id for item in answer.items]


def test_levels_are_told_and_follow_what_was_asked(sums: Runtime) -> None:
    assert [it.model_dump() for it in ask(sums).attributes] == [
        {"name": "drama", "description": "how serious it is", "level": 5.0}
    ]
    assert [it.level for it in ask(sums, attributes={"drama": 8.0}).attributes] == [8.0]


def test_moving_a_level_ranks_anew_and_is_forgotten(sums: Runtime) -> None:
    assert order(ask(sums)) == ["p3", "p1", "p2"]
    assert order(ask(sums, attributes={"drama": 8.0})) == ["p1", "p2", "p3"]
    assert order(ask(sums, attributes={"drama": 2.0})) == ["p3", "p1", "p2"]
    assert order(ask(sums)) == ["p3", "p1", "p2"]


def test_products_are_held_anew_only_for_a_request_that_moves_a_level(sums: Runtime, summing: Sum) -> None:
    ask(sums)
    assert summing.held == [5.0]
    ask(sums, attributes={"drama": 8.0})
    assert summing.held == [5.0, 8.0]


def test_contributions_of_a_sum_add_up_and_follow_the_level(sums: Runtime) -> None:
    for level in (5.0, 8.0):
        for item in ask(sums, contributions=True, attributes={"drama": level}).items:
            parts = {it.part: it for it in item.contributions}
            total = sum(it.log_odds for it in parts.values() if it.log_odds is not None)
            assert item.click == pytest.approx(1 / (1 + np.exp(-total)), abs=1e-6)
            assert parts["drama"].log_odds == pytest.approx((level - 5) * DRAMA[item.product_id])
            assert np.sign(parts["drama"].click) == np.sign(parts["drama"].log_odds)


def test_an_unknown_attribute_is_refused(sums: Runtime) -> None:
    with pytest.raises(InputError, match="no attribute 'smell'"):
        ask(sums, attributes={"smell": 3.0})


def test_a_method_without_attributes_refuses_levels_and_tells_none(runtime: Runtime) -> None:
    assert ask(runtime).attributes == ()
    with pytest.raises(InputError, match="the method fake has no attributes"):
        ask(runtime, attributes={"drama": 3.0})


def test_levels_are_numbers() -> None:
    with pytest.raises(ValidationError):
        RecommendRequest(consumer_id="c", attributes={"drama": "much"})  # type: ignore[dict-item]
