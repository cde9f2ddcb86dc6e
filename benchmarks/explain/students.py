"""Students tuned on few of TALLRec's prompts: AUC soft and hard, by how many, with reasons, and after a first stage."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.explain.first_stage import CONFIG as FIRST
from benchmarks.explain.first_stage import N_ROWS, SOURCE, first_stage
from benchmarks.explain.prompts import Prompts, load
from benchmarks.reasoning.data import shots_of
from benchmarks.reasoning.runs import LORA, Run, Variant, kept_run, run
from features.settings import BenchFolders, HostSettings
from models.base import silent
from models.evaluate import Interval, auc_difference, auc_interval
from models.explain_rec.student import REASON_TOKENS, TALLREC
from models.llm.gguf import converted

REASONS = TALLREC.model_copy(update={"rationale_tokens": REASON_TOKENS})
PUBLISHED = {"tallrec-16": 67.24, "tallrec-64": 67.48, "tallrec-256": 71.98}
"""AUC x 100 that the authors of TALLRec report with a model fifty times as large."""
TWO_STAGE = "two-stage-"


def variants() -> dict[str, Variant]:
    """What is compared; `reasons-` learns a reason behind the label, the others a label alone.

    `two-stage-` begins with the adapter of a first stage, and is `tallrec-` otherwise.
    """
    tuned = [Variant(f"tallrec-{k}", k, TALLREC) for k in (16, 64, 256)]
    after = [Variant(f"{TWO_STAGE}{k}", k, TALLREC) for k in (16, 64)]
    found = [Variant("zero-shot", 0, TALLREC), *tuned, *after, Variant("reasons-64", 64, REASONS)]
    return {variant.name: variant for variant in found}


def measured(wanted: dict[str, int]) -> dict[str, Any]:
    """Runs what is missing, of each variant so many seeds, the cheapest first."""
    data, settings = BenchFolders.from_environment().data, HostSettings.from_environment()
    corpora = {True: load(data, with_genres=True), False: load(data)}
    base, kept, known = converted(settings.models), settings.home / "explain_rec", variants()
    done: dict[str, list[Run]] = {name: [] for name in wanted}
    for seed in range(max(wanted.values())):
        for name in (name for name, seeds in wanted.items() if seed < seeds):
            started, corpus, variant = time.perf_counter(), corpora[name.startswith("reasons")], known[name]
            if name.startswith(TWO_STAGE):
                start = first_stage(data, seed, base, kept, silent)
                variant = replace(variant, lora=LORA.model_copy(update={"start": start}))
            done[name].append(_run(corpus, variant, seed, base, kept))
            typer.echo(f"{name} seed {seed}: {time.perf_counter() - started:.0f} s", err=True)
    return _figures(corpora[False], done)


def _run(corpus: Prompts, variant: Variant, seed: int, base: Path, kept: Path) -> Run:
    run(corpus, variant, seed, base, kept, silent)
    made = kept_run(corpus, variant, seed, kept)
    assert made is not None
    return made


def _figures(corpus: Prompts, done: dict[str, list[Run]]) -> dict[str, Any]:
    liked, who = shots_of(corpus.test), np.array([pair.consumer for pair in corpus.test], object)
    soft = {name: np.array([made.soft for made in runs]) for name, runs in done.items()}
    table = {}
    for name, runs in done.items():
        table[name] = {
            "seeds": len(runs),
            "auc_soft": rounded(auc_interval(who, liked, soft[name])),
            "auc_hard": rounded(auc_interval(who, liked, (soft[name] >= 0.5).astype(float))),
            "minus_zero_shot": rounded(auc_difference(who, liked, soft["zero-shot"], soft[name])),
            "minus_one_stage": _minus_one_stage(who, liked, soft, name),
            "auc_soft_by_prompts": rounded(auc_interval(np.arange(len(liked)), liked, soft[name])),
            "trained_tokens": [made.trained_tokens for made in runs],
            "train_seconds": [made.train_seconds for made in runs],
            "score_seconds": [made.score_seconds for made in runs],
            "published_7b": PUBLISHED.get(name),
        }
    own = np.array([np.mean([label for _, label in pair.history]) for pair in corpus.test])
    return {
        "dataset": corpus.name,
        "pairs": {"shots_from": len(corpus.train), "test": len(corpus.test), "test_consumers": len(set(who))},
        "lora": LORA.model_dump(mode="json"),
        "first_stage": {"dataset": SOURCE, "rows": N_ROWS, "lora": FIRST.lora.model_dump(mode="json")},
        "students": table,
        "liked_share_of_history": rounded(auc_interval(who, liked, own)),
        "reasons": _reasons(done.get("reasons-64", []), soft),
    }


def _minus_one_stage(
    who: NDArray[np.object_], liked: NDArray[np.bool_], soft: dict[str, NDArray[np.float64]], name: str
) -> list[float] | None:
    """What a first stage adds to as many shots, on the seeds of both."""
    other = name.replace(TWO_STAGE, "tallrec-")
    if other == name or other not in soft:
        return None
    seeds = min(len(soft[name]), len(soft[other]))
    return rounded(auc_difference(who, liked, soft[other][:seeds], soft[name][:seeds]))


def _reasons(runs: list[Run], soft: dict[str, Any]) -> dict[str, Any]:
    """How often a written answer has the label that its score says, and how many carry a reason."""
    if not runs or not runs[0].written:
        return {}
    written = runs[0].written
    place = np.linspace(0, soft["reasons-64"].shape[1] - 1, len(written)).astype(int)
    scored = soft["reasons-64"][0][place] >= 0.5
    labelled = [(bool(label), bool(one)) for (label, _), one in zip(written, scored, strict=True) if label is not None]
    return {
        "written": len(written),
        "with_label": len(labelled),
        "label_equals_score": round(float(np.mean([a == b for a, b in labelled])), 4) if labelled else None,
        "with_reason": sum(bool(text) for _, text in written),
        "reason_names_the_side": _named(written),
    }


def _named(written: list[list[Any]]) -> float | None:
    """Share of reasons whose verb is that of their label, among those that have either verb."""
    said = [(label, text) for label, text in written if label is not None and "liked" in text]
    return round(float(np.mean([label == ("disliked" not in text) for label, text in said])), 4) if said else None


def rounded(interval: Interval) -> list[float]:
    """Value, lower and upper end."""
    return [round(interval.value, 4), round(interval.low, 4), round(interval.high, 4)]
