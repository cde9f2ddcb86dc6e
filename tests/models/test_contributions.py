"""What each part of the input adds to a score is the score less the score with that part missing."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from features.batch import FeatureBatch
from models.base import Recommender, Scores
from models.contributions import PARTS, contributions
from models.testing import rich_batch

WORTH = {
    "consumer": 0.01,
    "history": 0.02,
    "product": 0.04,
    "content": 0.08,
    "reasons_for": 0.16,
    "reasons_against": 0.32,
    "attributes": 0.64,
}


@dataclass
class Adding:
    """Adds a known amount for each part that is there."""

    batches: list[FeatureBatch] = field(default_factory=list)
    additive = Recommender.additive

    def score(self, batch: FeatureBatch) -> Scores:
        self.batches.append(batch)
        total = sum(WORTH[name] * is_there for name, is_there in parts_of(batch).items())
        return Scores(np.full(len(batch), np.nan, np.float32), np.asarray(total, np.float32))


def parts_of(batch: FeatureBatch) -> dict[str, np.ndarray]:
    """(N,) whether each part is there."""
    who, what, reasons = batch.consumers, batch.products, seen_reasons(batch)
    return {
        "consumer": (who.consumer_ids != "") | ~np.isnan(who.numeric).all(1),
        "history": (who.history_ids != "").any(1) | ~np.isnan(who.history_ratings).all(1),
        "product": (what.product_ids != "") | ~np.isnan(what.numeric).all(1),
        "content": what.content.index >= 0,
        "attributes": np.array([len(values) > 0 for values in what.attributes]),
        "reasons_for": reasons[:, 0],
        "reasons_against": reasons[:, 1],
    }


def seen_reasons(batch: FeatureBatch) -> np.ndarray:
    """(N, 2): a side is seen through the pair's own code, or else through facets of either entity."""
    none = np.full((1, *batch.pairs.codes.table.shape[1:]), np.nan)
    bought = ~np.isnan(np.concatenate([batch.pairs.codes.table, none])[batch.pairs.codes.index]).any(-1)
    sides = [batch.consumers.facet_weights, batch.products.facet_weights]
    facets = [np.concatenate([it.table, np.zeros((1, *it.table.shape[1:]))])[it.index].any(-1) for it in sides]
    return np.asarray(bought | facets[0] | facets[1])


def test_a_part_contributes_what_the_score_loses_without_it() -> None:
    batch = rich_batch(40)
    added, there = contributions(Adding(), batch), parts_of(batch)  # type: ignore[arg-type]
    assert set(added) == set(PARTS) == set(WORTH)
    for name, part in added.items():  # what is missing already contributes nothing
        assert part.log_odds is None
        np.testing.assert_allclose(part.click, WORTH[name] * there[name], atol=1e-6, err_msg=name)
    assert all(there[name].sum() > 0 for name in PARTS)


def test_all_variants_are_scored_at_once_and_the_batch_is_left_as_it_was() -> None:
    model, batch = Adding(), rich_batch(3)
    before = model.score(batch).click
    contributions(model, batch)  # type: ignore[arg-type]
    assert len(model.batches) == 2
    np.testing.assert_array_equal(model.score(batch).click, before)


def test_stars_take_the_place_of_a_probability_that_is_not_given() -> None:
    class Stars(Adding):
        def score(self, batch: FeatureBatch) -> Scores:
            scores = super().score(batch)
            return Scores(scores.click, scores.rating)

    batch = rich_batch(9)
    expected = contributions(Adding(), batch)["content"].click  # type: ignore[arg-type]
    np.testing.assert_array_equal(contributions(Stars(), batch)["content"].click, expected)  # type: ignore[arg-type]
