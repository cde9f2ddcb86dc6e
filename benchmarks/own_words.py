"""What facets in a request's own words cost: the first of a process, which awaits the encoder's weights, and later.

A service that has shown somebody's tastes reads the weights at once; `PAUSE` seconds later, the time in which somebody
words a taste, they should be there.

    COUNTERPOINT_HOME=.counterpoint/demo python -m benchmarks.own_words

Asks a server of its own, over HTTP, one request after the other. Writes `benchmarks/results/serving/own_words.json`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import typer

from benchmarks.record import write_result
from counterpoint.demo import busiest_consumer
from counterpoint.server import running_service
from features.settings import HostSettings

N_REQUESTS = 100
K = 10
PAUSE = 10.0


def main() -> None:
    """Measures and writes the file."""
    from flows.workspace import prepare_environment

    settings = HostSettings.from_environment()
    prepare_environment(settings)
    asked = {"consumer_id": busiest_consumer(settings), "k": K}
    with tempfile.TemporaryDirectory() as folder, running_service(settings, Path(folder) / "service.log") as url:
        _seconds(url, [asked] * 10)  # the model, too, is slower at first
        stored = _seconds(url, [asked] * N_REQUESTS)
        (first,) = _seconds(url, [_saying(asked, "first")])
        own = _seconds(url, [_saying(asked, f"number {n}") for n in range(N_REQUESTS)])
    with tempfile.TemporaryDirectory() as folder, running_service(settings, Path(folder) / "service.log") as url:
        _seconds(url, [asked] * 10)
        _look(url, asked["consumer_id"])
        time.sleep(PAUSE)
        (expected,) = _seconds(url, [_saying(asked, "expected")])
    figures = {
        "k": K,
        "requests": N_REQUESTS,
        "first_seconds": round(first, 3),
        "pause_seconds": PAUSE,
        "first_after_tastes_seconds": round(expected, 3),
        "stored": _percentiles(stored),
        "own_words": _percentiles(own),
    }
    path = write_result("serving/own_words", figures)
    typer.echo(path.read_text(encoding="utf-8"))


def _saying(asked: dict[str, Any], words: str) -> dict[str, Any]:
    text = f"You like a cable that is long and comes off, {words}."
    return {**asked, "new_facets": [{"stance": "for", "text": text}]}


def _look(url: str, consumer_id: str) -> None:
    """Asks for somebody's tastes, as the console does when they are chosen."""
    import httpx

    httpx.get(f"{url}/v1/consumers/{consumer_id}", timeout=60).raise_for_status()


def _seconds(url: str, requests: Iterable[dict[str, Any]]) -> list[float]:
    """How long each request took. Raises if one was not answered."""
    import httpx

    taken = []
    with httpx.Client(base_url=url, timeout=60) as client:
        for request in requests:
            started = time.perf_counter()
            client.post("/v1/recommend", json=request).raise_for_status()
            taken.append(time.perf_counter() - started)
    return taken


def _percentiles(seconds: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    return {"p50_ms": round(float(p50), 1), "p99_ms": round(float(p99), 1)}


if __name__ == "__main__":
    typer.run(main)
