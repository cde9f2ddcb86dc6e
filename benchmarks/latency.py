"""Latency of a running service over HTTP at a given rate of requests.

    python benchmarks/latency.py http://127.0.0.1:3000 --rate 20 --seconds 30 --name ml-100k

Requests start on a fixed clock, whether or not earlier ones were answered, and a latency counts from when its
request was due: a service that falls behind cannot hide it by slowing the clients down. Ids come from the service:
what it recommends to a visitor, and consumers named on the command line. The result is one JSON file.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import numpy as np

RESULTS = Path(__file__).parent / "results"
WARM_UP = 10
N_CANDIDATES = 100


@dataclass(frozen=True)
class Config:
    """What was measured."""

    url: str
    rate: float
    seconds: float
    consumer_ids: tuple[str, ...]
    k: int


@dataclass(frozen=True)
class Latency:
    """Of one endpoint: milliseconds from due to answered, over the answers with 200."""

    endpoint: str
    n_requests: int
    n_failed: int
    n_candidates: int
    """Products scored for one answer, as far as the client knows: 0 where the service takes all it has."""
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    answers_per_second: float


async def measure(config: Config) -> tuple[str, list[Latency]]:
    """The served release and the latency of `/v1/score` with 100 candidates and of `/v1/recommend`."""
    async with httpx.AsyncClient(base_url=config.url, timeout=60) as client:
        first = await client.post("/v1/recommend", json={"k": N_CANDIDATES})
        first.raise_for_status()
        product_ids = [item["product_id"] for item in first.json()["items"]]
        asked: dict[str, list[dict[str, Any]]] = {
            "/v1/score": [{"consumer_id": it, "product_ids": product_ids} for it in config.consumer_ids],
            "/v1/recommend": [{"consumer_id": it, "k": config.k} for it in config.consumer_ids],
        }
        latencies = [await measure_endpoint(client, path, bodies, config) for path, bodies in asked.items()]
        return first.json()["release_id"], latencies


async def measure_endpoint(
    client: httpx.AsyncClient, path: str, bodies: Sequence[dict[str, Any]], config: Config
) -> Latency:
    """Sends requests on the clock, the bodies in turn."""
    for n in range(WARM_UP):
        await client.post(path, json=bodies[n % len(bodies)])
    n_requests = int(config.rate * config.seconds)
    with unpaused():
        start = time.perf_counter()
        calls = [timed(client, path, bodies[n % len(bodies)], start + n / config.rate) for n in range(n_requests)]
        times = np.array(await asyncio.gather(*calls))
        wall = time.perf_counter() - start
    good = times[~np.isnan(times)] * 1000
    if not len(good):
        raise SystemExit(f"None of {n_requests} requests to {path} was answered with 200.")
    p50, p90, p99 = (round(float(np.percentile(good, q)), 2) for q in (50, 90, 99))
    n_failed = n_requests - len(good)
    n_candidates = len(bodies[0].get("product_ids", ()))
    worst, throughput = round(float(good.max()), 2), round(len(good) / wall, 2)
    return Latency(path, n_requests, n_failed, n_candidates, p50, p90, p99, worst, throughput)


@contextmanager
def unpaused() -> Iterator[None]:
    """Keeps the client's own garbage collection, a pause of 0.1 s and more, out of what is measured."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


async def timed(client: httpx.AsyncClient, path: str, body: dict[str, Any], due: float) -> float:
    """Seconds from when a request was due until it was answered; NaN if it failed."""
    await asyncio.sleep(max(0.0, due - time.perf_counter()))
    try:
        answer = await client.post(path, json=body)
    except httpx.HTTPError:
        return float("nan")
    return time.perf_counter() - due if answer.status_code == 200 else float("nan")


def machine() -> dict[str, Any]:
    """Facts about where it was measured; client and service share the machine if the URL is loopback."""
    cpu = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "cpu": cpu or platform.processor(),
        "cores": os.cpu_count(),
        "load": load,
        "system": platform.platform(),
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def commit() -> str:
    """The commit, with `-dirty` if the working tree differs from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    done = subprocess.run(command, cwd=RESULTS.parent, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def parse(arguments: Sequence[str]) -> tuple[Config, str]:
    """Config and name from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=30.0, help="for each endpoint")
    parser.add_argument("--consumers", default="1,2,3,4,5", help="ids, separated by commas")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--name", default="latency")
    given = parser.parse_args(arguments)
    consumer_ids = tuple(given.consumers.split(","))
    return Config(given.url, given.rate, given.seconds, consumer_ids, given.k), given.name


def main(arguments: Sequence[str]) -> Path:
    """Measures and writes `benchmarks/results/<name>.json`."""
    config, name = parse(arguments)
    release_id, latencies = asyncio.run(measure(config))
    versions = {it: version(it) for it in ("bentoml", "feast", "torch", "numpy", "pydantic", "httpx")}
    result = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "release_id": release_id,
        "config": asdict(config),
        "latency": [asdict(it) for it in latencies],
        "machine": machine(),
        "versions": {"python": platform.python_version(), **versions},
    }
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path


if __name__ == "__main__":
    sys.stdout.write(f"{main(sys.argv[1:])}\n")
