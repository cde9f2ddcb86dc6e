"""Result files of the methods as rows; each method's file has a form of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.comparison.claims import STUDIES, Study
from benchmarks.comparison.rows import Cost, Gap, Row, without_doubles

Content = dict[str, Any]


def read_rows(results: Path, studies: Sequence[Study] = STUDIES) -> list[Row]:
    """Rows of all studies, in their order.

    Args:
        results: folder of the result files.
        studies: which files to read; one that is not there becomes a row that says so.
    """
    rows: list[Row] = []
    for study in studies:
        path = results / f"{study.file}.json"
        if path.exists():
            rows += READERS[study.method](study, json.loads(path.read_text(encoding="utf-8")), results)
        else:
            name = Path(study.file).name.removeprefix(f"{study.method}-")
            rows.append(Row(study, name, "", "", study.metrics[0]))
    return without_doubles(rows)


def _lr_recsys(study: Study, content: Content, results: Path) -> list[Row]:
    """A file of `benchmarks.lr_recsys`: splits, each with variants and what `full` has more than its controls."""
    rows = []
    for split, found in content["splits"].items():
        full = found["variants"].get("full")
        dataset = full["mean"].get("dataset", "world") if full else Path(study.file).name
        bare = partial(Row, study, dataset, split, "", commit=content["commit"])
        if full is None:
            rows.append(bare(study.metrics[0]))
            continue
        cost = _with_texts(full["seconds"], results / "lr_recsys" / "texts" / dataset / f"{split}.json")
        for metric in study.metrics:
            value = full["mean"][metric]
            gaps = {
                name: Gap.of(name, metric, value, it[metric]["b_minus_a"], it[metric]["interval95"])
                for name, it in found["against_controls"].items()
            }
            rows.append(_compared(bare(metric, value, len(full["rmse_of_seeds"]), cost=cost), gaps))
    return rows


def _with_texts(seconds: float, path: Path) -> Cost:
    """What fitting took, and the texts it read, where their file is there."""
    if not path.exists():
        return Cost(seconds=seconds)
    texts = json.loads(path.read_text(encoding="utf-8"))
    tokens = texts["prompt_tokens"] + texts["completion_tokens"]
    return Cost(tokens=tokens, seconds=seconds + texts["seconds"])


def _lane(study: Study, content: Content, results: Path) -> list[Row]:
    """A file of `benchmarks.methods --method lane`: a comparison for each other variant and seed."""
    own = [row for row in content["rows"] if row["variant"] == "lane"]
    cost = Cost(
        content["preferences"]["requests"],
        seconds=fmean(row["seconds"] for row in own),
        peak_memory_mb=max(row["peak_memory_mb"] for row in own),
    )
    rows = []
    for metric in study.metrics:
        gaps = {}
        for name, seeds in content["lane_minus"].items():
            told = [it[metric] for it in seeds]
            gaps[name] = Gap.mean([Gap.of(name, metric, it["b"], it["b_minus_a"], it["interval95"]) for it in told])
        rows.append(_compared(_ranked(study, content, "sasrec", metric, "lane", len(own), cost), gaps))
    return rows


def _guided(study: Study, content: Content, results: Path) -> list[Row]:
    """A file of `benchmarks.methods.guided`: by encoder, means of variants and differences over seeds."""
    rows = []
    for encoder, variants in content["by_encoder"].items():
        own, differences = variants["guided"], content["differences"][encoder]
        for metric in study.metrics:
            value, told = own["mean"][metric], {name: it[metric] for name, it in differences.items()}
            gaps = {
                over: Gap.of(over, metric, value, it["value"], it["interval95"])
                for over, it in ((name.removeprefix("guided minus "), it) for name, it in told.items())
            }
            row = Row(
                study, content["dataset"], content["split"], encoder, metric, value, len(own["seeds"]),
                cost=Cost(seconds=own["fit_processor_seconds"]), commit=content["commit"],
            )  # fmt: skip
            rows.append(_compared(row, gaps))
    return rows


def _reasoning_rec(study: Study, content: Content, results: Path) -> list[Row]:
    """A file of `benchmarks.methods.reasoning_rec`: the student with most pairs, other students, and peers."""
    metric, name = study.metrics[0], content["goal"]["tuned"]
    own, k = content["students"][name], name.rpartition("-")[2]
    value = own[metric][0]
    students = {
        told.removesuffix(f"-{k}"): it["minus_largest_full"]
        for told, it in content["students"].items()
        if told == study.backbone or told.endswith(f"-{k}")
    }
    gaps = {over: _more(over, metric, value, it) for over, it in students.items()}
    peers = {over: it["largest_full_minus_it"] for over, it in content["peers"].items()}
    gaps |= {over: Gap.of(over, metric, value, gap, interval) for over, (gap, *interval) in peers.items()}
    tokens = fmean(map(sum, zip(own["trained_tokens"], own["scored_tokens"], strict=True)))
    seconds = fmean(map(sum, zip(own["train_seconds"], own["score_seconds"], strict=True)))
    cost = Cost(tokens=round(tokens), seconds=seconds, peak_memory_mb=own["peak_mb"])
    split = f"{content['pairs']['test']} pairs"
    row = Row(
        study, content["dataset"], split, f"{k} pairs", metric, value, own["seeds"], cost=cost,
        commit=content["commit"],
    )  # fmt: skip
    return [_compared(row, gaps)]


def _explain_rec(study: Study, content: Content, results: Path) -> list[Row]:
    """A file of `benchmarks.methods.explain_rec`: parts left out, or looks taken away."""
    metric, setting = study.metrics[0], Path(study.file).name.partition("-")[2]
    own = content["all_new_films"]["vision"] if setting == "looks" else content["auc"]["full"]
    value, *_ = own["auc"]
    less = {name.removeprefix("minus_").replace("_", "-"): it for name, it in own.items() if name.startswith("minus_")}
    gaps = {over: Gap.of(over, metric, value, gap, interval) for over, (gap, *interval) in less.items()}
    gaps |= {over: _more(over, metric, value, it["minus_full"]) for over, it in content.get("auc", {}).items()}
    row = Row(
        study, content["dataset"], content["split"].removeprefix(f"{content['dataset']}/"), setting, metric, value,
        content.get("seeds"), commit=content["commit"],
    )  # fmt: skip
    return [_compared(row, gaps)]


def _combined(study: Study, content: Content, results: Path) -> list[Row]:
    """A file of `benchmarks.methods --method combined` or `combined_rating`: a comparison for each other and seed."""
    own = [row for row in content["rows"] if row["variant"] == "combined"]
    cost = Cost(
        seconds=fmean(row["seconds"] for row in own),
        peak_memory_mb=max((row["peak_memory_mb"] for row in own if "peak_memory_mb" in row), default=None),
    )
    rows = []
    for metric in study.metrics:
        gaps = {
            name: Gap.mean(
                [
                    Gap.of(name, metric, row[metric], it[metric]["b_minus_a"], it[metric]["interval95"])
                    for row, it in zip(own, seeds, strict=True)
                ]
            )
            for name, seeds in content["combined_minus"].items()
        }
        rows.append(_compared(_ranked(study, content, "", metric, "combined", len(own), cost), gaps))
    return rows


def _ranked(study: Study, content: Content, variant: str, metric: str, method: str, seeds: int, cost: Cost) -> Row:
    """The row of a method whose file has means by method, not compared with anything yet."""
    value = content["means"][method][metric]
    return Row(
        study,
        content["dataset"],
        content["split"],
        variant,
        metric,
        value,
        seeds,
        cost=cost,
        commit=content["commit"],
    )


def _more(over: str, metric: str, own: float, told: Sequence[float]) -> Gap:
    """From what the *other* one has more, with its interval."""
    gap, low, high = told
    return Gap.of(over, metric, own, -gap, (-high, -low))


def _compared(row: Row, gaps: dict[str, Gap]) -> Row:
    """The row with what its study asks for, as far as it was run."""
    controls = tuple(gaps[name] for name in row.study.controls if name in gaps)
    return replace(row, backbone=gaps.get(row.study.backbone), controls=controls)


READERS: dict[str, Callable[[Study, Content, Path], list[Row]]] = {
    "lr_recsys": _lr_recsys,
    "lane": _lane,
    "guided": _guided,
    "reasoning_rec": _reasoning_rec,
    "explain_rec": _explain_rec,
    "combined": _combined,
}
