"""What is told of an hour of load."""

from __future__ import annotations

from benchmarks.latency import Latency
from benchmarks.soak import Minute, figures


def _minute(memory_mb: float, failed: int = 0) -> Minute:
    latency = Latency("/v1/score", 500, failed, 100, 10.0, 20.0, 30.0, 40.0, 10.0)
    return Minute(memory_mb, latency, latency)


def test_growth_is_told_from_when_caches_are_full() -> None:
    """The first five minutes do not count; then 2 MB a minute of 1,000 answers are 2 MB per thousand."""
    told = figures([_minute(it) for it in (100, 300, 400, 450, 480, 500, 502, 504, 506, 508)])
    assert (told["memory_mb_warm"], told["memory_mb_last"]) == (500, 508)
    assert told["growth_mb_per_1000"] == 2.0


def test_memory_that_stays_does_not_grow_and_failures_are_counted() -> None:
    told = figures([_minute(500, failed=1) for _ in range(8)])
    assert told["growth_mb_per_1000"] == 0.0
    assert (told["n_requests"], told["n_failed"]) == (8000, 16)
