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
        path = results / study.file
        if path.exists():
            rows += READERS[study.method](study, _content(path), results)
        else:
            rows.append(Row(study, path.stem.removeprefix(f"{study.method}-"), "", "", study.metrics[0]))
    return without_doubles(rows)


def _content(path: Path) -> Content:
    """A file; or, of a folder, `splits`: its files."""
    if path.is_dir():
        return {"splits": [_content(file) for file in sorted(path.glob("*.json"))]}
    content: Content = json.loads(path.read_text(encoding="utf-8"))
    return content


def _lr_recsys(study: Study, content: Content, results: Path) -> list[Row]:
    """Files of `benchmarks.lr_recsys`, one per split: means of `full` and of what it has more than its controls.

    Of a dataset's splits those with the most controls.
    """
    run = most_compared([split for split in content["splits"] if "full" in split["variants"]])
    if not run:
        return [Row(study, Path(study.file).name, "", "", study.metrics[0])]
    own = [content["variants"]["full"] for content in run]
    folder = results / "lr_recsys" / "texts" / run[0]["dataset"]
    costs = [
        _with_texts(full["seconds"], folder / f"{split['split']}.json") for full, split in zip(own, run, strict=True)
    ]
    bare = partial(
        Row,
        study,
        run[0]["dataset"],
        run[0]["split"] if len(run) == 1 else f"{len(run)} splits",
        "",
        seeds=min(len(full["rmse_of_seeds"]) for full in own),
        cost=Cost(tokens=_mean_of(costs, "tokens"), seconds=_mean_of(costs, "seconds")),
        commit=run[0]["commit"],
    )
    rows = []
    for metric in study.metrics:
        by_split = [
            {name: _lr_gap(name, metric, full, it) for name, it in split["against_controls"].items()}
            for full, split in zip(own, run, strict=True)
        ]
        everywhere = [name for name in by_split[0] if all(name in gaps for gaps in by_split)]
        gaps = {name: Gap.mean([gaps[name] for gaps in by_split]) for name in everywhere}
        rows.append(_compared(bare(metric, fmean(full["mean"][metric] for full in own)), gaps))
    return rows


def most_compared(splits: Sequence[Content]) -> list[Content]:
    """Those with the most controls: on further splits only few are run."""
    most = max((len(split["against_controls"]) for split in splits), default=0)
    return [split for split in splits if len(split["against_controls"]) == most]


def _lr_gap(over: str, metric: str, full: Content, compared: Content) -> Gap:
    return Gap.of(over, metric, full["mean"][metric], compared[metric]["b_minus_a"], compared[metric]["interval95"])


def _mean_of(costs: Sequence[Cost], name: str) -> Any:
    """Mean of what each tells; None where one does not."""
    told = [getattr(cost, name) for cost in costs]
    return None if None in told else round(fmean(told))


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
    metric, setting = study.metrics[0], Path(study.file).stem.partition("-")[2]
    if setting == "students":
        return [_two_stages(study, content)]
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


def _two_stages(study: Study, content: Content) -> Row:
    """The student of two stages with most shots, against the untuned one and one of as many shots alone."""
    tuned = {int(name.rpartition("-")[2]): it for name, it in content["students"].items() if it["minus_one_stage"]}
    shots = max(tuned)
    own = tuned[shots]
    value = own[study.metrics[0]][0]
    less = {"zero-shot": own["minus_zero_shot"], "tallrec": own["minus_one_stage"]}
    gaps = {over: Gap.of(over, study.metrics[0], value, gap, interval) for over, (gap, *interval) in less.items()}
    split, seconds = f"{content['pairs']['test']} prompts", own["train_seconds"][0] + own["score_seconds"][0]
    row = Row(
        study, content["dataset"], split, f"students, two stages, {shots} shots", study.metrics[0], value,
        own["seeds"], cost=Cost(seconds=seconds), commit=content["commit"],
    )  # fmt: skip
    return _compared(row, gaps)


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
