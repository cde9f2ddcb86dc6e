"""The result file of guided refinement: every list scored by the benchmark's script, and what variants differ by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.methods.guided_bench import (
    BASE,
    CONTRASTS,
    LONGER,
    METRICS,
    POPULARITY,
    TRIED,
    VARIANTS,
    Bench,
    Setting,
)
from benchmarks.methods.guided_scores import audit
from benchmarks.methods.guided_tuned import made
from benchmarks.methods.script import Script
from benchmarks.ranking import SPLITS, write_lists
from benchmarks.record import write_result
from features.settings import BenchFolders
from models.backbones.experts import Popularity


def report(
    dataset: Annotated[str, typer.Option(help="Name of the dataset's folder.")],
    bench: Annotated[Path, typer.Option(envvar="COUNTERPOINT_BENCH", help="Folder of the splits and of score.py.")],
    data: Annotated[Path, typer.Option(envvar="COUNTERPOINT_DATA", help="Folder of the datasets.")],
    task: Annotated[str, typer.Option(help="`ranking` or `cold`.")] = "ranking",
    asked: Annotated[
        bool, typer.Option("--language-model/--no-language-model", help="Audit the language model's scores too.")
    ] = True,
    output: Annotated[Path, typer.Option(help="Where lists are.")] = Path(".counterpoint/methods/guided"),
) -> None:
    """Has every list scored once and writes the result file."""
    opened = Bench.open(dataset, task, bench, data, output)
    _write_floors(opened)
    files = {path.name.removesuffix(".csv.gz"): path for path in sorted(opened.folder.glob("*.csv.gz"))}
    script = Script(BenchFolders(bench=bench, data=data), dataset, task)
    lists = {name: script.score(path) for name, path in files.items()}
    scored = {name: _told_metrics(script.report(it)) for name, it in lists.items()}
    figures = {
        "dataset": dataset,
        "split": SPLITS[task],
        "settings": _told(opened.setting),
        "settings_tried_on_valid": TRIED[dataset],
        "floors": {name: it for name, it in scored.items() if "." not in name},
        "by_encoder": {encoder: _by_variant(opened, encoder, scored) for encoder in _encoders(files)},
        "differences": {encoder: _differences(script, encoder, lists) for encoder in _encoders(files)},
    }
    if task == "ranking":
        known = opened.events.histories("train")
        listed = made(opened, known, files)
        figures["listed"] = {name: facts for name, (facts, _) in listed.items()}
        by_name = {name: scores for name, (_, scores) in listed.items()}
        figures["audit"] = audit(opened.catalogue, np.flatnonzero(known.counts > 0), asked, by_name)
    name = "guided" if task == "ranking" else f"guided-{task}"
    typer.echo(write_result(f"methods/{name}-{dataset}", figures).read_text())


def _write_floors(opened: Bench) -> None:
    """Popularity, and of cold products, which all have none, chance too."""
    known, floor = opened.events.histories("train", "valid"), Popularity()
    floor.fit(known)
    floors = {POPULARITY: floor.score(known)}
    if opened.task == "cold":
        floors["random"] = np.random.default_rng(0).random((len(known), known.n_products), np.float32)
    for name, scores in floors.items():
        write_lists(opened.folder / f"{name}.csv.gz", opened.events, opened.shown(scores, known, "test"), "test")


def _told_metrics(answer: dict[str, Any]) -> dict[str, Any]:
    """The reported metrics of an answer of the benchmark's script."""
    return {name: {"value": answer[name], "interval95": answer["interval95"][name]} for name in METRICS}


def _by_variant(opened: Bench, encoder: str, scored: dict[str, Any]) -> dict[str, Any]:
    """By variant: seeds, mean over them of each metric, and what it took."""
    found: dict[str, Any] = {}
    for name in (BASE, LONGER, *VARIANTS):
        runs = [key for key in scored if key.startswith(f"{encoder}.") and key.split(".")[2] == name]
        if not runs:
            continue
        facts = [json.loads((opened.folder / f"{key}.json").read_text()) for key in runs]
        found[name] = {
            "seeds": [int(key.split(".")[1]) for key in runs],
            "mean": {metric: float(np.mean([scored[key][metric]["value"] for key in runs])) for metric in METRICS},
            "by_seed": {metric: [scored[key][metric] for key in runs] for metric in METRICS},
            "fit_processor_seconds": float(np.mean([it["fit_processor_seconds"] for it in facts])),
            "score_processor_seconds": float(np.mean([it["score_processor_seconds"] for it in facts])),
            "parameters": facts[0]["parameters"],
        }
        if "gain" in facts[0]:
            found[name]["gain_by_column"] = np.mean([it["gain"] for it in facts], axis=0).round(3).tolist()
    return found


def _differences(script: Script, encoder: str, lists: dict[str, Any]) -> dict[str, Any]:
    """Guided less each control: the mean over seeds, with the interval of the script's own resamples."""
    found: dict[str, Any] = {}
    for ours, other in CONTRASTS:
        names = [key.rsplit(".", 1)[0] for key in lists if key.startswith(f"{encoder}.") and key.endswith(f".{ours}")]
        pairs = [(lists[f"{it}.{other}"], lists[f"{it}.{ours}"]) for it in names if f"{it}.{other}" in lists]
        if not pairs:
            continue
        found[f"{ours} minus {other}"] = script.pooled(pairs, METRICS)
    return found


def _encoders(files: dict[str, Path]) -> list[Any]:
    return sorted({name.split(".")[0] for name in files if name.count(".") == 2})


def _told(setting: Setting) -> dict[str, Any]:
    """A setting as JSON."""
    parts = (setting.widths, setting.base, setting.refined, setting.refinement)
    return {name: it.model_dump() for name, it in zip(("widths", "base", "refined", "refinement"), parts, strict=True)}
