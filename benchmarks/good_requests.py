"""Good requests on a fixed clock, beside whatever a proof does to the service. Shared by the proofs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np

from benchmarks.latency import unpaused
from features.settings import HostSettings

N_CANDIDATES, N_CONSUMERS = 100, 50


@dataclass(frozen=True)
class Served:
    """One good request: when it was due, how long it took, and what was answered; None if nothing was."""

    due: float
    milliseconds: float
    answer: dict[str, Any] | None


@dataclass
class Good:
    """Good requests on a fixed clock; a latency counts from when its request was due."""

    url: str
    bodies: list[dict[str, Any]]
    rate: float
    served: list[Served] = field(default_factory=list)

    @property
    def n_failed(self) -> int:
        """Requests that got no answer, or an error."""
        return sum(it.answer is None for it in self.served)

    @property
    def milliseconds(self) -> list[float]:
        """Of those that were answered."""
        return [it.milliseconds for it in self.served if it.answer is not None]

    def during(self, what: Callable[[], object]) -> Good:
        """Sends requests while `what` runs in another thread; gives itself."""
        other = threading.Thread(target=what)
        with unpaused():
            other.start()
            asyncio.run(self._send(other.is_alive))
            other.join()
        return self

    async def _send(self, go_on: Callable[[], bool]) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:
            started, calls = time.perf_counter(), list[asyncio.Task[None]]()
            while go_on():
                due = started + len(calls) / self.rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                calls.append(asyncio.create_task(self._one(client, self.bodies[len(calls) % len(self.bodies)], due)))
            await asyncio.gather(*calls)

    async def _one(self, client: httpx.AsyncClient, body: dict[str, Any], due: float) -> None:
        try:
            answer = await client.post("/v1/score", json=body)
            content = answer.json() if answer.status_code == 200 else None
        except httpx.HTTPError:
            content = None
        self.served.append(Served(due, (time.perf_counter() - due) * 1000, content))


def good_bodies(settings: HostSettings) -> list[dict[str, Any]]:
    """The scores of the same products for one consumer after the other."""
    from features.lake import Lake

    consumer_ids, product_ids = (
        Lake(settings.lake).read(f"features/{kind}")[f"{kind}_id"].astype(str).unique()
        for kind in ("consumer", "product")
    )
    return [{"consumer_id": it, "product_ids": [*product_ids[:N_CANDIDATES]]} for it in consumer_ids[:N_CONSUMERS]]


def p99(milliseconds: list[float]) -> float:
    """Their 99th percentile."""
    return round(float(np.percentile(milliseconds, 99)), 1)
