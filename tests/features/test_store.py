"""The feature store loses no row, sees no future, and blanks what is no longer known."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import features
from features.definitions import SERVICE, feast_objects
from features.errors import StoreError
from features.rows import PAIR_CODES, VIEWS
from features.settings import HostSettings
from features.store import FeatureRows

FOLDER = Path(features.__file__).parent


def ask(*rows: tuple[str, str, object]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["consumer_id", "product_id", "event_timestamp"])
    times = pd.to_datetime(frame["event_timestamp"], utc=True).dt.as_unit("us")
    return frame.assign(event_timestamp=times, row_id=np.arange(len(frame)) + 100)


def opened(world) -> FeatureRows:
    store = FeatureRows(world.settings)
    store.apply()
    return store


def counts(rows) -> list[int | None]:
    table = rows.table["n_interactions"].to_pylist()
    return [table[n] if n >= 0 else None for n in rows.index]


def test_rows_come_back_in_the_order_asked_even_without_features(make_world: Callable) -> None:
    world = make_world()
    events = world.snapshot.interactions.frame.sample(frac=1, random_state=1)
    asked = ask(*events[["consumer_id", "product_id", "timestamp"]].itertuples(index=False), ("new", "new", "2030"))
    rows = opened(world).historical(asked)
    assert rows.row_id.tolist() == asked["row_id"].tolist()
    assert rows.consumers.consumer_ids.tolist() == asked["consumer_id"].tolist()
    assert rows.products.product_ids[-1] == "new"
    assert rows.products.features.index[-1] == -1


def test_a_row_sees_what_came_before_and_not_itself(make_world: Callable) -> None:
    world = make_world()
    frame = world.snapshot.interactions.frame
    rows = opened(world).historical(ask(*frame[["consumer_id", "product_id", "timestamp"]].itertuples(index=False)))
    for n, event in enumerate(frame.itertuples()):
        before = frame[frame["timestamp"] < event.timestamp]
        assert (counts(rows.consumers.features)[n] or 0) == (before["consumer_id"] == event.consumer_id).sum()
        assert counts(rows.products.features)[n] == (before["product_id"] == event.product_id).sum()
    newest = rows.consumers.features.event_time
    assert (newest[~np.isnat(newest)] < rows.as_of[~np.isnat(newest)]).all()


def test_the_join_works_in_several_parts(make_world: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world()
    asked = ask(*[(f"c{n % 6}", f"p{n % 9}", f"2024-01-01 {n:02}:00") for n in range(20)])
    whole = opened(world).historical(asked)
    monkeypatch.setattr("features.store.JOIN_ROWS", 7)
    parts = FeatureRows(world.settings).historical(asked)
    assert counts(parts.consumers.features) == counts(whole.consumers.features)


def test_a_materialisation_knows_nothing_later_and_takes_back_what_is_gone(make_world: Callable) -> None:
    world = make_world()
    store = opened(world)
    frame = world.snapshot.interactions.frame
    early = frame["timestamp"].iloc[12].to_pydatetime()
    consumers = sorted(frame["consumer_id"].unique())
    for as_of in (world.snapshot.as_of, early):  # later first: what came after must go away again
        store.materialize(as_of)
        before = frame[frame["timestamp"] < pd.Timestamp(as_of)]
        seen = before.groupby("consumer_id").size()
        assert counts(store.online_consumers(consumers).features) == [seen.get(c) for c in consumers]


def test_made_again_from_the_same_events_still_arrives(make_world: Callable) -> None:
    world = make_world()
    store = opened(world)
    store.materialize(world.snapshot.as_of)
    content = world.lake.read("features/product_content")
    content["vector"], content["version"] = content["vector"].map(lambda v: v + 1), "w"
    world.lake.write("features/product_content", content, "again")
    store.materialize(world.snapshot.as_of)
    read = store.online_products(["p3"]).content.table["vector"].to_pylist()[0]
    assert read == content.set_index("product_id")["vector"]["p3"].tolist()


def test_the_report_counts_what_was_written(make_world: Callable) -> None:
    world = make_world()
    report = {item.view: item for item in opened(world).materialize(world.snapshot.as_of)}
    assert report["product_features"].n_rows == 9
    assert (report["product_content"].n_rows, report["product_content"].n_blank) == (8, 1)
    assert report["consumer_facets"].n_blank == 1
    assert report["pair_codes"].newest is not None


def test_a_row_tells_its_age(make_world: Callable) -> None:
    world = make_world()
    store = opened(world)
    store.materialize(world.snapshot.as_of)
    frame = world.snapshot.interactions.frame
    latest = frame.loc[frame["consumer_id"] == "c0", "timestamp"].max().tz_convert(None)
    times = store.online_consumers(["c0", "new"]).features.event_time
    assert times[0] == np.datetime64(latest)
    assert np.isnat(times[1])


def test_tables_without_rows_are_normal(make_world: Callable) -> None:
    world = make_world(with_texts=False)
    store = opened(world)
    store.materialize(world.snapshot.as_of)
    rows = store.historical(ask(("c0", "p1", world.snapshot.as_of)))
    assert rows.consumers.facets.index.tolist() == [-1]
    assert rows.consumers.features.index.tolist() == [0]
    assert store.online_pairs("c0", ["p1", "p2"]).codes.index.tolist() == [-1, -1]
    assert len(store.online_products([])) == 0


def test_the_same_version_for_other_features_is_refused(make_world: Callable) -> None:
    world = make_world()
    facets = world.lake.read("features/product_facets").assign(version="same")
    world.lake.write("features/product_facets", facets, "test")
    with pytest.raises(StoreError, match="A version must change"):
        opened(world).historical(ask(("c0", "p1", world.snapshot.as_of)))


def test_unchanged_features_may_keep_their_version_and_never_look_later(make_world: Callable) -> None:
    world = make_world()
    content = world.lake.read("features/product_content")
    later = content.assign(event_timestamp=pd.Timestamp(world.snapshot.as_of).as_unit("us"))
    world.lake.write("features/product_content", pd.concat([later, content]), "test")
    rows = opened(world).historical(ask(("c0", "p1", "2024-06-01"), ("c0", "p1", "2026-01-01")))
    assert rows.products.content.index.tolist() == [0, 0]
    assert (rows.products.content.event_time < rows.as_of).all()


def test_a_missing_table_says_what_to_do(make_world: Callable) -> None:
    world = make_world()
    world.lake.path(PAIR_CODES.table).unlink()
    store = FeatureRows(world.settings)
    with pytest.raises(StoreError, match="Run the stage that makes it"):
        store.historical(ask(("c0", "p1", world.snapshot.as_of)))


def test_reading_before_applying_says_what_to_do(make_world: Callable) -> None:
    with pytest.raises(StoreError, match="Run the materialise stage"):
        FeatureRows(make_world().settings).online_consumers(["c0"])


@pytest.mark.slow  # the client tries for some seconds
def test_no_redis_is_a_store_error(make_world: Callable) -> None:
    world = make_world(COUNTERPOINT_ONLINE_STORE="redis", COUNTERPOINT_REDIS="127.0.0.1:1")
    store = opened(world)
    with pytest.raises(StoreError, match="COUNTERPOINT_REDIS"):
        store.online_consumers(["c0"])


def test_the_file_for_the_command_agrees_with_the_settings() -> None:
    from feast.repo_config import load_repo_config

    settings = HostSettings.from_environment({"COUNTERPOINT_HOME": str(FOLDER.parent / ".counterpoint")})
    ours = FeatureRows(settings).config()
    theirs = load_repo_config(FOLDER, FOLDER / "feature_store.yaml")
    for name in ("project", "provider", "entity_key_serialization_version"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.offline_store == theirs.offline_store
    for part in ("registry", "online_store"):
        mine, its = getattr(ours, part), getattr(theirs, part)
        assert (FOLDER / its.path).resolve() == Path(mine.path)
        assert mine.model_copy(update={"path": its.path}) == its


def test_every_view_is_in_the_service_and_never_expires(tmp_path: Path) -> None:
    objects = {item.name: item for item in feast_objects(tmp_path)}
    assert {item.name for item in objects[SERVICE].feature_view_projections} == {view.name for view in VIEWS}
    assert all(objects[view.name].ttl == timedelta(0) for view in VIEWS)


@pytest.mark.slow
def test_the_command_finds_the_same_definitions() -> None:
    code = (
        "import pathlib, sys; sys.path.append('features'); import os; os.chdir('features')\n"
        "from feast.repo_operations import parse_repo, get_repo_files\n"
        "root = pathlib.Path('.').resolve()\n"
        "print([p.name for p in get_repo_files(root)])\n"
        "print(sorted(v.name for v in parse_repo(root).feature_views))"
    )
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parent)}
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=FOLDER.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    files, views = run.stdout.strip().splitlines()[-2:]
    assert files == "['definitions.py']"
    assert views == str(sorted(view.name for view in VIEWS))
