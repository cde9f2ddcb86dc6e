"""Promise: the online store is written where the lake changed and nowhere else, and what was deleted leaves no byte.

One percent of the products get another content vector; then one percent of the products and of the consumers vanish,
with their interactions, so that states of others change too. The oracle compares the newest rows by their values, not
by the versions that decide. Bytes are searched in SQLite's file and in everything Redis holds.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd

from benchmarks.lookup import AS_OF, LookupConfig, make_world, write_world
from benchmarks.proofs import Proof
from benchmarks.redis_server import redis_server
from features.rows import CONSUMER_FEATURES, EVENT_TIMESTAMP, PRODUCT_CONTENT, PRODUCT_FEATURES, VERSION, VIEWS, View
from features.settings import HostSettings
from features.states import consumer_states, product_states
from features.store import FeatureRows
from features.types import Interactions, Snapshot

KEYS = ("consumer_id", "product_id")


def prove(config: LookupConfig | None = None) -> Proof:
    """Tries both stores; Redis only where `redis-server` is installed, as a server of its own."""
    config = config or LookupConfig()
    with tempfile.TemporaryDirectory() as home:
        figures = {"sqlite": _tried(config, Path(home), {}, _file_bytes)}
    if shutil.which("redis-server"):
        with tempfile.TemporaryDirectory() as home, redis_server(Path(home)) as server:
            environment = {"COUNTERPOINT_ONLINE_STORE": "redis", "COUNTERPOINT_REDIS": server.address}
            figures["redis"] = _tried(config, Path(home), environment, _redis_bytes)
    kept = all(it["written"] == it["written_by_the_oracle"] and not it["ids_found"] for it in figures.values())
    promise = "only rows that changed are written online, and deleted ids leave no byte"
    return Proof(promise, kept, {"config": asdict(config), "load_before": round(os.getloadavg()[0], 1), **figures})


def _tried(
    config: LookupConfig, home: Path, environment: dict[str, str], stored: Callable[[HostSettings], bytes]
) -> dict[str, object]:
    store = FeatureRows(HostSettings.from_environment({"COUNTERPOINT_HOME": str(home), **environment}))
    snapshot, seconds, written = _named(make_world(config)), dict[str, float](), list[int]()
    expected, before = [0], dict[str, pd.DataFrame]()
    write_world(store.lake, snapshot, config)
    store.apply()

    def fill(step: str) -> None:
        """Fills the store, and has the oracle count the newest rows that are not as they were."""
        started = time.perf_counter()
        report = store.materialize(AS_OF)
        seconds[step] = round(time.perf_counter() - started, 2)
        now = {view.name: _newest(store, view) for view in VIEWS}
        expected.append(sum(_changed(before[name], rows) for name, rows in now.items()) if before else 0)
        written.append(sum(item.n_written for item in report) if before else 0)
        before.update(now)

    fill("everything")
    fill("nothing")
    content = store.lake.read(PRODUCT_CONTENT.table)
    chosen = content.index[::100]
    content.loc[chosen, VERSION] = "2"
    content.loc[chosen, "vector"] = content.loc[chosen, "vector"].map(lambda vector: vector + 1)
    store.lake.write(PRODUCT_CONTENT.table, content, "changed")
    fill("one percent of the contents")
    gone = _take_out(store, snapshot)
    assert all(name.encode() in stored(store.settings) for name in gone), "the search finds nothing at all"
    fill("one percent of products and consumers gone")
    raw = stored(store.settings)
    return {
        "seconds": seconds,
        "written": written,
        "written_by_the_oracle": expected[1:],
        "deleted_ids": len(gone),
        "ids_found": sum(name.encode() in raw for name in gone),
    }


def _named(snapshot: Snapshot) -> Snapshot:
    """Ids that no random bytes look like."""
    frame, catalog = snapshot.interactions.frame, snapshot.catalog
    frame = frame.assign(**{key: f"{key}-of-" + frame[key] + "-exactly" for key in KEYS})
    products, attributes = (
        table.assign(product_id="product_id-of-" + table["product_id"] + "-exactly")
        for table in (catalog.products, catalog.attributes)
    )
    return replace(
        snapshot, interactions=Interactions(frame), catalog=replace(catalog, products=products, attributes=attributes)
    )


def _take_out(store: FeatureRows, snapshot: Snapshot) -> list[str]:
    """Takes every hundredth product and consumer out of the world and so out of every table; returns their ids."""
    frame, catalog = snapshot.interactions.frame, snapshot.catalog
    gone = {key: sorted(frame[key].unique())[::100] for key in KEYS}
    frame = frame[~frame["consumer_id"].isin(gone["consumer_id"]) & ~frame["product_id"].isin(gone["product_id"])]
    products, attributes = (
        table[~table["product_id"].isin(gone["product_id"])] for table in (catalog.products, catalog.attributes)
    )
    left = replace(
        snapshot,
        interactions=Interactions(frame.reset_index(drop=True)),
        catalog=replace(catalog, products=products, attributes=attributes),
    )
    states = {CONSUMER_FEATURES.table: consumer_states(left), PRODUCT_FEATURES.table: product_states(left)}
    for view in VIEWS:
        table = states[view.table] if view.table in states else store.lake.read(view.table)
        for key in view.keys:
            table = table[~table[key].isin(gone[key])]
        store.lake.write(view.table, table.reset_index(drop=True), "left")
    return [*gone["consumer_id"], *gone["product_id"]]


def _newest(store: FeatureRows, view: View) -> pd.DataFrame:
    """The newest row of each id without its version, as text."""
    table = (
        store.lake.read(view.table)
        .sort_values(EVENT_TIMESTAMP, kind="stable")
        .drop_duplicates([*view.keys], keep="last")
    )
    values = table.drop(columns=VERSION).set_index([*view.keys])
    return values.map(lambda value: str(value.tolist() if hasattr(value, "tolist") else value))


def _changed(before: pd.DataFrame, after: pd.DataFrame) -> int:
    kept = after.index.intersection(before.index)
    same = (before.loc[kept, list(after.columns)] == after.loc[kept]).all(axis=1)
    return len(after) - int(same.sum())


def _file_bytes(settings: HostSettings) -> bytes:
    return b"".join(path.read_bytes() for path in settings.feast.glob("online.db*"))


def _redis_bytes(settings: HostSettings) -> bytes:
    import redis

    client = redis.Redis(*settings.redis_url.split(":"))
    return b"".join(key + b"".join(client.hgetall(key).values()) for key in client.scan_iter(count=1000))
