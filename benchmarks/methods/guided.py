"""Guided embedding refinement against its base and its controls, on the benchmark's fixed splits.

    python -m benchmarks.methods.guided fit --dataset ml-100k [--task cold] [--valid]
    python -m benchmarks.methods.guided report --dataset ml-100k [--task cold]

COUNTERPOINT_BENCH and COUNTERPOINT_DATA name the benchmark's and the data's folders. `fit` trains the variants on train
(what is there already is not trained again), keeps each one's best epoch on valid and writes its lists for test, asked
after train and valid; with `--valid` it tells the quality on valid and writes nothing. Cold products have no history to
choose an epoch by: there all epochs are trained, on train and valid. `report` has the lists scored by the benchmark's
own script, once, and writes benchmarks/results/methods/guided-DATASET.json, or guided-cold-DATASET.json.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from safetensors.torch import load_file, save_file

from benchmarks.methods.guided_scores import Catalogue, Source, audit, read_catalogue, scores_of
from benchmarks.methods.sequences import wanted
from benchmarks.ranking import SPLITS, Events, bench_score, read_events, write_lists
from benchmarks.record import write_result
from models.backbones.experts import Popularity
from models.backbones.histories import Histories, Scores
from models.backbones.next_product import already_had
from models.backbones.refined import RefinedConfig, RefinedNetwork
from models.backbones.sequences.encoders import EncoderConfig
from models.backbones.sequences.network import Kind, ProductTable, SequenceNetwork, make_encoder
from models.backbones.sequences.ranking import HeldOut, log_chances
from models.backbones.sequences.training import Judge, TrainingConfig, train
from models.base import RunContext
from models.training import n_parameters, seeded

app = typer.Typer(add_completion=False)


@dataclass(frozen=True)
class Setting:
    """How base and refined model of a dataset are trained; chosen on valid."""

    widths: EncoderConfig
    base: TrainingConfig
    refined: TrainingConfig
    refinement: RefinedConfig


@dataclass(frozen=True)
class Variant:
    """What takes the place of the last m coordinates, and what of it is learned."""

    source: Source
    config: dict[str, Any]


REFINED = TrainingConfig(epochs=8, patience=8, batch_size=128, learning_rate=3e-3)
CHOSEN = {
    "ml-100k": Setting(
        EncoderConfig(embedding_size=64, n_layers=1, length=30, dropout=0.2),
        TrainingConfig(epochs=12, patience=12, batch_size=128, learning_rate=5e-3, max_candidates=512),
        REFINED.model_copy(update={"epochs": 6, "max_candidates": 512}),
        RefinedConfig(),
    ),
    "amazon-musical-instruments": Setting(
        EncoderConfig(embedding_size=64, n_layers=2, length=50, dropout=0.3),
        TrainingConfig(epochs=20, patience=20, batch_size=128, learning_rate=3e-3),
        REFINED,
        RefinedConfig(),
    ),
}
"""By dataset; the same for every encoder."""
TRIED = {
    "ml-100k": "none: as on amazon-musical-instruments, with fewer epochs and a sampled softmax to save time",
    "amazon-musical-instruments": "8 settings of the refined stage and 2 of the base, sasrec, seed 0, by hand",
}
VARIANTS = {
    "guided": Variant("facts", {}),
    "guided_language_model": Variant("language_model", {}),
    "random_columns": Variant("random", {}),
    "text_columns": Variant("text", {}),
    "products_only": Variant("facts", {"consumers": "absent"}),
    "consumers_only": Variant("facts", {"products": "absent"}),
    "products_trained": Variant("facts", {"products": "trained"}),
    "consumers_fixed": Variant("facts", {"consumers": "frozen"}),
    "linear_reduction": Variant("facts", {"reduction": "linear"}),
}
"""All go on from the same base model; `base_longer` is the base itself, trained on as long as they are."""
BASE, LONGER, POPULARITY = "base", "base_longer", "popularity"
CONTRASTS = (("guided", BASE), ("guided", LONGER), ("guided", "random_columns"), ("guided", "text_columns"))
METRICS = ("mrr", "hr@10", "ndcg@10")


@dataclass(frozen=True, eq=False)
class Bench:
    """One dataset and task: who had what, what products are, and where files lie."""

    dataset: str
    task: str
    bench: Path
    data: Path
    events: Events
    catalogue: Catalogue
    folder: Path

    @classmethod
    def open(cls, dataset: str, task: str, bench: Path, data: Path, output: Path) -> Bench:
        """Reads the split and the catalogue."""
        events = read_events(bench, data, dataset, SPLITS[task])
        catalogue = read_catalogue(dataset, data, [str(it) for it in events.products], output / dataset)
        folder = output / dataset / task
        folder.mkdir(parents=True, exist_ok=True)
        return cls(dataset, task, bench, data, events, catalogue, folder)

    @property
    def setting(self) -> Setting:
        """The one chosen for the dataset."""
        return CHOSEN[self.dataset]

    def judge(self, network: SequenceNetwork, length: int) -> Judge | None:
        """NDCG@10 on valid; None for cold products."""
        if self.task == "cold":
            return None
        held_out = HeldOut(self.events.histories("train"), wanted(self.events, "valid"))
        return lambda: held_out.ndcg(network, length)

    def shown(self, scores: Scores, known: Histories, part: str) -> Scores:
        """Scores (U, P) with -inf for what may not be listed: what was had, or, of cold ones, all others."""
        if self.task == "cold":
            outside = np.setdiff1d(np.arange(known.n_products), self.events.targets(part)["product"])
            scores = scores.copy()
            scores[:, outside] = -np.inf
            return scores
        return np.where(already_had(known), -np.inf, scores)


def fitted(
    bench: Bench, known: Histories, encoder: Kind, seed: int, names: list[str], keep: Callable[[str, Any, float], None]
) -> None:
    """Trains what goes on from the base model; `keep` is given name, network and processor seconds of each."""
    base, before = trained_base(bench, known, encoder, seed)
    state, setting, run = base.state_dict(), bench.setting, RunContext(seed=seed)
    if BASE in names:
        keep(BASE, base, before)
    for name in names:
        if name == BASE:
            continue
        started, fresh = time.process_time(), base_network(known.n_products, encoder, setting, seed)
        fresh.load_state_dict(state)
        with seeded(seed):
            network = fresh if name == LONGER else refined_network(bench, known, fresh, VARIANTS[name], setting, seed)
        length = setting.widths.length
        train(network, known, length, setting.refined, run, bench.judge(network, length))
        if bench.task == "cold" and isinstance(network, RefinedNetwork):
            forget_unknown(network, known)
        keep(name, network, before + time.process_time() - started)


def trained_base(bench: Bench, known: Histories, encoder: Kind, seed: int) -> tuple[SequenceNetwork, float]:
    """The base model and the processor seconds it took, which are both kept: every variant goes on from it."""
    setting, path = bench.setting, bench.folder / f"{encoder}.{seed}.safetensors"
    base, length = base_network(known.n_products, encoder, setting, seed), setting.widths.length
    if path.exists():
        state = load_file(path)
        seconds = float(state.pop("processor_seconds"))
        base.load_state_dict(state)
        return base.eval(), seconds
    started = time.process_time()
    train(base, known, length, setting.base, RunContext(seed=seed), bench.judge(base, length))
    seconds = time.process_time() - started
    save_file({**base.state_dict(), "processor_seconds": torch.tensor(seconds)}, path)
    return base, seconds


def base_network(n_products: int, encoder: Kind, setting: Setting, seed: int) -> SequenceNetwork:
    """An untrained base model."""
    with seeded(seed):
        table = ProductTable(n_products, setting.widths.embedding_size)
        return SequenceNetwork(table, make_encoder(encoder, setting.widths))


def refined_network(
    bench: Bench, known: Histories, base: SequenceNetwork, variant: Variant, setting: Setting, seed: int
) -> RefinedNetwork:
    """The base model with the variant's columns; their statistics are those of products with an event."""
    columns = scores_of(variant.source, bench.catalogue, np.flatnonzero(known.counts > 0), seed)
    config = setting.refinement.model_copy(update=variant.config)
    return RefinedNetwork(base, torch.from_numpy(columns), config)


def forget_unknown(network: RefinedNetwork, known: Histories) -> None:
    """Products without an event are ranked by their attributes alone."""
    unknown = torch.from_numpy(np.flatnonzero(known.counts == 0))
    network.table.forget(unknown)
    with torch.no_grad():
        network.bias[unknown] = 0.0


@app.command()
def fit(
    dataset: Annotated[str, typer.Option(help="Name of the dataset's folder.")],
    bench: Annotated[Path, typer.Option(envvar="COUNTERPOINT_BENCH", help="Folder of the splits and of score.py.")],
    data: Annotated[Path, typer.Option(envvar="COUNTERPOINT_DATA", help="Folder of the datasets.")],
    task: Annotated[str, typer.Option(help="`ranking`, or `cold`: products without an event.")] = "ranking",
    encoder: Annotated[list[str], typer.Option(help="sasrec, gru4rec or bert4rec.")] = ["sasrec"],  # noqa: B006
    seed: Annotated[list[int], typer.Option(help="Of start and batches.")] = [0],  # noqa: B006
    variant: Annotated[list[str], typer.Option(help="Default: base, base_longer and the main four.")] = [],  # noqa: B006
    valid: Annotated[bool, typer.Option("--valid", help="Fit on train, judge on valid, write nothing.")] = False,
    output: Annotated[Path, typer.Option(help="Where lists go.")] = Path(".counterpoint/methods/guided"),
) -> None:
    """Trains what is not there yet and writes its lists."""
    opened = Bench.open(dataset, task, bench, data, output)
    names = variant or [BASE, LONGER, *list(VARIANTS)[:4]]
    for kind in encoder:
        for number in seed:
            _fit_one(opened, kind, number, names, valid)  # type: ignore[arg-type]


def _fit_one(opened: Bench, encoder: Kind, seed: int, names: list[str], valid: bool) -> None:
    part, whole = "valid" if valid else "test", opened.events.histories("train", "valid")
    learned_from = opened.events.histories("train") if valid or opened.task == "ranking" else whole
    known = learned_from if valid else whole

    def path(name: str) -> Path:
        return opened.folder / f"{encoder}.{seed}.{name}.csv.gz"

    def keep(name: str, network: SequenceNetwork, seconds: float) -> None:
        started = time.process_time()
        scores = log_chances([network], known, opened.setting.widths.length)
        scoring = time.process_time() - started
        lists = opened.shown(scores, known, part)
        typer.echo(json.dumps({"encoder": encoder, "seed": seed, "variant": name, "seconds": round(seconds, 1)}))
        if valid:
            typer.echo(json.dumps(quality(lists, opened.events.targets(part))))
            return
        write_lists(path(name), opened.events, lists, part)
        facts = {
            "fit_processor_seconds": seconds,
            "score_processor_seconds": scoring,
            "parameters": size(network),
            **learned(network),
        }
        path(name).with_suffix("").with_suffix(".json").write_text(json.dumps(facts))

    missing = [name for name in names if valid or not path(name).exists()]
    if missing:
        fitted(opened, learned_from, encoder, seed, missing, keep)


def size(network: SequenceNetwork) -> dict[str, int]:
    """Parameters: all, and those that are trained."""
    return {"all": sum(it.numel() for it in network.parameters()), "trained": n_parameters(network)}


def learned(network: SequenceNetwork) -> dict[str, Any]:
    """Gains by attribute and mean drift of a refined model."""
    if not isinstance(network, RefinedNetwork):
        return {}
    return {"gain": network.gain.tolist(), "shift": network.shift.tolist()}


def quality(lists: Scores, targets: Any) -> dict[str, float]:
    """MRR, HR@10 and NDCG@10 of lists (U, P) on valid; several targets of a consumer count one by one."""
    consumer, product = targets["consumer"].to_numpy(), targets["product"].to_numpy()
    own = lists[consumer, product][:, None]
    rank = (lists[consumer] > own).sum(1) + ((lists[consumer] == own).sum(1) - 1) / 2 + 1
    near = rank <= 10
    figures = {"mrr": (1 / rank).mean(), "hr@10": near.mean(), "ndcg@10": (near / np.log2(rank + 1)).mean()}
    return {name: round(float(value), 4) for name, value in figures.items()}


@app.command()
def report(
    dataset: Annotated[str, typer.Option(help="Name of the dataset's folder.")],
    bench: Annotated[Path, typer.Option(envvar="COUNTERPOINT_BENCH", help="Folder of the splits and of score.py.")],
    data: Annotated[Path, typer.Option(envvar="COUNTERPOINT_DATA", help="Folder of the datasets.")],
    task: Annotated[str, typer.Option(help="`ranking` or `cold`.")] = "ranking",
    output: Annotated[Path, typer.Option(help="Where lists are.")] = Path(".counterpoint/methods/guided"),
) -> None:
    """Has every list scored once and writes the result file."""
    opened = Bench.open(dataset, task, bench, data, output)
    _write_floors(opened)
    files = {path.name.removesuffix(".csv.gz"): path for path in sorted(opened.folder.glob("*.csv.gz"))}
    scored = {name: _scored(opened, path) for name, path in files.items()}
    figures = {
        "dataset": dataset,
        "split": SPLITS[task],
        "settings": _told(opened.setting),
        "settings_tried_on_valid": TRIED[dataset],
        "floors": {name: it for name, it in scored.items() if "." not in name},
        "by_encoder": {encoder: _by_variant(opened, encoder, scored) for encoder in _encoders(files)},
        "differences": _differences(opened, files),
    }
    if task == "ranking":
        figures["audit"] = audit(opened.catalogue, np.flatnonzero(opened.events.histories("train", "valid").counts > 0))
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


def _scored(opened: Bench, path: Path) -> dict[str, Any]:
    answer = bench_score(opened.bench, opened.data, opened.dataset, opened.task, path)
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


def _differences(opened: Bench, files: dict[str, Path]) -> dict[str, Any]:
    """By encoder and seed: guided less each control, with the interval of the same resamples."""
    found: dict[str, Any] = {}
    for key in files:
        if key.count(".") != 2:
            continue
        encoder, seed, name = key.split(".")
        for ours, other in CONTRASTS:
            rival = files.get(f"{encoder}.{seed}.{other}")
            if name != ours or rival is None:
                continue
            answer = bench_score(opened.bench, opened.data, opened.dataset, opened.task, "--compare", rival, files[key])
            found[f"{encoder}.{seed}.{ours} minus {other}"] = {metric: answer["compare"][metric] for metric in METRICS}
    return found


def _encoders(files: dict[str, Path]) -> list[Any]:
    return sorted({name.split(".")[0] for name in files if name.count(".") == 2})


def _told(setting: Setting) -> dict[str, Any]:
    """A setting as JSON."""
    parts = (setting.widths, setting.base, setting.refined, setting.refinement)
    return {name: it.model_dump() for name, it in zip(("widths", "base", "refined", "refinement"), parts, strict=True)}


if __name__ == "__main__":
    app()
