"""States are what was known after each event, no more and no less."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.batch import CONSUMER_NUMERIC, HISTORY_LENGTH, PRODUCT_NUMERIC
from features.states import EPOCH, consumer_states, product_states
from features.types import Catalog, Interactions, RatingScale, Snapshot

DAY = pd.Timedelta(days=1)
START = pd.Timestamp("2024-01-01", tz="UTC").as_unit("us")


def world(*events: tuple[str, str, float, float]) -> Snapshot:
    """Events as (consumer, product, day, stars)."""
    frame = pd.DataFrame(events, columns=["consumer_id", "product_id", "day", "rating"])
    frame["timestamp"] = (START + pd.to_timedelta(frame["day"].astype(float), "D")).dt.as_unit("us")
    frame = frame.assign(row=np.arange(len(frame)), review=None)
    products = pd.DataFrame({"product_id": ["a", "b", "z"], "title": "", "description": ""})
    attributes = pd.DataFrame([("a", "genre", "Drama")], columns=["product_id", "name", "value"])
    return Snapshot(Interactions(frame), Catalog(products, attributes), RatingScale(), (START + 99 * DAY))


def test_a_consumer_state_by_hand() -> None:
    states = consumer_states(world(("u", "a", 0, 5), ("v", "a", 1, 1), ("u", "b", 2, 2)))
    last = states[states["consumer_id"] == "u"].iloc[-1]
    assert last["event_timestamp"] == START + 2 * DAY
    assert last["n_interactions"] == 2
    assert last["mean_rating"] == pytest.approx(3.5)
    assert last["sd_rating"] == pytest.approx(np.std([5, 2], ddof=1))
    assert last["liked_share"] == pytest.approx(0.5)
    assert last["days_active"] == pytest.approx(2.0)
    assert list(last["history_ids"]) == ["b", "a"]
    assert last["history_ratings"].tolist() == [2.0, 5.0]


def test_a_consumer_state_tells_the_consumers_attributes_and_changes_with_them() -> None:
    def told(*rows: tuple[str, str, str]) -> pd.DataFrame:
        snapshot = world(("u", "a", 0, 5), ("v", "a", 1, 1))
        consumers = pd.DataFrame(rows, columns=["consumer_id", "name", "value"])
        return consumer_states(replace(snapshot, catalog=replace(snapshot.catalog, consumers=consumers)))

    nothing, young, old = told(), told(("u", "age", "18-24")), told(("u", "age", "56+"))
    assert [states["attributes"].tolist() for states in (nothing, young)] == [[[], []], [["age=18-24"], []]]
    versions = [states["version"].tolist() for states in (nothing, young, old)]
    assert len({version[0] for version in versions}) == 3
    assert len({version[1] for version in versions}) == 1


def test_one_rating_has_no_deviation() -> None:
    assert np.isnan(consumer_states(world(("u", "a", 0, 5)))["sd_rating"].iloc[0])


def test_a_product_state_by_hand() -> None:
    states = product_states(world(("u", "b", 0, 5), ("u", "a", 1, 1), ("v", "a", 2, 4)))
    last = states[states["product_id"] == "a"].iloc[-1]
    assert last["n_interactions"] == 2
    assert last["mean_rating"] == pytest.approx(2.5)
    assert last["mean_consumer_rating"] == pytest.approx((3.0 + 4.0) / 2)  # u: (5 + 1) / 2 by then; v: 4
    assert last["attributes"] == ["genre=Drama"]


def test_an_unrated_product_exists_from_1970_without_means() -> None:
    states = product_states(world(("u", "a", 0, 5)))
    row = states[states["product_id"] == "z"]
    assert row["event_timestamp"].tolist() == [EPOCH]
    assert row["n_interactions"].tolist() == [0]
    assert row[list(PRODUCT_NUMERIC[1:])].isna().all(axis=None)


def test_equal_times_make_one_state() -> None:
    states = consumer_states(world(("u", "a", 0, 5), ("u", "b", 0, 1), ("u", "z", 3, 4)))
    assert states["n_interactions"].tolist() == [2, 3]
    assert list(states["history_ids"].iloc[0]) == ["b", "a"]  # the later source row first


def test_events_without_stars_count_but_do_not_weigh() -> None:
    state = consumer_states(world(("u", "a", 0, np.nan), ("u", "b", 1, 4))).iloc[-1]
    assert (state["n_interactions"], state["mean_rating"], state["liked_share"]) == (2, 4.0, 1.0)
    assert np.isnan(state["history_ratings"][1])


def test_the_history_is_cut_at_its_length() -> None:
    products = [f"p{n}" for n in range(HISTORY_LENGTH + 5)]
    last = consumer_states(world(*(("u", p, n, 3.0) for n, p in enumerate(products)))).iloc[-1]
    assert list(last["history_ids"]) == products[::-1][:HISTORY_LENGTH]


def test_a_later_event_changes_no_earlier_state(snapshot: Snapshot) -> None:
    frame = snapshot.interactions.frame
    planted = frame.iloc[[-1]].assign(consumer_id="c0", product_id="p8", rating=1.0)
    planted["timestamp"] += DAY
    later = pd.concat([frame, planted], ignore_index=True)
    with_later = Snapshot(Interactions(later), snapshot.catalog, snapshot.scale, snapshot.as_of)
    for build in (consumer_states, product_states):
        old, new = build(snapshot), build(with_later)
        new = new[new["event_timestamp"] < planted["timestamp"].iloc[0]].reset_index(drop=True)
        pd.testing.assert_frame_equal(old, new, check_exact=True)


def test_states_agree_with_a_recount(snapshot: Snapshot) -> None:
    frame = snapshot.interactions.frame
    for state in consumer_states(snapshot).itertuples():
        seen = frame[(frame["consumer_id"] == state.consumer_id) & (frame["timestamp"] <= state.event_timestamp)]
        assert state.n_interactions == len(seen)
        np.testing.assert_allclose(state.mean_rating, seen["rating"].mean(), rtol=1e-6)
        np.testing.assert_allclose(state.sd_rating, seen["rating"].std(), rtol=1e-5, atol=1e-6)


def test_no_events_give_tables_with_all_columns() -> None:
    nothing = world()
    assert set(CONSUMER_NUMERIC) <= set(consumer_states(nothing).columns)
    assert len(consumer_states(nothing)) == 0
    assert product_states(nothing)["product_id"].tolist() == ["a", "b", "z"]


@pytest.mark.parametrize(
    "edited",
    [
        [("u", "a", 0, 4), ("v", "a", 1, 1), ("u", "b", 2, 2)],  # another rating
        [("v", "a", 1, 1), ("u", "b", 2, 2)],  # an event gone
        [("u", "z", 0, 5), ("v", "a", 1, 1), ("u", "b", 2, 2)],  # another product
    ],
)
def test_a_version_changes_with_anything_the_state_rests_on(edited: list[tuple[str, str, float, float]]) -> None:
    before = consumer_states(world(("u", "a", 0, 5), ("v", "a", 1, 1), ("u", "b", 2, 2)))
    after = consumer_states(world(*edited))
    last = {
        frame_name: frame.groupby("consumer_id")["version"].last()
        for frame_name, frame in (("before", before), ("after", after))
    }
    assert last["before"]["u"] != last["after"]["u"]
    assert last["before"]["v"] == last["after"]["v"]


def test_a_products_version_changes_with_its_attributes_and_its_raters() -> None:
    snapshot = world(("u", "a", 0, 5), ("v", "b", 1, 1))
    before = product_states(snapshot).groupby("product_id")["version"].last()
    renamed = Catalog(snapshot.catalog.products, snapshot.catalog.attributes.assign(value="Comedy"))
    after = product_states(replace(snapshot, catalog=renamed)).groupby("product_id")["version"].last()
    assert (before != after).to_dict() == {"a": True, "b": False, "z": False}
    another = product_states(world(("u", "z", -1, 1), ("u", "a", 0, 5), ("v", "b", 1, 1)))
    assert another.groupby("product_id")["version"].last()["a"] != before["a"]  # its rater's mean moved
