"""After a change of the source only what rests on it is made again, and what vanished is nowhere any more."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from features.inbox import Feedback, Inbox
from features.rows import PRODUCT_CONTENT, PRODUCT_FACETS
from features.store import FeatureRows
from flows import refresh
from flows.materialize import autoencoder_folder
from flows.refresh import Count
from flows.release import refresh_release

pytestmark = pytest.mark.slow


def others(frame: pd.DataFrame, product_id: str) -> pd.DataFrame:
    """The rows of all products but one."""
    return frame[frame["product_id"] != product_id].reset_index(drop=True) if "product_id" in frame else frame


def test_a_new_description_reaches_its_product_alone(shop) -> None:
    tables, rest = shop.tables(), [f"p{n:02}" for n in range(2, 17)]
    online = shop.online(rest)
    codes = {path: path.read_bytes() for path in autoencoder_folder(shop.workspace).iterdir()}
    shop.describe("p01", "A theremin with a cracked antenna.")
    result = shop.refresh()
    assert (result.products, result.consumers) == (Count(changed=1), Count())
    assert {request.subject for request in shop.engine.seen} == {"product p01"}
    assert len(shop.encoded) == 2  # what it is, and its strength
    assert result.calls == len(shop.engine.seen)
    assert result.written == {PRODUCT_CONTENT.name: 1, PRODUCT_FACETS.name: 1}
    for name, table in shop.tables().items():
        pd.testing.assert_frame_equal(others(table, "p01"), others(tables[name], "p01"))
    assert shop.online(rest) == online
    (row,) = shop.online(["p01"])[1]
    assert row["vector"] == shop.tables()[PRODUCT_CONTENT.table].set_index("product_id")["vector"]["p01"].tolist()
    assert {path: path.read_bytes() for path in codes} == codes  # a live model keeps the codes it was trained on


def test_a_vanished_product_is_nowhere_and_the_new_texts_go_live(shop) -> None:
    tables, online = shop.tables(), shop.online(["p01", "p02"])
    assert shop.quiet in shop.everything()
    shop.drop("catalog", product_id=shop.quiet)
    result = shop.refresh()
    assert (result.products, result.calls, result.written) == (Count(removed=1), 0, {})
    assert not {shop.quiet, "Velvet"} & set(shop.everything().replace("'", " ").split())
    assert shop.quiet.encode() not in (shop.workspace.settings.feast / "online.db").read_bytes()
    assert FeatureRows(shop.workspace.settings).online_products([shop.quiet]).features.index.tolist() == [-1]
    for name, table in shop.tables().items():
        pd.testing.assert_frame_equal(table, others(tables[name], shop.quiet))
    assert shop.online(["p01", "p02"]) == online
    live = shop.releases.live()
    assert (live.release_id, live.model_of, live.artifact_tag) == (result.release_id, "first", "counterpoint:first")
    texts = shop.releases.read_texts(live)
    assert shop.quiet not in {*texts.products["product_id"], *texts.facets["entity_id"], *texts.facts["entity_id"]}
    assert refresh_release(shop.workspace, shop.recipe) == result.release_id  # nothing new: nothing published


def test_a_vanished_consumer_is_nowhere(shop) -> None:
    assert shop.leaver in shop.everything()
    shop.drop("interactions", consumer_id=shop.leaver)
    result = shop.refresh()
    assert (result.consumers, result.deleted["consumer_features"]) == (Count(removed=1), 1)
    assert shop.leaver not in shop.everything()
    assert FeatureRows(shop.workspace.settings).online_consumers([shop.leaver]).features.index.tolist() == [-1]


def test_feedback_reaches_the_lake_and_the_forgotten_leave_it_though_the_source_stays(shop) -> None:
    inbox, lake = Inbox(shop.workspace.settings.inbox), shop.workspace.lake
    consumer_id = next(it for it in lake.read("interactions")["consumer_id"] if it != shop.leaver)
    feedback = Feedback("f1", consumer_id, "p01", 5.0, datetime(2026, 1, 2, 3, tzinfo=UTC))
    inbox.add(feedback)
    inbox.forget(shop.leaver)
    result = shop.refresh()
    assert result.consumers == Count(changed=1, removed=1)
    rated = lake.read("interactions").query("consumer_id == @consumer_id").iloc[-1]
    assert (rated["product_id"], rated["rating"], rated["timestamp"]) == ("p01", 5.0, feedback.at)
    consumers = FeatureRows(shop.workspace.settings).online_consumers([consumer_id, shop.leaver])
    assert consumers.features.event_time[0] == np.datetime64("2026-01-02T03")
    assert consumers.features.index[1] == -1
    assert shop.leaver not in shop.everything()
    again = shop.refresh()
    assert (again.consumers, again.written) == (Count(), {})


def test_a_cosmetic_edit_moves_nothing(shop) -> None:
    shop.refresh()
    shop.encoded.clear()
    tables, live = shop.tables(), shop.releases.live_id()
    shop.edit("catalog", lambda f: f.assign(description="  " + f["description"].str.replace(". ", ".  "))[::-1])
    result = shop.refresh()
    assert (result.products, result.consumers) == (Count(), Count())
    assert (result.calls, result.written, result.deleted, result.release_id) == (0, {}, {}, live)
    assert shop.engine.seen == shop.encoded == []
    for name, table in shop.tables().items():
        pd.testing.assert_frame_equal(table, tables[name])


def test_what_was_not_announced_is_found_again(shop) -> None:
    shop.describe("p01", "A theremin with a cracked antenna.")
    first = refresh.find(shop.workspace, shop.recipe)
    assert first.changed == ("p01",)
    assert refresh.find(shop.workspace, shop.recipe) == first
    refresh.settle(shop.workspace)
    assert not refresh.find(shop.workspace, shop.recipe).anything


def test_an_event_lists_few_ids_and_the_lake_all(shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "LISTED", 2)
    for product_id in ("p01", "p02", "p03"):
        shop.describe(product_id, f"The {product_id} of a kind.")
    found = refresh.find(shop.workspace, shop.recipe)
    assert (found.listed, found.changed, found.products.changed) == (False, (), 3)
    listed = shop.workspace.lake.read(found.table)
    assert listed.to_numpy().tolist() == [["product", f"p0{n}", "changed"] for n in (1, 2, 3)]
