"""The next product out of the whole catalogue, and products that nobody had yet, on the benchmark's fixed splits.

    python -m benchmarks.ranking --dataset ml-100k --bench DIR --data DIR [--task cold] [--valid]

The ranker is fitted on train and valid together. Experts and settings were chosen on valid: `--valid` fits on train
alone and shows no test event. The top 100 are scored by the benchmark's own script, once, and compared with the peers'
files. Writes benchmarks/results/lr_recsys/ranking-DATASET.json, or cold-DATASET.json.
"""

from __future__ import annotations

import importlib.util
import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray

from benchmarks.record import write_result
from features.readers.registry import read_dataset
from models.backbones.experts import ByPlace, Content, ContentRegression, Expert, Popularity
from models.backbones.histories import Histories, Scores
from models.backbones.next_product import NextProduct, NextProductConfig, already_had, standard_experts
from models.base import RunContext
from models.text import TextEncoder

DEPTH = 100
WITHOUT_TEXT = (
    "popularity", "unseen", "near_month", "near_year", "ease", "ease_late", "follows", "next", "session", "minutes",
    "alike",
)  # fmt: skip
CHOSEN = {
    "ml-100k": NextProductConfig(experts=WITHOUT_TEXT),
    "ml-latest-small": NextProductConfig(experts=WITHOUT_TEXT),
    "amazon-musical-instruments": NextProductConfig(experts=(*WITHOUT_TEXT, "content")),
    "amazon-beauty": NextProductConfig(experts=(*WITHOUT_TEXT, "content")),
}
"""Settings by dataset."""
TRIED = "about 12 settings of the blend and 60 of single experts per dataset, by hand"
COLD_L2 = {"ml-100k": 10.0, "amazon-musical-instruments": 100.0}
"""Of the regression on text, for products that nobody had; chosen on valid among 1, 10, 30, 100 and 300."""
COLD_L2_ELSEWHERE = 30.0
SPLITS = {"ranking": "leave-last-out", "cold": "cold-item-0"}


@dataclass(frozen=True, eq=False)
class Events:
    """A split with consumers and products numbered in order of their ids."""

    frame: pd.DataFrame  # consumer_id, product_id, timestamp, part, consumer, product
    consumers: NDArray[np.object_]
    products: NDArray[np.object_]

    def histories(self, *parts: str) -> Histories:
        """What happened in these parts."""
        kept = self.frame[self.frame["part"].isin(parts)]
        columns = (kept[name].to_numpy() for name in ("consumer", "product", "timestamp"))
        return Histories.of(*columns, len(self.consumers), len(self.products))

    def targets(self, part: str) -> pd.DataFrame:
        """The events of a part."""
        return self.frame[self.frame["part"] == part]


def main(
    dataset: Annotated[str, typer.Option(help="Name of the dataset's folder.")],
    bench: Annotated[Path, typer.Option(envvar="COUNTERPOINT_BENCH", help="Folder of the splits and of score.py.")],
    data: Annotated[Path, typer.Option(envvar="COUNTERPOINT_DATA", help="Folder of the datasets.")],
    task: Annotated[str, typer.Option(help="`ranking`, or `cold`: products without an event.")] = "ranking",
    valid: Annotated[
        bool, typer.Option("--valid", help="Judge on valid after fitting on train; write nothing.")
    ] = False,
    output: Annotated[Path, typer.Option(help="Where the files of predictions go.")] = Path(".counterpoint/ranking"),
) -> None:
    """Fits, ranks, has it scored and compared, and writes the result file."""
    events = read_events(bench, data, dataset, SPLITS[task])
    known = events.histories("train") if valid else events.histories("train", "valid")
    part = "valid" if valid else "test"
    judge = _cold if task == "cold" else _ranking
    rankings, figures = judge(events, known, part, dataset, data)
    if valid:
        shown = {name: round(ndcg(scores, events.targets(part)), 4) for name, scores in rankings.items()}
        typer.echo(json.dumps({"dataset": dataset, "valid_ndcg@10": shown, **figures}, indent=1))
        return
    folder = output / dataset / task
    folder.mkdir(parents=True, exist_ok=True)
    scored = {}
    for name, scores in rankings.items():
        write_lists(folder / f"{name}.csv.gz", events, scores, part)
        scored[name] = bench_score(bench, data, dataset, task, folder / f"{name}.csv.gz")
    peers = sorted((bench / "peers" / dataset / SPLITS[task] / task).glob("*.csv.gz"))
    rivals = {path.name.removesuffix(".csv.gz"): path for path in peers}
    rivals |= {name: folder / f"{name}.csv.gz" for name in rankings if task == "cold" and name != "ranker"}
    own = folder / "ranker.csv.gz"
    compared = {name: bench_score(bench, data, dataset, task, "--compare", path, own) for name, path in rivals.items()}
    figures |= {"scored": scored, "ranker_minus": {name: answer["compare"] for name, answer in compared.items()}}
    name = f"lr_recsys/{task}-{dataset}"
    typer.echo(write_result(name, {"dataset": dataset, "split": SPLITS[task], "task": task, **figures}).read_text())


def _ranking(
    events: Events, known: Histories, part: str, dataset: str, data: Path
) -> tuple[dict[str, Scores], dict[str, Any]]:
    """The ranker's scores of all products (U, P), popularity as the floor, and the cost."""
    config, run = CHOSEN[dataset], RunContext()
    content = _content(events, dataset, data) if {"content", "sequence"} & set(config.experts) else None
    ranker = NextProduct(config, standard_experts(config, run, content))
    report = ranker.fit(known, run)
    started = time.monotonic()
    rankings = {"ranker": ranker.score(known)}
    seconds = time.monotonic() - started
    floor = Popularity()
    floor.fit(known)
    rankings["popularity"] = np.where(already_had(known), -np.inf, floor.score(known))
    return rankings, {
        "config": config.model_dump(),
        "settings_tried_on_valid": TRIED,
        "fit": asdict(report),
        "train_rows_per_second": round(len(known.product) / report.seconds, 1),
        "lists_per_second": round(len(known) / seconds, 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _cold(
    events: Events, known: Histories, part: str, dataset: str, data: Path
) -> tuple[dict[str, Scores], dict[str, Any]]:
    """Scores (U, P) of the products held out of every history; all others are -inf."""
    content, started = _content(events, dataset, data), time.monotonic()
    l2 = COLD_L2.get(dataset, COLD_L2_ELSEWHERE)
    experts: dict[str, Expert] = {
        "ranker": ContentRegression(content, ByPlace(), l2),
        "content_neighbours": Content(content, ByPlace()),
    }
    rankings = {}
    for name, expert in experts.items():
        expert.fit(known)
        rankings[name] = expert.score(known)
    rankings["random"] = np.random.default_rng(0).random((len(known), known.n_products), np.float32)
    outside = np.setdiff1d(np.arange(known.n_products), events.targets(part)["product"])
    for scores in rankings.values():
        scores[:, outside] = -np.inf
    return rankings, {"l2": l2, "seconds": time.monotonic() - started}


def read_events(bench: Path, data: Path, dataset: str, split: str) -> Events:
    """A split as the benchmark's own reader gives it, in order of time."""
    reader = module_of(bench / "load.py", "bench_load")
    frame = reader.read_split(dataset, split, data, bench / "splits").sort_values(["timestamp", "row"], kind="stable")
    frame["consumer"], consumers = pd.factorize(frame["consumer_id"], sort=True)
    frame["product"], products = pd.factorize(frame["product_id"], sort=True)
    return Events(frame, np.asarray(consumers, object), np.asarray(products, object))


def ndcg(scores: Scores, targets: pd.DataFrame, depth: int = 10) -> float:
    """Mean NDCG of wanted products, each by itself."""
    rank = ranks(scores, targets)
    return float(np.where(rank <= depth, 1 / np.log2(rank + 1), 0).mean())


def ranks(scores: Scores, targets: pd.DataFrame) -> NDArray[np.float64]:
    """(T,) the rank of each wanted product in its consumer's list, from 1; equal scores share their mean rank."""
    consumer, product = targets["consumer"].to_numpy(), targets["product"].to_numpy()
    lists = scores[consumer]
    own = lists[np.arange(len(lists)), product][:, None]
    rank: NDArray[np.float64] = (lists > own).sum(1) + ((lists == own).sum(1) - 1) / 2 + 1
    return rank


def _content(events: Events, dataset: str, data: Path) -> NDArray[np.float32]:
    """Vectors (P, 384) of the products' titles and attributes."""
    texts = product_texts(dataset, data)
    return TextEncoder().encode([texts.get(product, "") for product in events.products])


def product_texts(dataset: str, data: Path) -> dict[str, str]:
    """Title and attributes by product. Of amazon-beauty title and brand: its descriptions were made from reviews."""
    if dataset == "amazon-beauty":
        rows = json.loads((data / dataset / "processed_item_information.json").read_text(encoding="utf-8"))
        return {product: f"{row['title']} {row.get('brand') or ''}" for product, row in rows.items()}
    catalog = read_dataset("", data / dataset).catalog
    named = catalog.attributes.groupby("product_id")["value"].agg(" ".join)
    titles = catalog.products.set_index("product_id")["title"]
    return {product: f"{title}. {named.get(product, '')}" for product, title in titles.items()}


def write_lists(path: Path, events: Events, scores: Scores, part: str) -> None:
    """The top 100 of every consumer with an event in the part, best first."""
    consumers = np.unique(events.targets(part)["consumer"])
    lists = scores[consumers]
    order = np.argsort(-lists, axis=1, kind="stable")[:, :DEPTH]
    shown = np.isfinite(np.take_along_axis(lists, order, axis=1))
    row, place = np.nonzero(shown)
    columns = {
        "consumer_id": events.consumers[consumers[row]],
        "product_id": events.products[order[row, place]],
        "rank": place + 1,
    }
    pd.DataFrame(columns).to_csv(path, index=False)


def bench_score(bench: Path, data: Path, dataset: str, task: str, *arguments: str | Path) -> dict[str, Any]:
    """The answer of the benchmark's script."""
    command = [sys.executable, str(bench / "score.py"), "--dataset", dataset, "--split", SPLITS[task], "--task", task]
    command += ["--data", str(data), *map(str, arguments)]
    answer: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return answer


def module_of(path: Path, name: str) -> ModuleType:
    """A script as a module of that name, without its folder on the path."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise typer.BadParameter(f"{path} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    typer.run(main)
