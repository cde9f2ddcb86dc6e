"""ReasoningRec on real pairs: a student tuned on few of them against itself untuned, without parts, and peers.

    COUNTERPOINT_DATA=DIR python -m benchmarks.methods.reasoning_rec --dataset ml-1m --seeds 3

Runs are kept under COUNTERPOINT_HOME by code, settings and seed, so that a stopped benchmark goes on. Everything is
chosen on valid pairs; test pairs are scored once per run. AUCs are soft (the probability of Yes) and hard (the answer
alone, which is balanced accuracy), means over seeds, with 95 % intervals of a bootstrap over consumers. No large
teacher is at hand: descriptions and profiles are those that come with the data, rationales are worded by code
(`benchmarks/reasoning/data.py`). Writes `benchmarks/results/methods/reasoning_rec-<dataset>.json`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.reasoning.data import Corpus, load, shots_of
from benchmarks.reasoning.head import head_figures
from benchmarks.reasoning.judge import judged
from benchmarks.reasoning.peers import KINDS, liked_share, own_share, sequence_scores
from benchmarks.reasoning.runs import (
    LORA,
    Run,
    Variant,
    checked,
    code_hash,
    kept_run,
    run,
    variants,
    written_places,
)
from benchmarks.record import write_result
from features.files import write_whole
from features.settings import BenchFolders, HostSettings
from flows.stage import code_commit
from models.base import Progress
from models.evaluate import Interval, auc_difference, auc_interval
from models.llm.gguf import converted
from models.lora.shots import balanced_shots, most_shots
from models.text import TextEncoder
from models.threads import torch_threads

MAX_SEEDS = 5
GOAL = 0.125
"""Wanted: so much better, relatively, than the untuned student and than the sequence models."""


def main(
    dataset: Annotated[str, typer.Option(help="ml-1m or amazon-beauty.")] = "ml-1m",
    only: Annotated[list[str] | None, typer.Option(help="Variants to run; all if not given, `none` for none.")] = None,
    seeds: Annotated[int, typer.Option(help="Seeds of each tuned student and of the sequence models.")] = 1,
    head: Annotated[bool, typer.Option(help="Measures the fast head too.")] = True,
    write: Annotated[bool, typer.Option(help="Writes the file from what is there.")] = True,
) -> None:
    """Runs what is missing and writes the file."""
    settings, commit = HostSettings.from_environment(), code_commit()
    corpus = load(dataset, BenchFolders.from_environment().data)
    base, kept = converted(settings.models), settings.home / "reasoning_rec"
    with torch_threads(1):
        for variant in variants():
            if not only or variant.name in only:
                for seed in range(seeds if variant.shots else 1):
                    run(corpus, variant, seed, base, kept, _shown(f"{variant.name} seed {seed}"))
        if head:
            _kept_head(corpus, base, kept)
        peers = _kept_peers(corpus, seeds, kept)
        if write:
            figures = _figures(corpus, _done(corpus, kept), peers)
            fast = json.loads(_head_path(corpus, kept).read_text()) if _head_path(corpus, kept).exists() else {}
            print(write_result(f"methods/reasoning_rec-{dataset}", {**figures, "head": fast}, commit))


def _done(corpus: Corpus, kept: Path) -> dict[str, list[Run]]:
    """The runs that are there, by variant, in order of their seeds."""
    found = {}
    for variant in variants():
        runs = [made for seed in range(MAX_SEEDS) if (made := kept_run(corpus, variant, seed, kept)) is not None]
        if runs:
            found[variant.name] = runs
    return found


def _head_path(corpus: Corpus, kept: Path) -> Path:
    return kept / corpus.name / f"head-{code_hash()}.json"


def _kept_head(corpus: Corpus, base: Path, kept: Path) -> None:
    path = _head_path(corpus, kept)
    if not path.exists():
        made = head_figures(corpus, base, path.with_suffix(".part"), _shown("head"))
        write_whole(path, json.dumps(made))


def _kept_peers(corpus: Corpus, seeds: int, kept: Path) -> dict[str, list[NDArray[np.float64]]]:
    path = kept / corpus.name / f"peers-{seeds}-{code_hash()}.json"
    if not path.exists():
        made = _peers(corpus, seeds)
        write_whole(path, json.dumps({name: [list(row) for row in rows] for name, rows in made.items()}))
    found = json.loads(path.read_text(encoding="utf-8"))
    return {name: [np.array(row) for row in rows] for name, rows in found.items()}


def _peers(corpus: Corpus, seeds: int) -> dict[str, list[NDArray[np.float64]]]:
    """Scores of the test pairs without words, by seed; of K pairs, and of all training pairs."""
    liked, valid, scores = shots_of(corpus.train), checked(corpus), dict[str, list[NDArray[np.float64]]]()
    k = min(256, most_shots(liked))
    for kind in KINDS:
        for seed in range(seeds):
            few = [corpus.train[row] for row in balanced_shots(liked, k, seed)]
            scores.setdefault(f"{kind}-{k}", []).append(sequence_scores(kind, few, valid, corpus.test, seed))
            scores.setdefault(f"{kind}-all", []).append(sequence_scores(kind, corpus.train, valid, corpus.test, seed))
    scores["liked-share-of-product"] = [liked_share(corpus, corpus.test)]
    scores["liked-share-of-history"] = [own_share(corpus.test)]
    return scores


def _figures(corpus: Corpus, done: dict[str, list[Run]], peers: dict[str, list[NDArray[np.float64]]]) -> dict[str, Any]:
    liked = shots_of(corpus.test)
    who = np.array([pair.consumer for pair in corpus.test], object)
    soft = {name: np.array([made.soft for made in runs]) for name, runs in done.items()}
    others = {name: np.array(scores) for name, scores in peers.items()}
    zero, strongest = soft["zero-shot"], max(others, key=lambda name: auc_interval(who, liked, others[name]).value)
    tuned = max((name for name in soft if name.startswith("full")), key=lambda name: int(name.rpartition("-")[2]))
    table = {}
    for name, runs in done.items():
        shown = next(variant for variant in variants() if variant.name == name)
        table[name] = {
            "auc_soft": _rounded(auc_interval(who, liked, soft[name])),
            "auc_hard": _rounded(auc_interval(who, liked, (soft[name] >= 0.5).astype(float))),
            "minus_zero_shot": _rounded(auc_difference(who, liked, zero, soft[name])),
            "minus_largest_full": _rounded(auc_difference(who, liked, soft[tuned], soft[name])),
            **_cost(runs, shown),
        }
    return {
        "dataset": corpus.name,
        "pairs": {part: len(getattr(corpus, part)) for part in ("train", "valid", "test")},
        "test_liked": round(float(liked.mean()), 4),
        "settings": LORA.model_dump(),
        "students": table,
        "peers": {
            name: {
                "auc_soft": _rounded(auc_interval(who, liked, scores)),
                "largest_full_minus_it": _rounded(auc_difference(who, liked, scores, soft[tuned])),
                "seeds": len(scores),
            }
            for name, scores in others.items()
        },
        "goal": _goal(auc_interval(who, liked, soft[tuned]).value, tuned, who, liked, soft, others, strongest),
        "rationales": _rationales(corpus, done),
    }


def _goal(
    reached: float,
    tuned: str,
    who: NDArray[np.object_],
    liked: NDArray[np.bool_],
    soft: dict[str, NDArray[np.float64]],
    others: dict[str, NDArray[np.float64]],
    strongest: str,
) -> dict[str, Any]:
    """How much better, relatively, than the student as it is and than every peer."""
    against = {"zero-shot": soft["zero-shot"], **others}
    gains = {name: round(reached / auc_interval(who, liked, it).value - 1, 4) for name, it in against.items()}
    return {
        "tuned": tuned,
        "wanted": GOAL,
        "relative_gain_over": gains,
        "strongest_peer": strongest,
        "reached": [name for name, gain in gains.items() if gain >= GOAL],
    }


def _cost(runs: Sequence[Run], variant: Variant) -> dict[str, Any]:
    return {
        "k": runs[0].n_shots,
        "seeds": len(runs),
        "prompt": variant.prompt.model_dump(),
        "best_epochs": [1 + int(np.argmax(made.epochs)) if made.epochs else 0 for made in runs],
        "trained_tokens": [made.trained_tokens for made in runs],
        "train_seconds": [made.train_seconds for made in runs],
        "scored_tokens": [made.scored_tokens for made in runs],
        "score_seconds": [made.score_seconds for made in runs],
        "peak_mb": max(made.peak_mb for made in runs),
    }


def _rationales(corpus: Corpus, done: dict[str, list[Run]]) -> dict[str, Any]:
    """What students wrote, judged against what code would have said of the true outcome."""
    places, encoder = written_places(len(corpus.test)), TextEncoder()
    lesson = corpus.lesson([corpus.test[place] for place in places])
    found = {name: runs[0].written for name, runs in done.items() if runs[0].written}
    return {name: judged(written, lesson.cases, lesson.rationales, encoder) for name, written in found.items()}


def _rounded(interval: Interval) -> list[float]:
    return [round(interval.value, 4), round(interval.low, 4), round(interval.high, 4)]


def _shown(what: str) -> Progress:
    """A line on a terminal's error stream every tenth step."""

    def show(doing: str, done: int, total: int) -> None:
        if done % 10 == 0:
            print(f"{what}: {doing} {done}/{total}", file=sys.stderr, flush=True)

    return show


if __name__ == "__main__":
    typer.run(main)
