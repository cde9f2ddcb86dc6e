"""What the service counts, for Prometheus: the names, in one place. `docs/operations.md` has the same table.

No label holds an id or a text: routes, methods, statuses and kinds only, so there are few series and nobody is in them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds of the histogram; the promised 15, 60 and 80 ms are among them."""


@dataclass(frozen=True)
class Metrics:
    """One field per metric."""

    requests: Counter
    seconds: Histogram
    stage_seconds: Histogram
    in_work: Gauge
    refusals: Counter
    store_reads: Counter
    store_left_alone: Gauge
    releases: Counter
    release_as_of: Gauge


@cache
def metrics() -> Metrics:
    """The metrics of this process. Prometheus keeps them in files where PROMETHEUS_MULTIPROC_DIR says so."""
    from prometheus_client import Counter, Gauge, Histogram

    return Metrics(
        requests=Counter("counterpoint_requests_total", "Requests answered.", ("route", "method", "status")),
        seconds=Histogram("counterpoint_request_seconds", "From header to answer.", ("route",), buckets=SECONDS),
        stage_seconds=Histogram(
            "counterpoint_stage_seconds", "Of an answer, by what they went into.", ("stage",), buckets=SECONDS
        ),
        in_work=Gauge("counterpoint_requests_in_work", "Requests in work now.", multiprocess_mode="livesum"),
        refusals=Counter("counterpoint_refusals_total", "Requests answered by a problem.", ("kind",)),
        store_reads=Counter("counterpoint_store_reads_total", "Reads of the online store.", ("outcome",)),
        store_left_alone=Gauge(
            "counterpoint_store_left_alone", "1 while the online store is not asked.", multiprocess_mode="livemax"
        ),
        releases=Counter("counterpoint_releases_total", "Releases opened to be served.", ("outcome",)),
        release_as_of=Gauge(
            "counterpoint_release_as_of_seconds", "Unix time that the live release knows.", multiprocess_mode="livemax"
        ),
    )


def exposition() -> bytes:
    """What /metrics answers: of all processes of this server, if it has several."""
    from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
