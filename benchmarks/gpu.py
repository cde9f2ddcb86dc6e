"""How fast the embedded engine writes on a CUDA device; writes `benchmarks/results/gpu/explanations.json`.

python -m benchmarks.gpu
"""

from __future__ import annotations

import sys
from typing import Annotated

import torch
import typer

from benchmarks import throughput as speed
from benchmarks.record import write_result
from features.settings import HostSettings


def main(
    batch_sizes: Annotated[str, typer.Option(help="Rows decoded together, by commas.")] = "64,256,1024",
    texts: Annotated[int, typer.Option(help="Requests per call.")] = 2048,
    repeats: Annotated[int, typer.Option(help="Calls after the first, of which best and median are given.")] = 3,
) -> None:
    """Texts per second of the embedded engine on the first CUDA device."""
    check_device()
    engine, loading = speed.loaded(HostSettings.from_environment().models, "cuda")
    sizes = [int(size) for size in batch_sizes.split(",")]
    runs = [kind(engine, size, 1, texts, repeats) for kind in (speed.forced, speed.natural) for size in sizes]
    figures = {
        "device": torch.cuda.get_device_name(),
        "cuda": torch.version.cuda,
        **loading,
        "peak_device_memory_mib": round(torch.cuda.max_memory_allocated() / 2**20),
        "runs": [run.figures() for run in runs],
    }
    for run in runs:
        typer.echo(f"{run.answers} batch {run.batch_size}: {run.texts_per_second:.1f} texts/s")
    typer.echo(f"written to {write_result('gpu/explanations', figures)}")


def check_device() -> None:
    """Ends the program where torch sees no CUDA device."""
    if not torch.cuda.is_available():
        sys.exit(
            f"torch {torch.__version__} sees no CUDA device, so there is nothing to measure. This needs an NVIDIA "
            "device with its driver and a CUDA build of torch; `python -m benchmarks.explanations throughput` "
            "measures the CPU."
        )


if __name__ == "__main__":
    typer.run(main)
