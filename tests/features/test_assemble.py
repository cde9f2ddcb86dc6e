"""Training and serving see the same arrays, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from features.assemble import consumer_block, cross, joined_batch, pair_block, product_block, training_set
from features.batch import FeatureBatch, Indexed
from features.errors import StoreError
from features.store import FeatureRows
from features.types import Interactions, RatingScale, Snapshot

SCALE = RatingScale()


def arrays(block: object, prefix: str = "") -> dict[str, np.ndarray]:
    """Every array of a batch by its path; an indexed one as its rows, NaN where absent, and where it is absent."""
    found: dict[str, np.ndarray] = {}
    for item in fields(block):  # type: ignore[arg-type]
        value, name = getattr(block, item.name), f"{prefix}{item.name}"
        if isinstance(value, Indexed):
            absent = np.full((1, *value.table.shape[1:]), np.nan, value.table.dtype)
            found[name] = np.concatenate([value.table, absent])[value.index]
            found[f"{name}.absent"] = value.index < 0
        elif isinstance(value, np.ndarray):
            found[name] = value
        else:
            found |= arrays(value, f"{name}.")
    return found


def assert_same_bits(left: FeatureBatch, right: FeatureBatch) -> None:
    ours, theirs = arrays(left), arrays(right)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert array.dtype == theirs[name].dtype, name
        assert array.shape == theirs[name].shape, name
        same = (
            array.tolist() == theirs[name].tolist()
            if array.dtype == object
            else array.tobytes() == theirs[name].tobytes()
        )
        assert same, name


def past_and_present(world, consumer_id: str) -> tuple[FeatureBatch, FeatureBatch]:
    """One consumer with all products at `as_of`, read offline and online."""
    store, as_of = FeatureRows(world.settings), world.snapshot.as_of
    store.apply()
    store.materialize(as_of)
    ids = [*world.snapshot.catalog.products["product_id"], "unknown"]
    asked = pd.DataFrame({"row_id": range(len(ids)), "consumer_id": consumer_id, "product_id": ids})
    asked["event_timestamp"] = pd.Series([as_of] * len(ids)).dt.as_unit("us")
    present = cross(
        consumer_block(store.online_consumers([consumer_id])),
        product_block(store.online_products(ids)),
        pair_block(store.online_pairs(consumer_id, ids)),
        as_of,
    )
    return joined_batch(store.historical(asked)), present


@pytest.mark.parametrize("consumer_id", ["c0", "c1", "c5", "unknown"])
def test_offline_and_online_are_the_same_bits_on_sqlite(make_world: Callable, consumer_id: str) -> None:
    past, present = past_and_present(make_world(), consumer_id)
    assert_same_bits(past, present)


@pytest.mark.redis
@pytest.mark.parametrize("consumer_id", ["c0", "c5"])
def test_offline_and_online_are_the_same_bits_on_redis(
    make_world: Callable, redis_address: str, consumer_id: str
) -> None:
    world = make_world(COUNTERPOINT_ONLINE_STORE="redis", COUNTERPOINT_REDIS=redis_address)
    past, present = past_and_present(world, consumer_id)
    assert_same_bits(past, present)


def test_the_comparison_can_fail(make_world: Callable) -> None:
    past, present = past_and_present(make_world(), "c0")
    present.products.content.table[0, 0] += np.float32(1e-7)
    with pytest.raises(AssertionError, match="content"):
        assert_same_bits(past, present)


def test_what_is_absent_is_never_a_zero(make_world: Callable) -> None:
    past, _ = past_and_present(make_world(with_texts=False), "unknown")
    assert np.isnan(past.consumers.numeric).all()
    assert (past.consumers.history_ids == "").all()
    assert np.isnan(past.consumers.history_ratings).all()
    assert (past.consumers.facet_codes.index == -1).all()
    assert (past.pairs.codes.index == -1).all()
    assert past.products.content.index[0] == -1  # p0 has no vector
    assert past.products.numeric[8, 0] == 0  # p8 is known and has no interaction
    assert np.isnan(past.products.numeric[8, 1:]).all()
    assert np.isnan(past.products.numeric[9]).all()  # not in the catalog


def test_values_land_in_their_places(make_world: Callable) -> None:
    world = make_world()
    past, _ = past_and_present(world, "c0")
    frame = world.snapshot.interactions.frame
    mine = frame[frame["consumer_id"] == "c0"].iloc[::-1]
    assert past.consumers.history_ids[0, : len(mine)].tolist() == mine["product_id"].tolist()
    np.testing.assert_array_equal(past.consumers.history_ratings[0, : len(mine)], mine["rating"].astype(np.float32))
    assert past.products.attributes[0] == ("genre=Sci-Fi", "year=1999")
    assert past.consumers.attributes[0] == ("age=25-34", "gender=F")
    facets = world.lake.read("features/consumer_facets").query("consumer_id == 'c0'").iloc[-1]
    codes = past.consumers.facet_codes
    np.testing.assert_array_equal(codes.table[codes.index[0]].ravel(), facets["codes"])
    assert past.pairs.codes.index.tolist() == [-1, -1, 0, *[-1] * 7]


def test_a_training_set_has_outcomes_beside_what_came_before(make_world: Callable) -> None:
    world = make_world()
    store = FeatureRows(world.settings)
    store.apply()
    frame = world.snapshot.interactions.frame.dropna(subset="rating").iloc[::-1]
    train = training_set(store, frame, SCALE)
    assert train.row.tolist() == frame["row"].tolist()
    assert train.liked.tolist() == (frame["rating"] >= 4).astype(float).tolist()
    assert train.batch.consumers.consumer_ids.tolist() == frame["consumer_id"].tolist()
    assert not [
        row
        for row, product in enumerate(train.batch.products.product_ids)
        if product in train.batch.consumers.history_ids[row]
    ]  # one row per consumer and product: a product in its own row's history would be the row itself


def test_a_later_event_changes_no_earlier_row(make_world: Callable) -> None:
    world = make_world()
    store = FeatureRows(world.settings)
    store.apply()
    frame = world.snapshot.interactions.frame.dropna(subset="rating")
    before = training_set(store, frame, SCALE)
    planted = frame.iloc[[-1]].assign(consumer_id="c0", product_id="p8", rating=1.0)
    planted["timestamp"] += pd.Timedelta(hours=1)
    later = pd.concat([world.snapshot.interactions.frame, planted], ignore_index=True)
    make_world(Snapshot(Interactions(later), world.snapshot.catalog, SCALE, world.snapshot.as_of))
    after = training_set(FeatureRows(world.settings), frame, SCALE)
    without_texts = [replaced_facets(item.batch) for item in (before, after)]
    assert_same_bits(*without_texts)
    as_of = training_set(FeatureRows(world.settings), planted, SCALE)
    assert as_of.batch.products.numeric[0, 0] == 0  # the planted event does not see itself


def replaced_facets(batch: FeatureBatch) -> FeatureBatch:
    """The batch without facets, whose test values are drawn by row number and so move with the tables."""
    from dataclasses import replace

    none = np.full(len(batch), -1, np.int32)
    blocks = {}
    for name in ("consumers", "products"):
        block = getattr(batch, name)
        codes, weights = replace(block.facet_codes, index=none), replace(block.facet_weights, index=none)
        blocks[name] = replace(block, facet_codes=codes, facet_weights=weights)
    return replace(batch, **blocks)


def test_codes_of_another_width_are_refused(make_world: Callable) -> None:
    world = make_world()
    content = world.lake.read("features/product_content")
    content["vector"] = content["vector"].map(lambda vector: vector[:10])
    world.lake.write("features/product_content", content, "test")
    with pytest.raises(StoreError, match="384 values"):
        past_and_present(world, "c0")


def test_a_cross_of_unequal_parts_is_refused(make_world: Callable) -> None:
    _, present = past_and_present(make_world(), "c0")
    with pytest.raises(StoreError, match="One consumer"):
        cross(present.consumers, present.products, None, make_world().snapshot.as_of)
