"""The sequence backbones as baselines of their own, tuned on valid, against the peers' files."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np

from benchmarks.methods.lists import SPLIT, Judge, Ranked, means
from benchmarks.ranking import Events, read_events
from benchmarks.record import write_result
from features.settings import BenchFolders
from features.types import content_hash
from models.backbones.histories import Numbers
from models.backbones.sequences.expert import SequenceConfig, make_network
from models.backbones.sequences.ranking import HeldOut, log_chances
from models.backbones.sequences.training import train
from models.base import RunContext
from models.training import seeded

CHOSEN = {
    "ml-100k": {
        "sasrec": SequenceConfig(epochs=15, patience=15),
        "gru4rec": SequenceConfig(encoder="gru4rec", n_layers=1, epochs=15, patience=15),
        "bert4rec": SequenceConfig(encoder="bert4rec", epochs=40, patience=15),
        "diffurec": SequenceConfig(encoder="diffurec", epochs=15, patience=15),
    },
    "amazon-musical-instruments": {
        "sasrec": SequenceConfig(dropout=0.3, epochs=12, patience=12),
        "gru4rec": SequenceConfig(encoder="gru4rec", n_layers=1, dropout=0.3, epochs=12, patience=12),
        "bert4rec": SequenceConfig(encoder="bert4rec", dropout=0.3, epochs=40, patience=15),
        "diffurec": SequenceConfig(encoder="diffurec", dropout=0.3, epochs=12, patience=12),
    },
    "amazon-beauty": {"sasrec": SequenceConfig(dropout=0.3, epochs=12, patience=12)},
}
"""Settings by dataset. SASRec's were chosen on valid among few; the others take them over, and so does Beauty those of
the other shop."""


def run(dataset: str, folders: BenchFolders, seeds: int, variants: tuple[str, ...], valid: bool) -> str:
    """Trains each backbone with each seed, and returns what was written or measured."""
    events = read_events(folders.bench, folders.data, dataset, SPLIT)
    chosen = {name: config for name, config in CHOSEN[dataset].items() if not variants or name in variants}
    if valid:
        return on_valid(trained(events, name, it, seed) for name, it in chosen.items() for seed in range(seeds))
    judge = Judge(dataset, "sequences", folders, events)
    rows = [
        judge.kept(name, seed, content_hash(config.model_dump()), partial(trained, events, name, config, seed))
        for name, config in chosen.items()
        for seed in range(seeds)
    ]
    figures = {
        "dataset": dataset,
        "split": SPLIT,
        "fitted_on": "train",
        "config": {name: config.model_dump() for name, config in chosen.items()},
        "means": means(rows),
        "rows": rows,
        "minus_peers": {name: judge.minus_peers(name, 0) for name in chosen},
    }
    return write_result(f"methods/sequences-{dataset}", figures).read_text()


def trained(events: Events, name: str, config: SequenceConfig, seed: int) -> Ranked:
    """One backbone, kept at its best epoch on valid, asked after everything before test."""
    histories, context = events.histories("train"), RunContext(seed=seed)
    with seeded(seed):
        network = make_network(histories.n_products, config)
    held_out = HeldOut(histories, wanted(events, "valid"))
    fit = train(network, histories, config.length, config, context, lambda: held_out.ndcg(network, config.length))
    return Ranked(name, seed, log_chances([network], events.histories("train", "valid"), config.length), fit)


def on_valid(ranked: Iterable[Ranked]) -> str:
    """NDCG@10 on valid of each variant and seed, with the epochs and seconds it took."""
    return "\n".join(
        f"{it.variant:20} {it.seed} {1 - min(it.fit.valid_loss):.4f} epoch {it.fit.best_epoch} of {it.fit.epochs}, "
        f"{it.fit.seconds:.0f} s"
        for it in ranked
    )


def wanted(events: Events, part: str) -> Numbers:
    """(U,) the product of each consumer in a part, -1 for none."""
    target = np.full(len(events.consumers), -1, np.int64)
    rows = events.targets(part)
    target[rows["consumer"].to_numpy()] = rows["product"].to_numpy()
    return target
