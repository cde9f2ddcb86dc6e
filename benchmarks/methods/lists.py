"""Ranked lists of variants and seeds: written, scored and compared by the benchmark's script."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.methods.script import Script
from benchmarks.ranking import SPLITS, Events, write_lists
from features.files import write_whole
from features.settings import BenchFolders, HostSettings
from flows.stage import code_commit
from models.backbones.histories import Scores
from models.backbones.next_product import already_had
from models.base import FitReport

TASK = "ranking"
SPLIT = SPLITS[TASK]
REPORTED = ("ndcg@10", "hr@10", "mrr")
NEGATIVES, NEGATIVES_SEED = 100, 20240607


@dataclass(frozen=True, eq=False)
class Ranked:
    """One variant with one seed, on test."""

    variant: str
    seed: int
    scores: Scores  # (U, P), before what was had is taken out
    fit: FitReport


class Judge:
    """Scores lists on the test part of a dataset's split."""

    def __init__(self, dataset: str, method: str, folders: BenchFolders, events: Events) -> None:
        self.dataset, self.folders, self.events = dataset, folders, events
        self.output = HostSettings.from_environment().home / "lists" / method / dataset
        self.output.mkdir(parents=True, exist_ok=True)
        self._had = already_had(events.histories("train", "valid"))
        self._script = Script(folders, dataset, TASK)

    def kept(self, variant: str, seed: int, made_from: str, make: Callable[[], Ranked]) -> dict[str, Any]:
        """The row of a variant and seed: read if it was made from the same before, so that a stopped proof goes on."""
        path = self.path(variant, seed).with_suffix("").with_suffix(".json")
        if path.exists() and (row := json.loads(path.read_text()))["made_from"] == made_from:
            return dict(row)
        row = {**self._row(make()), "made_from": made_from, "commit": code_commit()}
        write_whole(path, json.dumps(row))
        return row

    def _row(self, ranked: Ranked) -> dict[str, Any]:
        """The metrics of a variant and seed, and what fitting took."""
        lists = np.where(self._had, -np.inf, ranked.scores)
        path = self.path(ranked.variant, ranked.seed)
        write_lists(path, self.events, lists, "test")
        answer = self._script.report(self._script.score(path))
        metrics = {f"{name}/full": answer[name] for name in REPORTED}
        return {
            "variant": ranked.variant,
            "seed": ranked.seed,
            **metrics,
            "interval95": {f"{name}/full": answer["interval95"][name] for name in REPORTED},
            "coverage@10": answer["coverage@10"],
            **sampled(lists, self.events),
            "valid_ndcg@10/full": round(1 - min(ranked.fit.valid_loss), 6) if ranked.fit.valid_loss else None,
            "epochs": ranked.fit.epochs,
            "best_epoch": ranked.fit.best_epoch,
            "parameters": ranked.fit.n_parameters,
            "seconds": round(ranked.fit.seconds, 1),
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }

    def minus(self, variant: str, other: str, seed: int) -> dict[str, Any]:
        """What a variant has more than another one of the same seed, with interval and p."""
        return self._compared(self.path(other, seed), self.path(variant, seed))

    def minus_peers(self, variant: str, seed: int) -> dict[str, Any]:
        """The same against every peer's file."""
        peers = sorted((self.folders.bench / "peers" / self.dataset / SPLIT / TASK).glob("*.csv.gz"))
        own = self.path(variant, seed)
        return {it.name.removesuffix(".csv.gz"): self._compared(it, own) for it in peers}

    def path(self, variant: str, seed: int) -> Path:
        """The file of a variant's lists."""
        return self.output / f"{variant}-{seed}.csv.gz"

    def _compared(self, a: Path, b: Path) -> dict[str, Any]:
        answer = self._script.minus(self._script.score(a), self._script.score(b))
        return {f"{name}/full": answer[name] for name in REPORTED}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as lines of text, for runs of some variants that write no file."""
    return "\n".join(
        f"{row['variant']:20} {row['seed']} {row['ndcg@10/full']:.4f} {row['hr@10/full']:.4f}" for row in rows
    )


def means(rows: Sequence[dict[str, Any]], metrics: Sequence[str] = ()) -> dict[str, dict[str, float]]:
    """By variant, the mean over seeds of each metric; by default of those of ranked lists."""
    found: dict[str, dict[str, float]] = {}
    for variant in dict.fromkeys(row["variant"] for row in rows):
        own = [row for row in rows if row["variant"] == variant]
        names = metrics or [
            name for name, value in own[0].items() if ("@" in name or name.startswith("mrr")) and value is not None
        ]
        found[variant] = {name: round(float(np.mean([row[name] for row in own])), 6) for name in names}
    return found


def sampled(lists: Scores, events: Events) -> dict[str, float]:
    """HR@10 and NDCG@10 among 100 products that a consumer never had: the published protocol, and no other's."""
    random = np.random.default_rng(NEGATIVES_SEED)
    ranks = []
    for consumer, product in events.targets("test")[["consumer", "product"]].to_numpy():
        allowed = np.flatnonzero(np.isfinite(lists[consumer]))
        others = random.choice(allowed[allowed != product], min(NEGATIVES, len(allowed) - 1), replace=False)
        ranks.append((lists[consumer, others] >= lists[consumer, product]).sum())
    rank = np.array(ranks)
    gain = np.where(rank < 10, 1 / np.log2(rank + 2), 0)
    return {"hr@10/neg100": round(float((rank < 10).mean()), 6), "ndcg@10/neg100": round(float(gain.mean()), 6)}
