"""Latency of the service by stage, its throughput, and what the shortlist loses, over a catalog of 10,000 products.

    python -m benchmarks.serving [--home DIR | --redis]

Without a home one is made (`benchmarks/large_catalog.py`); with `--redis` its online store is a Redis server of the
benchmark's own, and the files are `redis.json` and `redis.png`. Larger catalogs: `benchmarks/million.py`.

Stages are the service's own (`services/stages.py`), timed in this process, one request after the other; HTTP is timed
against servers of their own with one process and with `--workers`, and against the least that could answer
(`benchmarks/bare_server.py`), with requests on a fixed clock (`benchmarks/latency.py`), all on one machine.
`overhead` is what the service takes for 100 candidates in this process over what its read of the store and its model
take by themselves; `together_ms` is what a batching server could gain at most.
Writes `benchmarks/results/serving/serving.json` and `stages.png`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from pydantic import BaseModel

from benchmarks.large_home import large_home
from benchmarks.over_http import ask_bare_server, ask_service
from benchmarks.record import write_result
from features.settings import HostSettings

if TYPE_CHECKING:
    from services.runtime import Runtime

N_REQUESTS = 100
CANDIDATES = 100
TOGETHER = (1, 2, 4, 8, 16)
"""Requests in one batch."""
KEEPS = (100, 200, 300, 500, 1_000, 2_000)
SCORING = f"score {CANDIDATES}"
FOLDER = "serving"


class Recorder:
    """The service's own spans, request by request, while it answers in this process."""

    def __init__(self) -> None:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self._spans, self.provider = InMemorySpanExporter(), TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._spans))

    def stages(self, requests: Sequence[Callable[[], BaseModel]]) -> dict[str, dict[str, float]]:
        """Milliseconds of each stage, of writing the answer, and of the whole: median and 99th percentile.

        `processor_p50_ms` of the whole differs from its median where other work shares the machine.
        """
        times: dict[str, list[float]] = {}
        busy = []
        for request in requests:
            self._spans.clear()
            started, started_busy = time.perf_counter(), time.thread_time()
            answer = request()
            answered = time.perf_counter()
            answer.model_dump_json()
            taken = {"whole": time.perf_counter() - started, "serialisation": time.perf_counter() - answered}
            busy.append((time.thread_time() - started_busy) * 1000)
            for span in self._spans.get_finished_spans():
                nanoseconds = (span.end_time or 0) - (span.start_time or 0)
                taken[span.name] = taken.get(span.name, 0.0) + nanoseconds / 1e9
            for name, seconds in taken.items():
                times.setdefault(name, []).append(seconds * 1000)
        summary = {}
        for name, all_of in times.items():
            p50, p99 = np.percentile(all_of, [50, 99])
            summary[name] = {"p50_ms": round(float(p50), 2), "p99_ms": round(float(p99), 2)}
        summary["whole"]["processor_p50_ms"] = round(float(np.median(busy)), 2)
        return summary


def main(
    home: Annotated[str, typer.Option(help="A home with a live release; by default one is made.")] = "",
    products: Annotated[int, typer.Option(help="Of the home that is made.")] = 10_000,
    seconds: Annotated[float, typer.Option(help="Of each HTTP measurement.")] = 20.0,
    workers: Annotated[int, typer.Option(help="Processes of the service that is asked over HTTP.")] = 2,
    redis: Annotated[bool, typer.Option("--redis", help="Keep the online rows in Redis instead of SQLite.")] = False,
) -> None:
    """Measures and writes the files."""
    if home and redis:
        raise typer.BadParameter("A home has its own online store: give --home or --redis.")
    with large_home(home, products, redis) as settings:
        result = _measured(settings, seconds, workers)
    path = write_result(f"{FOLDER}/{'redis' if redis else 'serving'}", result)
    _draw(result["stages"], path.with_name("redis.png" if redis else "stages.png"))
    typer.echo(path.read_text(encoding="utf-8"))


def _measured(settings: HostSettings, seconds: float, workers: int) -> dict[str, Any]:
    from features.lake import Lake
    from services.recommend import open_live

    started = time.perf_counter()
    runtime = open_live()
    opened = round(time.perf_counter() - started, 2)
    consumer_ids = sorted(set(Lake(settings.lake).read("interactions")["consumer_id"]))[:N_REQUESTS]
    load = round(os.getloadavg()[0], 2)
    stages, by_itself = _stages(runtime, consumer_ids), alone(runtime, consumer_ids)
    in_process = {
        "stages": stages,
        "alone_per_second": by_itself,
        "overhead": round(stages[SCORING]["whole"]["p50_ms"] / sum(1000 / it for it in by_itself.values()), 2),
        "together_ms": together(runtime, consumer_ids),
        "shortlist": shortlist_recall(runtime, consumer_ids),
    }
    product_ids = runtime.product_ids[:CANDIDATES]
    asked = {str(n): ask_service(settings, consumer_ids, product_ids, seconds, n) for n in sorted({1, workers})}
    asked["bare"] = ask_bare_server(settings, consumer_ids, product_ids, seconds)
    return {
        "online_store": settings.online_store,
        "products": len(runtime.product_ids),
        "opened_seconds": opened,
        "load_before": load,
        **in_process,
        "ready_seconds": {name: it.ready_seconds for name, it in asked.items()},
        "http": {name: it.latencies for name, it in asked.items()},
        "load_after": round(os.getloadavg()[0], 2),
    }


def _stages(runtime: Runtime, consumer_ids: Sequence[str]) -> dict[str, dict[str, dict[str, float]]]:
    from opentelemetry import trace

    from services.schemas import RecommendRequest

    recorder, product_ids = Recorder(), runtime.product_ids[:CANDIDATES]
    trace.set_tracer_provider(recorder.provider)
    asked: dict[str, Callable[[str], BaseModel]] = {
        SCORING: lambda it: runtime.score(it, product_ids),
        "recommend 10": lambda it: runtime.recommend(RecommendRequest(consumer_id=it)),
    }
    measured = {}
    for name, ask in asked.items():
        for it in consumer_ids[:5]:
            ask(it)
        measured[name] = recorder.stages([partial(ask, it) for it in consumer_ids])
    return measured


def alone(runtime: Runtime, consumer_ids: Sequence[str], seconds: float = 3.0) -> dict[str, float]:
    """What the parts would do by themselves, on one core: reads of the store, scorings of 100 products."""
    visit = runtime._visitors.visit(consumer_ids[0], None)
    rows = np.arange(min(CANDIDATES, len(runtime.product_ids)))
    return {
        "store_reads": _per_second(lambda n: runtime._features.consumer(consumer_ids[n % len(consumer_ids)]), seconds),
        "model_calls": _per_second(
            lambda n: runtime._held.score(visit.consumer.block, rows, None, visit.answered_at), seconds
        ),
    }


def together(runtime: Runtime, consumer_ids: Sequence[str], seconds: float = 2.0) -> dict[str, float]:
    """Milliseconds of the model per request where n consumers' 100 products are one batch, as a batching server would.

    "1, held" is how the service scores: products held, one consumer at a time. What batches wait for is not in it.
    """
    from features.assemble import absent_pairs, consumer_block
    from features.batch import FeatureBatch

    rows, at = np.arange(min(CANDIDATES, len(runtime.product_ids))), np.datetime64("now", "us")
    everybody = consumer_block(runtime._features._rows.online_consumers(consumer_ids[: max(TOGETHER)]))
    visit = runtime._visitors.visit(consumer_ids[0], None)
    held = _per_second(lambda _: runtime._held.score(visit.consumer.block, rows, None, visit.answered_at), seconds)
    taken = {"1, held": round(1000 / held, 2)}
    for n in TOGETHER:
        n_pairs = n * len(rows)
        batch = FeatureBatch(
            consumers=everybody.take(np.repeat(np.arange(n), len(rows))),
            products=runtime._shelf.products.take(np.tile(rows, n)),
            pairs=absent_pairs(n_pairs),
            as_of=np.full(n_pairs, at),
        )
        calls = _per_second(lambda _, batch=batch: runtime._recommender.score(batch), seconds)
        taken[str(n)] = round(1000 / calls / n, 2)
    return taken


def _per_second(do: Callable[[int], object], seconds: float) -> float:
    start, n = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        do(n)
        n += 1
    return round(n / (time.perf_counter() - start), 1)


def shortlist_recall(runtime: Runtime, consumer_ids: Sequence[str]) -> list[dict[str, float]]:
    """By how many products the guess keeps: how many of the exact 100 and 10 best are among them; no guess, no rows."""
    from services.reranking import best_first
    from services.shortlist import shortlist

    everything, found = np.arange(len(runtime.product_ids)), {keep: ([], []) for keep in KEEPS}  # type: ignore[var-annotated]
    for consumer_id in consumer_ids:
        visit = runtime._visitors.visit(consumer_id, None)
        exact = best_first(runtime._held.score(visit.consumer.block, everything, None, visit.answered_at))
        if (guess := runtime._held.guess(visit.consumer.block)) is None:
            return []
        for keep, (hundred, ten) in found.items():
            kept = shortlist(guess, keep, (), 10)
            hundred.append(np.isin(exact[:100], kept).mean())
            ten.append(np.isin(exact[:10], kept).mean())
    return [
        {"keep": keep, "recall_100": round(float(np.mean(a)), 4), "recall_10": round(float(np.mean(b)), 4)}
        for keep, (a, b) in found.items()
    ]


def _draw(stages: dict[str, dict[str, dict[str, float]]], path: Path) -> None:
    """Medians of the stages, one bar per request, beside the median of the whole."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 2.2), layout="constrained")
    panel = figure.subplots()
    colors = {"store": "#30343b", "candidates": "#7a7f87", "shortlist": "#b08b3e", "model": "#1f6f54"}
    colors |= {"order": "#9c4a3c", "reasons": "#4f7cac", "serialisation": "#c3c7cd"}
    for place, parts in enumerate(stages.values()):
        left = 0.0
        for name, color in colors.items():
            if name in parts:
                panel.barh(place, parts[name]["p50_ms"], left=left, color=color, height=0.5)
                left += parts[name]["p50_ms"]
    for name, color in colors.items():
        panel.barh(0, 0, color=color, label=name)
    panel.set_yticks(range(len(stages)), list(stages))
    panel.set_xlabel("ms, median of 100 requests one after the other")
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, ncols=4, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    figure.savefig(path, dpi=120, metadata={"Software": None})


if __name__ == "__main__":
    typer.run(main)
