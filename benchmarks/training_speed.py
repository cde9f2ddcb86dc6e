"""How fast the network of LR-Recsys trains, whether its cost is linear in the rows, and how much memory it takes.

    python -m benchmarks.training_speed

Rows are synthetic, in the numbers of ML-100K: 943 consumers, 1,682 products, histories of 20, and one facet per stance
of everybody. RecBole cannot be installed beside the pinned libraries, so the peer is a plain DeepFM (Guo et al., IJCAI
2017) written here, with as many fields of the same width, the same layers and batches. Processor time of the best epoch
counts, since other work shares the machine. Writes `benchmarks/results/lr_recsys/training-speed.json`.
"""

from __future__ import annotations

import os
import resource
import time
from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.record import write_result
from features.batch import (
    CODE_WIDTH,
    CONTENT_WIDTH,
    HISTORY_LENGTH,
    N_FACETS,
    ConsumerBlock,
    FeatureBatch,
    Indexed,
    PairBlock,
    ProductBlock,
    TrainingSet,
    tuples,
)
from models.backbones.collaborative import CollaborativeConfig
from models.backbones.fusion import BACKENDS
from models.base import RunContext
from models.methods.lr_recsys import FIELDS, LRRecsys, LRRecsysConfig
from models.testing import SCALE, absent, training_set
from models.training import LoopSettings, fit_epochs, seeded

N_CONSUMERS, N_PRODUCTS, N_KNOWN = 943, 1682, 10
GROUND = CollaborativeConfig(rank=2, side_rank=8, chains=1, sweeps=4, burn_in=2, samples=2, folds=2, starts=(0.3,))
"""As small as can be: what the network starts from does not change what it costs."""


def main(
    rows: Annotated[int, typer.Option(help="Rows of the comparison of back ends.")] = 10_000,
    sizes: Annotated[list[int] | None, typer.Option(help="Rows of the fits that show linearity.")] = None,
    epochs: Annotated[int, typer.Option(help="Epochs of each fit; the quickest counts.")] = 3,
    members: Annotated[int, typer.Option(help="Members trained together.")] = 5,
) -> None:
    """Measures and writes the file."""
    config = LRRecsysConfig(members=members, epochs=epochs, patience=epochs, collaborative=GROUND)
    figures: dict[str, Any] = {
        "members": members,
        "batch_size": config.batch_size,
        "hidden": config.hidden,
        "by_rows": [],
    }
    for n in sizes or [10_000, 30_000, 100_000]:
        seconds = epoch_seconds(config, synthetic(n))
        figures["by_rows"].append(
            {"rows": n, "seconds_per_epoch": round(seconds, 2), "peak_mb": _peak_mb(), **_speed(n * members, seconds)}
        )
    train = synthetic(rows)
    for width in (32, 16):
        figures[f"width_{width}"] = _at_width(config.model_copy(update={"embedding_size": width}), train)
    figures["load"] = os.getloadavg()
    path = write_result("lr_recsys/training-speed", figures)
    typer.echo(path.read_text())


def _at_width(config: LRRecsysConfig, train: TrainingSet) -> dict[str, Any]:
    """Rows and members per second of each back end with and without explanations, and of the peer before and after."""
    found: dict[str, Any] = {"peer_deepfm": [peer_speed(config, train)]}
    for backend in BACKENDS:
        for shown, rows in (("full", train), ("none", without_texts(train))):
            chosen = config.model_copy(update={"backend": backend, "explanations": shown})
            speed = _speed(len(train) * config.members, epoch_seconds(chosen, rows))
            found[f"{backend}_{shown}"] = speed["rows_per_second"]
    found["peer_deepfm"].append(peer_speed(config, train))
    return found


def epoch_seconds(config: LRRecsysConfig, train: TrainingSet) -> float:
    """Processor seconds of the quickest epoch of all members."""
    clock, method = _Clock(), LRRecsys(config, SCALE)
    run = RunContext(progress=clock)
    method.fit_from(method.ground(train, RunContext()), train, train.take(np.arange(64)), run)
    return clock.quickest()


def peer_speed(config: LRRecsysConfig, train: TrainingSet) -> int:
    """Rows per second of one plain DeepFM of the same sizes."""
    rng, clock = np.random.default_rng(0), _Clock()
    sizes = (N_CONSUMERS, N_PRODUCTS, *[100] * (len(FIELDS) - 2))
    fields = torch.from_numpy(np.stack([rng.integers(0, size, len(train)) for size in sizes], axis=1))
    liked = torch.from_numpy(train.liked)
    with seeded(0):
        network = PlainDeepFM(sizes, config)
        settings = LoopSettings(config.epochs, config.epochs, config.batch_size, config.learning_rate)

        def loss(rows: Tensor) -> Tensor:
            return functional.binary_cross_entropy_with_logits(network(fields[rows]), liked[rows])

        fit_epochs(network, len(train), loss, settings, RunContext(progress=clock))
    return _speed(len(train), clock.quickest())["rows_per_second"]


class PlainDeepFM(nn.Module):
    """Embeddings of categorical fields, first and second order, and a perceptron; nothing else."""

    shift: Tensor

    def __init__(self, sizes: tuple[int, ...], config: LRRecsysConfig) -> None:
        super().__init__()
        width = len(sizes) * config.embedding_size
        self.register_buffer("shift", torch.tensor([0, *np.cumsum(sizes)[:-1]]))
        self.vectors, self.first = nn.Embedding(sum(sizes), config.embedding_size), nn.Embedding(sum(sizes), 1)
        layers: list[nn.Module] = []
        for size in config.hidden:
            layers += [nn.Linear(width, size), nn.ReLU(), nn.Dropout(config.dropout)]
            width = size
        self.deep = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, fields: Tensor) -> Tensor:
        """Logits (B,) of fields (B, K)."""
        numbers = fields + self.shift
        z = self.vectors(numbers)  # (B, K, d)
        second = (z.sum(1).square() - z.square().sum(1)).sum(-1) / 2
        logits: Tensor = self.first(numbers).sum((1, 2)) + second + self.deep(z.flatten(1)).squeeze(1)
        return logits


class _Clock:
    """Processor time at the end of each epoch."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def __call__(self, what: str, done: int, total: int) -> None:
        self.ends.append(time.process_time())

    def quickest(self) -> float:
        return min(end - start for start, end in pairwise(self.ends))


def synthetic(n_rows: int, seed: int = 0) -> TrainingSet:
    """Random rows in the numbers of ML-100K, popular products more often than others."""
    rng = np.random.default_rng(seed)
    consumer, product = rng.integers(0, N_CONSUMERS, n_rows), _products(rng, (n_rows,))
    attributes = tuples([(f"genre={n % 19}", f"decade={n % 10}", f"year={n % 60}") for n in product])
    stars = rng.integers(1, 6, (n_rows, HISTORY_LENGTH)).astype(np.float32)
    histories = _named("p", _products(rng, (n_rows, HISTORY_LENGTH)))
    content = Indexed(rng.normal(size=(N_PRODUCTS, CONTENT_WIDTH)).astype(np.float32), product.astype(np.int32))
    numbers = rng.gamma(2.0, 1.0, (2, n_rows, 5)).astype(np.float32)
    batch = FeatureBatch(
        ConsumerBlock(
            _named("c", consumer),
            numbers[0],
            tuples([()] * n_rows),
            histories,
            stars,
            *_facets(rng, N_CONSUMERS, consumer),
        ),
        ProductBlock(_named("p", product), numbers[1], attributes, content, *_facets(rng, N_PRODUCTS, product)),
        PairBlock(absent(n_rows, 2, CODE_WIDTH)),
        np.full(n_rows, np.datetime64("2024-01-01T12:00:00", "us")),
    )
    return training_set(batch, rng.random(n_rows) < 0.5)


def without_texts(rows: TrainingSet) -> TrainingSet:
    """The same rows, of which no text is known."""
    codes, weights = absent(len(rows), 2, N_FACETS, CODE_WIDTH), absent(len(rows), 2, N_FACETS)
    who = replace(rows.batch.consumers, facet_codes=codes, facet_weights=weights)
    what = replace(rows.batch.products, facet_codes=codes, facet_weights=weights)
    return replace(rows, batch=replace(rows.batch, consumers=who, products=what))


def _facets(rng: np.random.Generator, n_entities: int, entity: NDArray[np.int64]) -> tuple[Indexed, Indexed]:
    """Codes and weights of one facet per stance."""
    codes = rng.normal(size=(n_entities, 2, N_FACETS, CODE_WIDTH)).astype(np.float32)
    weights = np.zeros((n_entities, 2, N_FACETS), np.float32)
    weights[:, :, 0] = 1
    return Indexed(codes, entity.astype(np.int32)), Indexed(weights, entity.astype(np.int32))


def _products(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.int64]:
    return np.asarray(N_PRODUCTS * rng.random(shape) ** 2, np.int64)


def _named(prefix: str, numbers: NDArray[np.int64]) -> NDArray[np.object_]:
    return np.char.add(prefix, numbers.astype(str)).astype(object)


def _speed(rows: int, seconds: float) -> dict[str, int]:
    return {"rows_per_second": round(rows / seconds)}


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    typer.run(main)
