"""The feature store loses no row, sees no future, writes what changed and deletes what is no longer known."""

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
from benchmarks.lookup import LookupConfig
from benchmarks.proofs import online
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


LEAVING = {"p2": "product-that-leaves", "c0": "consumer-who-leaves"}
"""Ids long enough that no random bytes look like them."""
STORES = [pytest.param("sqlite", id="sqlite"), pytest.param("redis", marks=pytest.mark.redis, id="redis")]


@pytest.fixture(params=STORES)
def served(request: pytest.FixtureRequest, make_world: Callable):
    """A world whose rows are in an online store, and that store as raw bytes: `(world, store, stored)`."""
    redis = {} if request.param == "sqlite" else {"COUNTERPOINT_REDIS": request.getfixturevalue("redis_address")}
    world = make_world(COUNTERPOINT_ONLINE_STORE=request.param, **redis)
    for view in VIEWS:
        table = world.lake.read(view.table)
        table = table.assign(**{key: table[key].replace(LEAVING) for key in view.keys})
        if "history_ids" in table:
            table["history_ids"] = [[LEAVING.get(name, name) for name in ids] for ids in table["history_ids"]]
        world.lake.write(view.table, table, "test")
    store = opened(world)
    store.materialize(world.snapshot.as_of)
    return world, store, sqlite_bytes if request.param == "sqlite" else redis_bytes


def sqlite_bytes(settings: HostSettings) -> bytes:
    return b"".join(path.read_bytes() for path in settings.feast.glob("online.db*"))


def redis_bytes(settings: HostSettings) -> bytes:
    import redis

    client = redis.Redis("127.0.0.1", 6379, db=9)
    return b"".join(key + b"".join(client.hgetall(key).values()) for key in client.keys("*"))


def take_out(world, key: str, name: str) -> None:
    """Takes an id out of every lake table, with the states whose history names it."""
    for view in VIEWS:
        table = world.lake.read(view.table)
        if key in view.keys:
            table = table[table[key] != name]
        elif "history_ids" in table:
            table = table[[name not in ids for ids in table["history_ids"]]]
        world.lake.write(view.table, table.reset_index(drop=True), "test")


@pytest.mark.parametrize(("key", "name"), [("product_id", LEAVING["p2"]), ("consumer_id", LEAVING["c0"])])
def test_what_left_the_lake_leaves_no_byte_online(served, key: str, name: str) -> None:
    world, store, stored = served
    assert name.encode() in stored(world.settings)
    take_out(world, key, name)
    report = {item.view: item for item in store.materialize(world.snapshot.as_of)}
    assert name.encode() not in stored(world.settings)
    read = store.online_products([name]) if key == "product_id" else store.online_consumers([name])
    assert (read.features.index[0], read.facets.index[0]) == (-1, -1)
    assert report["pair_codes"].n_deleted == 1  # a pair goes with either side
    others = store.online_products(["p3"]) if key == "product_id" else store.online_consumers(["c1"])
    assert others.features.index[0] == 0


def test_only_changed_rows_are_written(served) -> None:
    world, store, _ = served
    before = store.online_products([f"p{n}" for n in range(9)])
    content = world.lake.read("features/product_content")
    content.loc[content["product_id"] == "p3", "version"] = "new"
    world.lake.write("features/product_content", content, "again")
    written = {item.view: item.n_written for item in store.materialize(world.snapshot.as_of)}
    assert written == {view.name: int(view.name == "product_content") for view in VIEWS}
    after = store.online_products([f"p{n}" for n in range(9)])
    assert after.features.table.equals(before.features.table)
    versions = before.content.table["version"].to_pylist()
    versions[before.content.index[3]] = "new"
    assert after.content.table["version"].to_pylist() == versions


@pytest.mark.slow
def test_an_oracle_finds_no_row_written_in_vain_and_no_deleted_byte() -> None:
    proof = online.prove(LookupConfig(n_consumers=60, n_products=120, n_interactions=1000))
    assert proof.kept, proof.figures


@pytest.mark.redis
def test_lost_rows_are_written_again(make_world: Callable, redis_address: str) -> None:
    import redis

    world = make_world(COUNTERPOINT_ONLINE_STORE="redis", COUNTERPOINT_REDIS=redis_address)
    store = opened(world)
    first = store.materialize(world.snapshot.as_of)
    redis.Redis("127.0.0.1", 6379, db=9).flushdb()
    assert store.materialize(world.snapshot.as_of) == first
    assert counts(store.online_products(["p3"]).features) != [None]


def test_the_report_counts_what_was_written(make_world: Callable) -> None:
    world = make_world()
    report = {item.view: item for item in opened(world).materialize(world.snapshot.as_of)}
    assert report["product_features"].n_rows == 9
    assert (report["product_content"].n_rows, report["product_content"].n_written) == (8, 8)
    assert report["pair_codes"].newest is not None
    again = FeatureRows(world.settings).materialize(world.snapshot.as_of)
    assert [(item.n_written, item.n_deleted) for item in again] == [(0, 0)] * len(VIEWS)


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
