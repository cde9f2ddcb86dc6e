"""The home that a benchmark of the service asks: one that is named, or one made (`benchmarks/large_catalog.py`)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from benchmarks.redis_server import redis_server
from features.settings import HostSettings


@contextmanager
def large_home(home: str = "", products: int = 10_000, redis: bool = False) -> Iterator[HostSettings]:
    """A home with a live release for the duration of a `with` block; this process's environment names it.

    Args:
        home: one that is there; by default one is made.
        products: of the one that is made.
        redis: keep its online rows in a Redis server of its own instead of SQLite.
    """
    from flows.workspace import prepare_environment

    with tempfile.TemporaryDirectory() as made, redis_server(Path(made)) if redis else nullcontext() as server:
        os.environ |= {"COUNTERPOINT_HOME": home or made}
        if server:
            os.environ |= {"COUNTERPOINT_ONLINE_STORE": "redis", "COUNTERPOINT_REDIS": server.address}
        settings = HostSettings.from_environment()
        os.environ["BENTOML_HOME"] = str(settings.bentoml)
        prepare_environment(settings)
        if not home:
            from benchmarks.large_catalog import CatalogSize, build_home

            build_home(settings, CatalogSize(products=products))
        yield settings
