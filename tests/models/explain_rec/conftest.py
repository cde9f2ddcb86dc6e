"""A small world of tastes: consumers like one genre or the other, their job says which, looks say what is good."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from features.batch import CONTENT_WIDTH, HISTORY_LENGTH, Indexed, TrainingSet, tuples
from features.visuals import VisualTable
from models.backbones.collaborative import CollaborativeConfig
from models.explain_rec.knowledge import KnowledgeConfig
from models.methods.explain_rec import ExplainRecConfig
from models.testing import plain_batch, training_set
from models.threads import torch_threads

N_PRODUCTS = 40
World = Callable[..., TrainingSet]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny networks lose more to threads than they gain."""
    with torch_threads(1):
        yield


@pytest.fixture(scope="session")
def toy() -> ExplainRecConfig:
    return ExplainRecConfig(
        hidden=16, embedding_size=8, dropout=0.0, batch_size=128, learning_rate=2e-2, epochs=8, patience=8,
        knowledge=KnowledgeConfig(prototypes=4, min_support=2, shrink=5.0),
        collaborative=CollaborativeConfig(rank=2, chains=1, sweeps=20, burn_in=8, samples=6, folds=2, starts=(0.3,)),
    )  # fmt: skip


@pytest.fixture(scope="session")
def looks() -> VisualTable:
    """Of every second product, known ones and new ones."""
    products = [f"{kind}{n}" for kind in ("p", "new") for n in range(0, N_PRODUCTS, 2)]
    values = [[beauty(product), 0.5] for product in products]
    return VisualTable(tuple(products), np.array(values, np.float32))


def beauty(product: str) -> float:
    """-1 or 1, which follows nothing else that is known of a product."""
    return 1.0 if int(product.removeprefix("new").removeprefix("p")) // 2 % 2 else -1.0


@pytest.fixture(scope="session")
def world() -> World:
    """Makes rows: (seed, consumers, events each, what is liked, prefix of products, whether there is a history, prefix
    of consumers). Products have a text where genres are liked.
    """

    def make(
        seed: int = 0, n_consumers: int = 24, n_events: int = 16, liked_for: str = "genre", prefix: str = "p",
        history: bool = True, who: str = "c",
    ) -> TrainingSet:  # fmt: skip
        rng = np.random.default_rng(seed)
        consumer = np.repeat(np.arange(n_consumers), n_events)
        product = np.concatenate([rng.permutation(N_PRODUCTS)[:n_events] for _ in range(n_consumers)])
        ids = np.array([f"{prefix}{n}" for n in product], object)
        batch = plain_batch(np.array([f"{who}{n}" for n in consumer], object), ids)
        moody = rng.random(len(product)) < 0.15  # so that probabilities are not all 0 or 1
        of_taste = (product % 2 == consumer % 2) ^ moody
        liked = of_taste if liked_for == "genre" else np.array([beauty(name) > 0 for name in ids])
        content = np.random.default_rng(5).normal(size=(N_PRODUCTS, CONTENT_WIDTH)).astype(np.float32)
        batch = replace(
            batch,
            consumers=replace(batch.consumers, attributes=tuples([told(n) for n in consumer])),
            products=replace(
                batch.products,
                attributes=tuples([(f"genre={'ab'[n % 2]}", "shelf=1") for n in product]),
                content=Indexed(content, np.where(liked_for == "genre", product, -1).astype(np.int32)),
            ),
        )
        rows = training_set(batch, liked)
        if history:
            fill_history(rows)
        return rows

    return make


@pytest.fixture(scope="session")
def domain(world: World) -> World:
    """As `world`, of a domain that shares texts and what is told of consumers, but no id and no attribute with others:
    (name, seed, whether anything is told of consumers).
    """

    def make(name: str, seed: int = 0, told: bool = True, **more: object) -> TrainingSet:
        rows = world(seed, prefix=f"{name}/p", who=f"{name}/c", **more)
        who, what = rows.batch.consumers, rows.batch.products
        own = tuples([tuple(f"{name}-{value}" for value in listed) for listed in what.attributes])
        who = who if told else replace(who, attributes=tuples([()] * len(rows)))
        return replace(rows, batch=replace(rows.batch, consumers=who, products=replace(what, attributes=own)))

    return make


def told(consumer: int) -> tuple[str, ...]:
    """The job goes with the taste, the gender likewise."""
    return (f"job={'xy'[consumer % 2]}", f"gender={'FM'[consumer % 2]}")


def fill_history(rows: TrainingSet) -> None:
    """Each row sees the events of its consumer before it, the latest first."""
    who, what = rows.batch.consumers, rows.batch.products
    for row in range(len(rows)):
        before = [n for n in range(row) if who.consumer_ids[n] == who.consumer_ids[row]][::-1][:HISTORY_LENGTH]
        who.history_ids[row, : len(before)] = what.product_ids[before]
        who.history_ratings[row, : len(before)] = rows.rating[before]
        who.numeric[row, 0] = len(before)
