"""How long feature lookups take: one consumer, many products and pairs online, past rows offline.

    python -m benchmarks.lookup                       # SQLite, a synthetic world of MovieLens-100K's size
    python -m benchmarks.lookup --online-store redis  # COUNTERPOINT_REDIS says where

Each time is wall clock around one call in one process; "assembled" includes turning the rows into arrays. The
world is made in a temporary folder from a fixed seed, with facets on every seventh state.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from features.assemble import consumer_block, cross, pair_block, product_block, training_set
from features.batch import CODE_WIDTH, CONTENT_WIDTH, N_FACETS
from features.lake import Lake
from features.settings import ONLINE_STORES, HostSettings
from features.states import EPOCH, consumer_states, product_states
from features.store import FeatureRows
from features.types import Catalog, Interactions, RatingScale, Snapshot

_log = logging.getLogger("benchmarks.lookup")
AS_OF = datetime(2025, 1, 1, tzinfo=UTC)
LIBRARIES = ("feast", "duckdb", "pyarrow", "pandas", "numpy", "redis")


@dataclass(frozen=True)
class LookupConfig:
    """Sizes of the world and of the reads."""

    online_store: str = "sqlite"
    n_consumers: int = 943
    n_products: int = 1682
    n_interactions: int = 100_000
    n_candidates: int = 100
    n_past_rows: int = 10_000
    n_training_rows: int = 80_000
    repeats: int = 200
    seed: int = 0


def measure(config: LookupConfig, home: Path) -> dict[str, object]:
    """Runs all reads in a new world under `home`; times in milliseconds unless a name says seconds."""
    snapshot = make_world(config)
    environment = {**os.environ, "COUNTERPOINT_HOME": str(home), "COUNTERPOINT_ONLINE_STORE": config.online_store}
    store = FeatureRows(HostSettings.from_environment(environment))
    start = time.perf_counter()
    write_world(store.lake, snapshot, config)
    written = time.perf_counter()
    store.apply()
    applied = time.perf_counter()
    store.materialize(AS_OF)
    materialized = time.perf_counter()
    result: dict[str, object] = {
        "states_and_tables_seconds": round(written - start, 2),
        "import_and_apply_seconds": round(applied - written, 2),
        "materialize_seconds": round(materialized - applied, 2),
    }
    return {**result, **_online(store, snapshot, config), **_offline(store, snapshot, config)}


def _online(store: FeatureRows, snapshot: Snapshot, config: LookupConfig) -> dict[str, object]:
    ids = snapshot.catalog.products["product_id"].tolist()
    candidates = ids[: config.n_candidates]
    consumers = iter(np.random.default_rng(config.seed).choice(snapshot.interactions.frame["consumer_id"], 10_000))
    products = product_block(store.online_products(ids))

    def serve() -> None:
        consumer = consumer_block(store.online_consumers([next(consumers)]))
        cross(consumer, products, None, AS_OF)

    few = max(config.repeats // 5, 1)
    return {
        "consumer_read": _times(lambda: store.online_consumers([next(consumers)]), config.repeats),
        "consumer_assembled_and_crossed_with_all_products": _times(serve, config.repeats),
        "products_read": _times(lambda: store.online_products(candidates), few),
        "products_assembled": _times(lambda: product_block(store.online_products(candidates)), few),
        "pairs_assembled": _times(lambda: pair_block(store.online_pairs(next(consumers), candidates)), few),
    }


def _offline(store: FeatureRows, snapshot: Snapshot, config: LookupConfig) -> dict[str, object]:
    frame = snapshot.interactions.frame
    some = frame.sample(min(config.n_past_rows, len(frame)), random_state=config.seed)
    past = _times(lambda: training_set(store, some, snapshot.scale), 3)
    start = time.perf_counter()
    training_set(store, frame.iloc[: config.n_training_rows], snapshot.scale)
    return {
        "past_rows_assembled": past,
        "training_set_seconds": round(time.perf_counter() - start, 2),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _times(call: Callable[[], object], repeats: int) -> dict[str, float]:
    """Median, 99th percentile and slowest of the calls in ms, after one that is not counted."""
    call()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - start))
    p50, p99, slowest = np.percentile(taken, [50, 99, 100])
    return {"p50_ms": round(p50, 3), "p99_ms": round(p99, 3), "max_ms": round(slowest, 3), "calls": repeats}


def make_world(config: LookupConfig) -> Snapshot:
    """Interactions of few busy and many quiet consumers and products, seconds apart over a year."""
    rng = np.random.default_rng(config.seed)
    n_drawn = 2 * config.n_interactions
    frame = pd.DataFrame(
        {
            "consumer_id": (config.n_consumers * rng.beta(1, 3, n_drawn)).astype(int),
            "product_id": (config.n_products * rng.beta(1, 3, n_drawn)).astype(int),
        }
    )
    frame = frame.drop_duplicates().head(config.n_interactions).astype(str).reset_index(drop=True)
    seconds = np.sort(rng.integers(0, 31_536_000, len(frame)))
    frame["timestamp"] = (pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(seconds, "s")).as_unit("us")
    frame["rating"] = rng.integers(1, 6, len(frame)).astype(float)
    frame = frame.assign(row=np.arange(len(frame)), review=None)
    ids = [str(n) for n in range(config.n_products)]
    products = pd.DataFrame({"product_id": ids, "title": ids, "description": ""})
    attributes = pd.DataFrame({"product_id": ids, "name": "genre", "value": "Drama"})
    return Snapshot(Interactions(frame), Catalog(products, attributes), RatingScale(), AS_OF)


def write_world(lake: Lake, snapshot: Snapshot, config: LookupConfig) -> None:
    """All feature tables: real states, and random vectors where a model would have made them."""
    rng = np.random.default_rng(config.seed)

    def vectors(n_rows: int, width: int) -> list[np.ndarray]:
        return list(rng.normal(size=(n_rows, width)).astype(np.float32))

    def facets(states: pd.DataFrame, key: str) -> pd.DataFrame:
        rows = states.loc[states["n_interactions"] > 0, [key, "event_timestamp"]].iloc[::7].reset_index(drop=True)
        codes, weights = vectors(len(rows), 2 * N_FACETS * CODE_WIDTH), vectors(len(rows), 2 * N_FACETS)
        return rows.assign(version=rows.index.astype(str), codes=codes, weights=weights)

    consumers, products = consumer_states(snapshot), product_states(snapshot)
    content = snapshot.catalog.products[["product_id"]].assign(event_timestamp=EPOCH, version="1")
    pairs = consumers[["consumer_id", "event_timestamp"]].iloc[:1000].reset_index(drop=True)
    pairs = pairs.assign(product_id=snapshot.catalog.products["product_id"].iloc[0], version=pairs.index.astype(str))
    tables = {
        "consumer": consumers,
        "product": products,
        "product_content": content.assign(vector=vectors(len(content), CONTENT_WIDTH)),
        "consumer_facets": facets(consumers, "consumer_id"),
        "product_facets": facets(products, "product_id"),
        "pair_codes": pairs.assign(codes=vectors(len(pairs), 2 * CODE_WIDTH)),
    }
    for name, table in tables.items():
        lake.write(f"features/{name}", table, made_from=f"benchmark seed {config.seed}")


def main() -> None:
    """Command line: measures and writes one JSON file."""
    parser = argparse.ArgumentParser(description="Measures feature lookups.")
    parser.add_argument("--online-store", choices=ONLINE_STORES, default="sqlite")
    parser.add_argument("--repeats", type=int, default=LookupConfig.repeats)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/lookup.json"))
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    load = os.getloadavg()[0]  # above the number of cores, the times are those of a busy host
    config = LookupConfig(online_store=given.online_store, repeats=given.repeats)
    with tempfile.TemporaryDirectory() as home:
        times = measure(config, Path(home))
    host = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load_before": round(load, 1),
    }
    versions = {name: version(name) for name in LIBRARIES}
    result = {"config": asdict(config), "host": host, "versions": versions, "times": times}
    given.out.write_text(json.dumps(result, indent=2) + "\n")
    _log.info("%s\nwritten to %s", json.dumps(times, indent=2), given.out)


if __name__ == "__main__":
    main()
