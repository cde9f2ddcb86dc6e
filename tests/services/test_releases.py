"""What `GET /v1/releases` tells: all that can be read, what is live, and how it came to be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from models.release import Metric, Release, ReleaseStore
from services.releases import released


@pytest.fixture
def store(tmp_path: Path, texts: Any, new_release: Callable[[str], Release]) -> ReleaseStore:
    """Three releases; the third was promoted and rolled back."""
    store = ReleaseStore(tmp_path)
    for n, name in enumerate(("one", "two", "three")):
        release = new_release(name)
        metrics = (Metric(name="auc", value=0.7 + n / 100), Metric(name="rmse", value=float("nan")))
        changed = {"created_at": release.created_at + timedelta(days=n), "metrics": metrics}
        store.publish(release.model_copy(update=changed), texts)
        store.promote(name)
    store.rollback()
    return store


def test_releases_come_newest_first_and_the_live_one_is_marked(store: ReleaseStore) -> None:
    found = released(store)
    assert [(it.release_id, it.live) for it in found.releases] == [("three", False), ("two", True), ("one", False)]
    assert found.live == "two"
    assert found.releases[0].language_model == "smol@1"
    assert [(it.release_id, it.action) for it in found.moves[:2]] == [("two", "rollback"), ("three", "promote")]


def test_figures_without_a_card_have_no_interval_and_none_is_made_up(store: ReleaseStore) -> None:
    auc, rmse = released(store).releases[0].metrics
    assert (auc.value, auc.low, auc.high) == (0.72, None, None)
    assert '"name":"rmse","value":null' in released(store).model_dump_json()
    assert rmse.name == "rmse"


def test_a_damaged_release_is_named_and_hides_no_other(store: ReleaseStore) -> None:
    (store.folder / "one" / "manifest.json").write_text("{}")
    found = released(store)
    assert found.unreadable == ("one",)
    assert len(found.releases) == 2
