"""The next product by a blend of the ranker's own experts and the other methods, against each of them alone.

    python -m benchmarks.methods --method combined --dataset ml-100k --seeds 1 [--valid]

All are fitted on train and valid together and asked at the same cuts; the blend learns whom to trust from each
consumer's last event, which no expert has seen then. `--valid`, by which siblings are chosen, fits on train alone. A
seed is that of the siblings and of the blend.
"""

from __future__ import annotations

import time
from functools import partial

import numpy as np

from benchmarks.methods.lists import SPLIT, Judge, Ranked, means, table
from benchmarks.methods.siblings import siblings
from benchmarks.ranking import CHOSEN as OWN
from benchmarks.ranking import Events, content_vectors, ndcg, read_events
from benchmarks.record import write_result
from features.settings import BenchFolders
from features.types import content_hash
from models.backbones.histories import Histories, Scores
from models.backbones.next_product import NextProduct, already_had, standard_experts
from models.base import FitReport, RunContext

SIBLINGS = {
    "ml-100k": ("sequence", "refined"),
    "amazon-musical-instruments": ("sequence", "refined", "lane"),
}
"""What is there to blend; on ML-100K LANE gained nothing over titles and is left out to save time."""
CHOSEN = {
    "ml-100k": ("sequence", "refined"),
    "amazon-musical-instruments": ("refined", "lane"),
}
"""What is blended: on Musical Instruments what had the best NDCG@10 on valid; on ML-100K all, nothing was chosen."""
BLEND, COMBINED = "blend", "combined"


def run(dataset: str, folders: BenchFolders, seeds: int, variants: tuple[str, ...], valid: bool) -> str:
    """Fits and ranks, and returns what was written, or with `valid` NDCG@10 there."""
    events = read_events(folders.bench, folders.data, dataset, SPLIT)
    if valid:
        return _on_valid(dataset, folders, events, seeds, variants)
    known, judge = events.histories("train", "valid"), Judge(dataset, COMBINED, folders, events)
    members = {BLEND: (), COMBINED: CHOSEN[dataset], **{name: (name,) for name in SIBLINGS[dataset]}}
    rows = [
        judge.kept(
            name, seed, _made_from(dataset, some), partial(_ranked, dataset, folders, events, known, name, some, seed)
        )
        for seed in range(seeds)
        for name, some in members.items()
        if name in (variants or members)
    ]
    if variants:
        return table(rows)
    others = [name for name in members if name != COMBINED]
    figures = {
        "dataset": dataset,
        "split": SPLIT,
        "fitted_on": "train and valid",
        "siblings": CHOSEN[dataset],
        "config": OWN[dataset].model_dump(),
        "means": means(rows),
        "rows": rows,
        "combined_minus": {other: [judge.minus(COMBINED, other, seed) for seed in range(seeds)] for other in others},
        "minus_peers": {COMBINED: judge.minus_peers(COMBINED, 0)},
    }
    return write_result(f"methods/combined-ranking-{dataset}", figures).read_text()


def _on_valid(dataset: str, folders: BenchFolders, events: Events, seeds: int, variants: tuple[str, ...]) -> str:
    """NDCG@10 on valid of the blend with no sibling, each, all but each, and all; and of each alone."""
    known, targets, every = events.histories("train"), events.targets("valid"), SIBLINGS[dataset]
    blends = {BLEND: (), **{f"{BLEND}+{name}": (name,) for name in every}, f"{BLEND}+all": every}
    blends |= {f"{BLEND}+all-{name}": tuple(it for it in every if it != name) for name in every if len(every) > 2}
    lines = []
    for seed in range(seeds):
        for name, some in {**{name: (name,) for name in every}, **blends}.items():
            if name not in (variants or (name,)):
                continue
            scores = _ranked(dataset, folders, events, known, name, some, seed).scores
            lines.append(f"{name:20} {seed} {ndcg(np.where(already_had(known), -np.inf, scores), targets):.4f}")
    return "\n".join(lines)


def _ranked(
    dataset: str,
    folders: BenchFolders,
    events: Events,
    known: Histories,
    name: str,
    members: tuple[str, ...],
    seed: int,
) -> Ranked:
    """A sibling alone where the name is its own, else the blend of the ranker's experts and the siblings."""
    context, started = RunContext(seed=seed), time.monotonic()
    further = siblings(dataset, events, folders, context, members)
    if name in further:
        further[name].fit(known)
        scores: Scores = further[name].score(known)
    else:
        config = OWN[dataset]
        content = content_vectors(events, dataset, folders.data) if "content" in config.experts else None
        ranker = NextProduct(config, standard_experts(config, context, content) | further)
        ranker.fit(known, context)
        scores = ranker.score(known)
    return Ranked(name, seed, scores, FitReport(0, 0, (), time.monotonic() - started, 0))


def _made_from(dataset: str, members: tuple[str, ...]) -> str:
    return content_hash(OWN[dataset].model_dump(), members)
