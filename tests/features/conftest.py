"""A small world with everything a feature view can hold, and things that are missing, on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.batch import CODE_WIDTH, CONTENT_WIDTH, N_FACETS
from features.lake import Lake
from features.settings import HostSettings
from features.states import EPOCH, consumer_states, product_states
from features.types import Catalog, Interactions, RatingScale, Snapshot

START = pd.Timestamp("2024-01-01", tz="UTC")
AFTER = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class World:
    """A snapshot, and the settings of a host whose lake holds its feature tables."""

    snapshot: Snapshot
    settings: HostSettings

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.lake)


def make_snapshot(seed: int = 0) -> Snapshot:
    """6 consumers, 9 products (p8 unrated), 40 interactions at most, some at equal times, one without stars."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"consumer": rng.integers(0, 6, 40), "product": rng.integers(0, 8, 40)})
    frame = frame.drop_duplicates(ignore_index=True)
    rating = rng.integers(1, 6, len(frame)).astype(float)
    rating[3] = np.nan
    interactions = pd.DataFrame(
        {
            "row": np.arange(len(frame)),
            "consumer_id": [f"c{n}" for n in frame["consumer"]],
            "product_id": [f"p{n}" for n in frame["product"]],
            "timestamp": (START + pd.to_timedelta(np.arange(len(frame)) // 2, "h")).as_unit("us"),
            "rating": rating,
            "review": None,
        }
    )
    products = pd.DataFrame({"product_id": [f"p{n}" for n in range(9)], "title": "A film", "description": ""})
    attributes = pd.DataFrame(
        [("p0", "genre", "Sci-Fi"), ("p0", "year", "1999"), ("p1", "genre", "Drama")],
        columns=["product_id", "name", "value"],
    )
    consumers = pd.DataFrame(
        [("c0", "age", "25-34"), ("c0", "gender", "F"), ("c1", "gender", "M")], columns=["consumer_id", "name", "value"]
    )
    return Snapshot(Interactions(interactions), Catalog(products, attributes, consumers), RatingScale(), AFTER)


def _vectors(n_rows: int, width: int, seed: int) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).normal(size=(n_rows, width)).astype(np.float32))


def _with_facets(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    width = 2 * N_FACETS
    return frame.reset_index(drop=True).assign(
        version=[f"v{n}" for n in range(len(frame))],
        codes=_vectors(len(frame), width * CODE_WIDTH, seed),
        weights=_vectors(len(frame), width, seed + 1),
    )


def write_tables(lake: Lake, snapshot: Snapshot, with_texts: bool = True) -> None:
    """All six feature tables; `with_texts=False` leaves the facets and pair codes without rows."""
    consumers, products = consumer_states(snapshot), product_states(snapshot)
    keep = slice(None) if with_texts else slice(0)
    some_consumers = consumers.loc[consumers["consumer_id"] != "c5", ["consumer_id", "event_timestamp"]].iloc[::2]
    some_products = products.loc[products["n_interactions"] > 1, ["product_id", "event_timestamp"]]
    ids = snapshot.catalog.products["product_id"].iloc[1:]  # p0 has no content vector
    content = pd.DataFrame({"product_id": ids, "event_timestamp": EPOCH, "version": "v"})
    pairs = pd.DataFrame({"consumer_id": ["c0", "c1"], "product_id": ["p2", "p8"], "event_timestamp": [START] * 2})
    pairs["event_timestamp"] = pairs["event_timestamp"].dt.as_unit("us")
    pairs = pairs.assign(version=["a", "b"], codes=_vectors(2, 2 * CODE_WIDTH, 5))
    lake.write("features/consumer", consumers, "test")
    lake.write("features/product", products, "test")
    lake.write("features/product_content", content.assign(vector=_vectors(len(ids), CONTENT_WIDTH, 2)), "test")
    lake.write("features/consumer_facets", _with_facets(some_consumers, 3).iloc[keep], "test")
    lake.write("features/product_facets", _with_facets(some_products, 4).iloc[keep], "test")
    lake.write("features/pair_codes", pairs.iloc[keep], "test")


def make_settings(home: Path, **environment: str) -> HostSettings:
    return HostSettings.from_environment({"COUNTERPOINT_HOME": str(home), **environment})


@pytest.fixture
def snapshot() -> Snapshot:
    return make_snapshot()


@pytest.fixture
def make_world(tmp_path: Path) -> Callable[..., World]:
    """Makes a world of its own: `make_world(with_texts=False, COUNTERPOINT_ONLINE_STORE="redis")`."""

    def make(snapshot: Snapshot | None = None, with_texts: bool = True, **environment: str) -> World:
        world = World(snapshot or make_snapshot(), make_settings(tmp_path, **environment))
        write_tables(world.lake, world.snapshot, with_texts)
        return world

    return make


@pytest.fixture
def redis_address() -> str:
    """Database 9 of the Redis on loopback, emptied before and after; skips where there is none."""
    import redis

    client = redis.Redis("127.0.0.1", 6379, db=9, socket_connect_timeout=1)
    try:
        client.flushdb()
    except redis.exceptions.ConnectionError:
        pytest.skip("no Redis on 127.0.0.1:6379; start one: redis-server --port 6379 --save '' --daemonize yes")
    return "127.0.0.1:6379,db=9"
