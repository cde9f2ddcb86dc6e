"""Memory and latency of the service under a steady load, minute by minute.

    python -m benchmarks.soak [--minutes N] [--home DIR]

Half of every minute asks for recommendations and half for scores of 100 products, on a fixed clock
(`benchmarks/latency.py`). Client and service share the machine. Writes `benchmarks/results/serving/soak.json` and
`soak.png`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.large_home import large_home
from benchmarks.latency import Config, Latency, measure_endpoint
from benchmarks.record import write_result
from benchmarks.serving import CANDIDATES, N_REQUESTS
from features.settings import HostSettings

WARM_MINUTES = 5
"""Until then caches fill; growth is told from there on."""


@dataclass(frozen=True)
class Minute:
    """What was seen of one minute."""

    memory_mb: float
    """Resident, of all processes of the service, at its end."""
    recommend: Latency
    score: Latency


def main(
    minutes: Annotated[int, typer.Option(help="How long.")] = 60,
    rate: Annotated[float, typer.Option(help="Requests a second.")] = 10.0,
    home: Annotated[str, typer.Option(help="A home with a live release; by default one is made.")] = "",
) -> None:
    """Measures and writes the files."""
    with large_home(home) as settings:
        seen = _measured(settings, minutes, rate)
    told = figures(seen)
    path = write_result("serving/soak", {"rate": rate, **told, "minutes": [asdict(it) for it in seen]})
    _draw(seen, path.with_suffix(".png"))
    typer.echo(told)


def figures(seen: Sequence[Minute]) -> dict[str, Any]:
    """How much memory grows once warm, in megabytes per thousand answers, and whether any request failed."""
    warm = list(seen[min(WARM_MINUTES, len(seen) // 2) :])
    answers = np.cumsum([it.recommend.n_requests + it.score.n_requests for it in warm])
    memory = np.array([it.memory_mb for it in warm])
    slope = np.polyfit(answers / 1000, memory, 1)[0] if len(warm) > 1 else float("nan")
    return {
        "n_requests": sum(it.recommend.n_requests + it.score.n_requests for it in seen),
        "n_failed": sum(it.recommend.n_failed + it.score.n_failed for it in seen),
        "memory_mb_warm": float(memory[0]),
        "memory_mb_last": float(memory[-1]),
        "growth_mb_per_1000": round(float(slope), 3),
    }


def _measured(settings: HostSettings, minutes: int, rate: float) -> list[Minute]:
    from counterpoint.server import running_service
    from features.lake import Lake

    interactions = Lake(settings.lake).read("interactions")
    consumer_ids = sorted(set(interactions["consumer_id"]))[:N_REQUESTS]
    product_ids = sorted(set(interactions["product_id"]))[:CANDIDATES]
    with running_service(settings, settings.home / "serving.log") as url:
        return asyncio.run(_minutes(url, consumer_ids, product_ids, minutes, rate))


async def _minutes(
    url: str, consumer_ids: Sequence[str], product_ids: list[str], minutes: int, rate: float
) -> list[Minute]:
    import httpx

    config = Config(url, rate, 30.0, tuple(consumer_ids), 10)
    recommending = [{"consumer_id": it} for it in consumer_ids]
    scoring = [{"consumer_id": it, "product_ids": product_ids} for it in consumer_ids]
    seen = []
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        for minute in range(minutes):
            recommend = await measure_endpoint(client, "/v1/recommend", recommending, config)
            score = await measure_endpoint(client, "/v1/score", scoring, config)
            seen.append(Minute(_memory_mb(), recommend, score))
            typer.echo(f"minute {minute + 1} of {minutes}: {seen[-1].memory_mb} MB", err=True)
    return seen


def _memory_mb() -> float:
    """Of the processes that this one started."""
    import psutil

    return round(sum(it.memory_info().rss for it in psutil.Process().children(recursive=True)) / 2**20, 1)


def _draw(seen: Sequence[Minute], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 3.6), layout="constrained")
    memory, latency = figure.subplots(2, sharex=True)
    minutes = np.arange(1, len(seen) + 1)
    memory.plot(minutes, [it.memory_mb for it in seen], color="#30343b")
    memory.set_ylim(bottom=0)
    memory.set_ylabel("MB resident")
    for name, color in (("recommend", "#1f6f54"), ("score", "#4f7cac")):
        taken: list[Latency] = [getattr(it, name) for it in seen]
        latency.plot(minutes, [it.p50_ms for it in taken], color=color, label=f"{name}, median")
        latency.plot(minutes, [it.p99_ms for it in taken], color=color, alpha=0.5, linestyle=":", label="99 %")
    latency.set_ylim(bottom=0)
    latency.set_ylabel("ms")
    latency.set_xlabel("minute")
    latency.legend(frameon=False, ncols=4, fontsize=8)
    for panel in (memory, latency):
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120, metadata={"Software": None})


if __name__ == "__main__":
    typer.run(main)
