"""The service without its online store.

A Redis server is held (it takes connections and says nothing) and killed (it refuses them), and comes back each time,
while good requests come.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.good_requests import Good, good_bodies, p99
from benchmarks.proofs import Proof
from benchmarks.redis_server import RedisServer, redis_server
from benchmarks.small_home import small_home
from counterpoint.server import running_service
from features.settings import HostSettings

MAX_DOWN_MS, MAX_BACK_SECONDS = 80.0, 5.0
RATE = 6.0
SECONDS = 30.0
"""Of each phase: well, held, back, killed, back."""
PROMISE = "a lost online store leaves the service answering, soon, and saying so"


def prove(seconds: float = SECONDS) -> Proof:
    """Makes a release of the built-in world on Redis, and takes Redis away."""
    if not shutil.which("redis-server"):
        return Proof(PROMISE, False, not_run="there is no redis-server; apt-get install redis-server")
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as redis:
        out = outage(small_home(Path(folder), redis), redis, seconds)
    parts = {
        "all answered, all said so": not (out.n_failed or out.n_silent),
        f"p99 at most {MAX_DOWN_MS:g} ms": max(out.p99_ms.values()) <= MAX_DOWN_MS,
        f"back within {MAX_BACK_SECONDS:g} s": max(out.back_seconds.values()) <= MAX_BACK_SECONDS,
    }
    return Proof(PROMISE, all(parts.values()), {"parts": parts, **asdict(out)})


@dataclass(frozen=True)
class Outage:
    """What was answered while the online store was held, and while it was gone."""

    n_answers: int
    n_failed: int
    n_silent: int
    """Answers of the middle of an outage that do not say that the store is missing."""
    well_p99_ms: float
    p99_ms: dict[str, float]
    """Over all of each outage, its first moments included."""
    max_ms: dict[str, float]
    back_seconds: dict[str, float]
    """From when the store was back until the last answer without it."""


def outage(settings: HostSettings, redis: RedisServer, seconds: float) -> Outage:
    """Holds the store, lets it go, kills it, starts it again; good requests all the while."""
    bodies = good_bodies(settings)
    with running_service(settings, settings.home / "outage.log") as url:
        Good(url, bodies, RATE).during(lambda: time.sleep(2))
        well = Good(url, bodies, RATE).during(lambda: time.sleep(seconds))
        found = {
            name: _one_outage(Good(url, bodies, RATE), begin, end, seconds)
            for name, begin, end in (("held", redis.hold, redis.release), ("killed", redis.kill, redis.start))
        }
    return Outage(
        n_answers=sum(len(it.during.milliseconds) for it in found.values()),
        n_failed=well.n_failed + sum(it.during.n_failed for it in found.values()),
        n_silent=sum(it.n_silent for it in found.values()),
        well_p99_ms=p99(well.milliseconds),
        p99_ms={name: p99(it.without) for name, it in found.items()},
        max_ms={name: round(max(it.without), 1) for name, it in found.items()},
        back_seconds={name: it.back_seconds for name, it in found.items()},
    )


@dataclass(frozen=True)
class _Without:
    """One outage: its requests, the milliseconds of those sent during it, and what came after."""

    during: Good
    without: list[float]
    n_silent: int
    back_seconds: float


def _one_outage(good: Good, begin: Callable[[], None], end: Callable[[], None], seconds: float) -> _Without:
    times: list[float] = []

    def play() -> None:
        begin()
        times.append(time.perf_counter())
        time.sleep(seconds)
        times.append(time.perf_counter())
        end()
        times.append(time.perf_counter())
        time.sleep(seconds)

    good.during(play)
    begun, ending, ended = times
    without = [it for it in good.served if begun <= it.due < ending and it.answer is not None]
    lacking = [it.due for it in good.served if it.answer is not None and it.answer["degraded"]]
    silent = [it for it in without if "online store" not in str(it.answer and it.answer["cause"])]
    return _Without(
        during=good,
        without=[it.milliseconds for it in without],
        n_silent=len(silent),
        back_seconds=round(max([0.0, *(due - ended for due in lacking)]), 2),
    )
