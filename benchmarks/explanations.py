"""What explanations cost; each command writes a result file and a plot under `benchmarks/results/explanations/`.

python -m benchmarks.explanations throughput                 # the embedded engine's texts per second
python -m benchmarks.explanations throughput --baseline      # and transformers' `generate` beside it
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from benchmarks import throughput as speed
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


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    app()
