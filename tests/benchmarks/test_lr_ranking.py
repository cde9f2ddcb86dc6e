"""Met reasons as experts on the next product: counted for whom no counted text knows the event that is learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from benchmarks.lr import met_reasons as module
from benchmarks.lr.met_reasons import MetReasons, met_reasons
from benchmarks.lr.splits import BenchSplit, held_out, snapshot_of
from features.as_of import TextTables
from features.batch import CODE_WIDTH, N_FACETS
from features.readers.world import WorldConfig, generate_world
from features.settings import HostSettings
from flows.recipe import ExplainSection
from models.backbones.histories import Histories

N_CONSUMERS = 6


@dataclass(frozen=True)
class Told:
    """A split whose texts are given, and the ids of its consumers and products."""

    split: BenchSplit
    consumers: list[str]
    products: list[str]

    def experts(self, texts: str) -> dict[str, MetReasons]:
        settings = HostSettings.from_environment({})
        return met_reasons(self.split, texts, settings, self.consumers, self.products)


def facets(key: str, codes: dict[str, dict[tuple[int, int], int]]) -> pd.DataFrame:
    """Rows by entity; a code is a unit vector, named by its direction, at (side, slot)."""
    rows = []
    for entity, placed in codes.items():
        vectors, weights = np.zeros((2, N_FACETS, CODE_WIDTH), np.float32), np.zeros((2, N_FACETS), np.float32)
        for (side, slot), direction in placed.items():
            vectors[side, slot, direction], weights[side, slot] = 1, 0.5
        rows.append({key: entity, "codes": vectors.reshape(-1), "weights": weights.reshape(-1)})
    return pd.DataFrame(rows, columns=[key, "codes", "weights"])


@pytest.fixture
def told(tmp_path, monkeypatch) -> Told:
    """Consumer 0 and products 0 and 1 share a reason for, consumer 1 and product 2 one against."""
    data = generate_world(WorldConfig(1, N_CONSUMERS, 30, 70)).dataset
    frame = data.interactions.frame.sort_values("timestamp", kind="stable")
    back = frame.groupby("consumer_id").cumcount(ascending=False)
    frame = frame.assign(part=np.select([back == 0, back == 1], ["test", "valid"], "train"))
    last = frame["consumer_id"].max()
    frame = frame[(frame["consumer_id"] != last) | (frame["part"] == "train")]
    parts = held_out(frame, "valid"), held_out(frame, "test")
    snapshot = snapshot_of(frame, data.catalog, data.scale, timed=True)
    split = BenchSplit("toy", "leave-last-out", ExplainSection(), snapshot, *parts, data.catalog, tmp_path)
    consumers, products = (sorted(frame[f"{kind}_id"].unique()) for kind in ("consumer", "product"))
    who = facets("consumer_id", {consumers[0]: {(0, 0): 3}, consumers[1]: {(1, 2): 5}, last: {(0, 0): 3}})
    shared: dict[str, dict[tuple[int, int], int]] = {
        products[0]: {(0, 1): 3}, products[1]: {(0, 0): 3, (0, 1): 3}, products[2]: {(1, 0): 5, (0, 0): 5},
        "of the catalog alone": {(0, 0): 3},
    }  # fmt: skip
    own = {product: {(side, 0): 10 + n for side in (0, 1)} for n, product in enumerate(products)}

    def tables(split: BenchSplit, name: str, settings: HostSettings) -> TextTables:
        nothing = facets("consumer_id", {})
        what = facets("product_id", own if name == module.HISTORY else shared)
        return TextTables(nothing if name == module.HISTORY else who, what, pd.DataFrame(), pd.DataFrame())

    monkeypatch.setattr(module, "text_tables", tables)
    return Told(split, consumers, products)


def test_reasons_that_meet_are_counted_on_their_side(told):
    experts = told.experts("model")
    np.testing.assert_allclose(experts["met_for_1"].counted[0, :3], np.log1p([1, 2, 0]), atol=1e-6)
    np.testing.assert_allclose(experts["met_against_1"].counted[1, :3], np.log1p([0, 0, 1]), atol=1e-6)
    assert not experts["met_for_1"].counted[1:].any()


def test_who_has_no_validation_event_has_no_reasons(told):
    """The blend would learn from the last training event, on which their facets rest."""
    last = len(told.consumers) - 1
    assert told.consumers[last] not in set(told.split.valid["consumer_id"])
    assert all(not expert.counted[last].any() for expert in told.experts("model").values())


def test_product_text_is_that_of_what_was_liked_and_not_liked_in_training(told):
    counted = told.experts(module.HISTORY)["met_for_1"].counted[0] > 0.5
    train = told.split.train.interactions.frame
    own = train[train["consumer_id"] == told.consumers[0]].sort_values("timestamp", kind="stable")
    liked = own[own["rating"] >= told.split.train.scale.like_from]["product_id"].iloc[-N_FACETS:]
    assert {product for product, met in zip(told.products, counted, strict=True) if met} == set(liked)


def test_every_set_gives_as_many_experts_and_they_answer_for_any_consumers(told):
    experts = told.experts("model")
    assert set(experts) == set(told.experts(module.HISTORY))
    assert len(experts) == 2 * len(module.NEAR)
    n = len(told.consumers)
    histories = Histories.of(np.arange(n), np.zeros(n, np.int64), np.zeros(n), n, len(told.products))
    some = experts["met_for_1"].score(histories.rows(1, 3))
    assert np.array_equal(some, experts["met_for_1"].counted[1:3])
