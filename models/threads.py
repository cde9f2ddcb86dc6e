"""How many threads torch may use: they spin while they wait for each other, so more than are free cost dearly."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def torch_threads(n: int) -> Iterator[None]:
    """Torch's own number of threads inside; what it was before, after. Process-wide."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def free_cores() -> int:
    """The cores that the load of the last minute leaves free, at least one.

    Torch's threads spin while they wait for each other: two of them on one free core were about ten times slower
    than a single one.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, min(cores, round(cores - load)))
