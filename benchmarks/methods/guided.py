"""Guided embedding refinement against its base and its controls, on the benchmark's fixed splits.

    python -m benchmarks.methods.guided fit --dataset ml-100k [--task cold] [--valid]
    python -m benchmarks.methods.guided report --dataset ml-100k [--task cold]

COUNTERPOINT_BENCH and COUNTERPOINT_DATA name the benchmark's and the data's folders. `fit` trains the variants on train
(what is there already is not trained again), keeps each one's best epoch on valid and writes its lists for test, asked
after train and valid; with `--valid` it tells the quality on valid and writes nothing. Cold products have no history to
choose an epoch by: there all epochs are trained, on train and valid. `report` has the lists scored by the benchmark's
own script, once, and writes benchmarks/results/methods/guided-DATASET.json, or guided-cold-DATASET.json.

The variants guided_untuned, guided_tuned, guided_tuned_rec and guided_tuned_format are trained where `--variant` names
them; the language model behind them is tuned first (`guided_tuned`), and a stopped tuning goes on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from safetensors.torch import load_file, save_file

from benchmarks.methods.guided_bench import BASE, LONGER, VARIANTS, Bench, Setting, Variant
from benchmarks.methods.guided_report import report
from benchmarks.methods.guided_scores import Floats, scores_of
from benchmarks.methods.guided_tuned import TUNINGS, listed_columns
from benchmarks.ranking import ndcg, ranks, write_lists
from models.backbones.histories import Histories, Scores
from models.backbones.refined import RefinedNetwork
from models.backbones.sequences.network import Kind, ProductTable, SequenceNetwork, make_encoder
from models.backbones.sequences.ranking import log_chances
from models.backbones.sequences.training import train
from models.base import RunContext
from models.training import n_parameters, seeded

app = typer.Typer(add_completion=False)
app.command()(report)


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
        columns = None if name == LONGER else columns_of(bench, known, base, VARIANTS[name], encoder, seed)
        started, fresh = time.process_time(), base_network(known.n_products, encoder, setting, seed)
        fresh.load_state_dict(state)
        with seeded(seed):
            network = fresh if columns is None else refined_network(fresh, columns, VARIANTS[name], setting)
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


def columns_of(
    bench: Bench, known: Histories, base: SequenceNetwork, variant: Variant, encoder: Kind, seed: int
) -> Floats:
    """(P, m) the variant's columns, whose statistics are those of products with an event."""
    if variant.source in TUNINGS:
        return listed_columns(bench, known, base, variant.source, f"{encoder}.{seed}", seed)
    return scores_of(variant.source, bench.catalogue, np.flatnonzero(known.counts > 0), seed)


def refined_network(base: SequenceNetwork, columns: Floats, variant: Variant, setting: Setting) -> RefinedNetwork:
    """The base model with the variant's columns."""
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
    encoder: Annotated[list[str], typer.Option(help="sasrec, gru4rec, bert4rec or diffurec.")] = ["sasrec"],  # noqa: B006
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
    rank = ranks(lists, targets)
    figures = {"mrr": (1 / rank).mean(), "hr@10": (rank <= 10).mean(), "ndcg@10": ndcg(lists, targets)}
    return {name: round(float(value), 4) for name, value in figures.items()}


if __name__ == "__main__":
    app()
