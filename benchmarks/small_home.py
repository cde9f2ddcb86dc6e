"""A home with a live release of the built-in world. Shared by the proofs.

It has few words of a language model: who words the texts makes no difference to whether a service answers.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.redis_server import RedisServer
from features.settings import HostSettings

RECIPE = """
[data]
name = "world"
layout = "world"
n_consumers = 300
n_products = 200
n_interactions = 6000

[explain]
n_per_stance = 1
n_pairs = 4
max_calls = 12

[method]
name = "lr_recsys"
"""


def small_home(folder: Path, redis: RedisServer | None = None) -> HostSettings:
    """Makes one in an empty folder, with its online features in SQLite or in a Redis server."""
    environment = {"COUNTERPOINT_HOME": str(folder)}
    if redis:
        environment |= {"COUNTERPOINT_ONLINE_STORE": "redis", "COUNTERPOINT_REDIS": redis.address}
    recipe = folder / "small.toml"
    recipe.write_text(RECIPE)
    command = [sys.executable, "-m", "counterpoint", "run", "--recipe", str(recipe)]
    subprocess.run(command, env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL)
    return HostSettings.from_environment(environment)
