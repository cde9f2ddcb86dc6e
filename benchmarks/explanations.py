"""What explanations cost; each command writes a result file and a plot under `benchmarks/results/explanations/`.

python -m benchmarks.explanations throughput                 # the embedded engine's texts per second
python -m benchmarks.explanations throughput --baseline      # and transformers' `generate` beside it
python -m benchmarks.explanations gates                      # the gates' share of the time a text takes
python -m benchmarks.explanations incremental                # calls after a change of some products
"""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from benchmarks import throughput as speed
from benchmarks.gate_cost import gate_cost
from benchmarks.proofs.incremental import Size, measure_pairs
from benchmarks.record import RESULTS, write_result
from features.settings import HostSettings

FOLDER = "explanations"
app = typer.Typer(help=__doc__, add_completion=False)


@app.callback()
def main() -> None:
    """What explanations cost."""


@app.command()
def throughput(
    batch_sizes: Annotated[str, typer.Option(help="Rows decoded together, by commas.")] = "16,32,64,128",
    threads: Annotated[str, typer.Option(help="Of torch, by commas.")] = "1,2",
    texts: Annotated[int, typer.Option(help="Requests per call.")] = 128,
    repeats: Annotated[int, typer.Option(help="Calls after the first, of which best and median are given.")] = 3,
    baseline: Annotated[bool, typer.Option(help="Also measures transformers' generate, 32 rows.")] = False,
) -> None:
    """Texts per second of the embedded engine, by batch size and threads."""
    load = os.getloadavg()[0]
    folder = HostSettings.from_environment().models
    engine, loading = speed.loaded(folder)
    settings = [(size, n) for n in _numbers(threads) for size in _numbers(batch_sizes)]
    speeds = []
    for kind in (speed.forced, speed.natural):
        for size, n in settings:
            speeds.append(kind(engine, size, n, texts, repeats))
            typer.echo(f"{kind.__name__} batch {size} threads {n}: {speeds[-1].texts_per_second:.2f} texts/s")
    figures = {
        "prompt_tokens": {"shared": speed.SHARED_TOKENS, "own": speed.OWN_TOKENS},
        "load_before": round(load, 2),
        "machine_was_idle": max(load, *(each.load_before - each.threads for each in speeds)) < 0.3,
        **loading,
        "runs": [each.figures() for each in speeds],
    }
    if baseline:
        requests, most = speed.fixed_requests(engine, 32), max(_numbers(threads))
        figures["transformers_generate"] = speed.transformers_speed(engine._model.folder, requests, most, repeats)
    path = write_result(f"{FOLDER}/throughput", figures)
    speed.plot(speeds, RESULTS / FOLDER / "throughput.png")
    typer.echo(f"written to {path}")


@app.command()
def gates(
    texts_per_second: Annotated[float, typer.Option(help="The generation's speed, as `throughput` measured it.")],
) -> None:
    """Microseconds a claim takes in the gates, and their share of the time it takes in all."""
    figures = gate_cost()
    share = 1e-6 * figures["microseconds_per_claim"] * texts_per_second
    path = write_result(f"{FOLDER}/gates", {**figures, "texts_per_second": texts_per_second, "share": round(share, 5)})
    typer.echo(f"written to {path}")


@app.command()
def incremental(
    shares: Annotated[str, typer.Option(help="Of the products that change, by commas.")] = "0.005,0.01,0.02,0.05,0.1",
) -> None:
    """Calls after some products were renamed, beside an oracle's and beside making everything again."""
    size = Size(800, 200, 25_000, 10_000)
    runs = [{"share": float(part), **measure_pairs(size, float(part))} for part in shares.split(",")]
    path = write_result(f"{FOLDER}/incremental", {"runs": runs})
    _plot_incremental(runs)
    typer.echo(f"written to {path}")


def _plot_incremental(runs: list[dict[str, Any]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    changed = [100 * run["share"] for run in runs]
    for name, key, style in (
        ("everything again", "requests", "k:"),
        ("an oracle", "oracle", "s"),
        ("made", "calls", "o-"),
    ):
        axes.plot(changed, [run[key] for run in runs], style, label=name, markerfacecolor="none", markersize=9)
    axes.set_yscale("log")
    axes.set(xlabel="products changed, %", ylabel="model calls", title="10,000 pairs, some products renamed")
    axes.legend(frameon=False)
    figure.savefig(RESULTS / FOLDER / "incremental.png", dpi=120, metadata={"Software": None})


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    app()
