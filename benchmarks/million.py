"""Latency of the service's answers over a million products, by stage, in this process.

    python -m benchmarks.million [--products N] [--repeats N]

A home of 10,000 products is made (`benchmarks/large_catalog.py`), and its product rows are repeated under new ids until
there are as many as asked for. The copies are strangers to the model: each is scored from what it is, which takes
longer than a known one. Product rows come from memory, since Feast takes minutes to give out a million; consumers are
read from the online store. Writes `benchmarks/results/serving/million.json`. Needs about 12 GB of memory.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from pydantic import BaseModel

from benchmarks.large_home import large_home
from benchmarks.record import write_result
from benchmarks.serving import CANDIDATES, N_REQUESTS, Recorder
from features.batch import PairBlock, ProductBlock
from features.settings import HostSettings
from services.sources import ConsumerNow, OnlineFeatures

if TYPE_CHECKING:
    from services.runtime import Runtime

REAL = 10_000


class Repeated:
    """The online store's features, with every product under many ids: `p7`, `p7+1`, `p7+2`, ..."""

    def __init__(self, features: OnlineFeatures, product_ids: Sequence[str]) -> None:
        self._features, self._products = features, features.products(product_ids)

    def consumer(self, consumer_id: str) -> ConsumerNow:
        """As the store has them."""
        return self._features.consumer(consumer_id)

    def products(self, product_ids: Sequence[str]) -> ProductBlock:
        """Those of the first ids over and over: row n is that of n modulo their number."""
        rows = np.arange(len(product_ids)) % len(self._products)
        return replace(self._products.take(rows), product_ids=np.array(product_ids, object))

    def pairs(self, consumer_id: str, product_ids: Sequence[str]) -> PairBlock:
        """As the store has them."""
        return self._features.pairs(consumer_id, product_ids)


def main(
    products: Annotated[int, typer.Option(help="How many there are.")] = 1_000_000,
    repeats: Annotated[int, typer.Option(help="How often each of the consumers asks.")] = 3,
) -> None:
    """Measures and writes the file."""
    with large_home(products=REAL) as settings:
        result = _measured(settings, products, repeats)
    typer.echo(write_result("serving/million", result).read_text(encoding="utf-8"))


def _measured(settings: HostSettings, n_products: int, repeats: int) -> dict[str, Any]:
    load, started = round(os.getloadavg()[0], 2), time.perf_counter()
    runtime = _runtime(settings, n_products)
    held = round(time.perf_counter() - started, 1)
    return {
        "products": len(runtime.product_ids),
        "held_seconds": held,
        "load_before": load,
        "stages": _stages(runtime, repeats),
        "memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 1),
        "load_after": round(os.getloadavg()[0], 2),
    }


def _runtime(settings: HostSettings, n_products: int) -> Runtime:
    """The live release's, with that many products."""
    from features.inbox import Inbox
    from models.release import ReleaseStore
    from models.released import open_artifact
    from services.explain import Reasons
    from services.recommend import artifact_folder
    from services.runtime import Runtime, titles_of

    store = ReleaseStore(settings.releases)
    release = store.live()
    if release is None:
        raise RuntimeError("The home that was made has no live release.")
    texts = store.read_texts(release)
    recommender = open_artifact(artifact_folder(release.artifact_tag), release).recommender
    real = titles_of(texts)
    ids = list(real)
    titles = {f"{ids[n % REAL]}+{n // REAL}" if n >= REAL else ids[n]: real[ids[n % REAL]] for n in range(n_products)}
    features = Repeated(OnlineFeatures(settings, release), ids)
    return Runtime(release, recommender, features, Reasons(texts), titles, Inbox(settings.inbox))


def _stages(runtime: Runtime, repeats: int) -> dict[str, dict[str, dict[str, float]]]:
    from opentelemetry import trace

    from services.schemas import RecommendRequest

    recorder, product_ids = Recorder(), runtime.product_ids[:: len(runtime.product_ids) // CANDIDATES]
    trace.set_tracer_provider(recorder.provider)
    consumer_ids = [f"c{n}" for n in range(N_REQUESTS)]
    asked: dict[str, Callable[[str], BaseModel]] = {
        f"score {CANDIDATES}": lambda it: runtime.score(it, product_ids[:CANDIDATES]),
        "recommend 10": lambda it: runtime.recommend(RecommendRequest(consumer_id=it)),
    }
    for ask in asked.values():
        ask(consumer_ids[0])
    return {name: recorder.stages([partial(ask, it) for it in consumer_ids * repeats]) for name, ask in asked.items()}


if __name__ == "__main__":
    typer.run(main)
