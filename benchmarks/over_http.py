"""Latency of servers of their own, asked over HTTP on a fixed clock: the service, and the least that could answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.bare_server import running_bare_server
from benchmarks.latency import Config, measure_endpoint
from counterpoint.server import running_service
from features.settings import HostSettings

RATES = (20.0, 50.0)
"""Scorings a second."""
RECOMMENDATIONS = 10.0
"""A second."""

Bodies = list[dict[str, Any]]
Question = tuple[str, Bodies, float]
"""Path, bodies in turn, requests a second."""


@dataclass(frozen=True)
class Asked:
    """What was seen of one server."""

    ready_seconds: float
    """From its start until it is ready."""
    latencies: list[dict[str, Any]]


def ask_service(
    settings: HostSettings, consumer_ids: Sequence[str], product_ids: Sequence[str], seconds: float, workers: int
) -> Asked:
    """Scores of some products, and recommendations with and without reasons, of so many processes."""
    recommending: list[Question] = [
        ("/v1/recommend", [{"consumer_id": it, **more} for it in consumer_ids], RECOMMENDATIONS)
        for more in ({}, {"explanations": "none"})
    ]
    server = running_service(settings, settings.home / "serving.log", workers=workers)
    return _asked(server, [*_scoring(consumer_ids, product_ids), *recommending], seconds)


def ask_bare_server(
    settings: HostSettings, consumer_ids: Sequence[str], product_ids: Sequence[str], seconds: float
) -> Asked:
    """The same scores of `benchmarks/bare_server.py`."""
    return _asked(running_bare_server(settings), _scoring(consumer_ids, product_ids), seconds)


def _scoring(consumer_ids: Sequence[str], product_ids: Sequence[str]) -> list[Question]:
    bodies: Bodies = [{"consumer_id": it, "product_ids": list(product_ids)} for it in consumer_ids]
    return [("/v1/score", bodies, rate) for rate in RATES]


def _asked(server: AbstractContextManager[str], questions: Sequence[Question], seconds: float) -> Asked:
    """A server that falls behind the clock shows it: see `benchmarks/latency.py`."""
    started = time.perf_counter()
    with server as url:
        ready = round(time.perf_counter() - started, 2)
        return Asked(ready, asyncio.run(_latencies(url, questions, seconds)))


async def _latencies(url: str, questions: Sequence[Question], seconds: float) -> list[dict[str, Any]]:
    import httpx

    measured = []
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        for path, bodies, rate in questions:
            latency = await measure_endpoint(client, path, bodies, Config(url, rate, seconds, (), 0))
            measured.append({"rate": rate, "explanations": bodies[0].get("explanations", ""), **asdict(latency)})
    return measured
