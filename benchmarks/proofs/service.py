"""The service under attack, without its online store, and while releases change under it.

Good requests are sent on a fixed clock by `benchmarks/latency.py`'s measure: first alone, then beside hostile ones
(`benchmarks/hostile.py`). Then, where `redis-server` is installed, the online store is held (it takes connections and
says nothing) and killed (it refuses them), and comes back each time. At last the live release is changed every second.
Client and service share the machine; each client has a process of its own.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np

from benchmarks.hostile import Hostile, good_examples, hostile_requests
from benchmarks.latency import unpaused
from benchmarks.proofs import Proof
from benchmarks.redis_server import RedisServer, redis_server
from counterpoint.server import running_service
from features.settings import HostSettings
from models.release import ReleaseStore

Came = TypeVar("Came")

MAX_SLOWER, MAX_DOWN_MS, MAX_BACK_SECONDS = 1.5, 80.0, 5.0
CHUNK = 65_536
N_CANDIDATES, N_CONSUMERS = 100, 50
WELL_FORMED = 0.06
"""About this share of the hostile requests is answered by 200."""
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
"""The built-in world with few words of a language model: who words the texts makes no difference here."""
SERVER_REFUSES = b"Invalid HTTP request received."
"""What uvicorn answers to bytes that are no HTTP; no application sees them."""


@dataclass(frozen=True)
class Size:
    """How much of it; the everyday tests take less."""

    n_hostile: int = 10_000
    hostile_rate: float = 20.0
    """Hostile requests a second at most, so that the two clients do not fight for the machine."""
    rate: float = 4.0
    """Good requests a second, of 100 products each: few enough that a delay is not a queue."""
    alone_seconds: float = 90.0
    outage_rate: float = 6.0
    outage_seconds: float = 30.0
    """Of each phase: well, held, back, killed, back."""
    n_switches: int = 20
    seed: int = 0


def prove(size: Size | None = None) -> Proof:
    """Makes a release of the built-in world, on Redis if there is one, and tries to break its service."""
    size = size or Size()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        environment, redis = {"COUNTERPOINT_HOME": folder}, None
        if shutil.which("redis-server"):
            redis = stack.enter_context(redis_server(Path(folder)))
            environment |= {"COUNTERPOINT_ONLINE_STORE": "redis", "COUNTERPOINT_REDIS": redis.address}
        recipe = Path(folder) / "service.toml"
        recipe.write_text(RECIPE)
        command = [sys.executable, "-m", "counterpoint", "run", "--recipe", str(recipe)]
        subprocess.run(command, env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL)
        settings = HostSettings.from_environment(environment)
        figures: dict[str, Any] = {"size": asdict(size), "load_before": round(os.getloadavg()[0], 1)}
        figures["attack"] = asdict(attack(settings, size))
        figures["switches"] = asdict(switch(settings, size))
        if redis:
            figures["outage"] = asdict(outage(settings, redis, size))
    attacked, switched, out = figures["attack"], figures["switches"], figures.get("outage")
    kept = {
        "no 5xx, no traceback, every error a problem": not (
            attacked["n_5xx"] or attacked["n_tracebacks"] or attacked["n_no_problem"] or attacked["n_good_failed"]
        ),
        f"p99 at most {MAX_SLOWER} x": attacked["slower"] <= MAX_SLOWER,
        "no mixed answer": not (switched["n_mixed"] or switched["n_failed"]) and switched["n_releases"] > 1,
    }
    if out:
        kept["without the store: all answered, all said so"] = not (out["n_failed"] or out["n_silent"])
        kept[f"without the store: p99 at most {MAX_DOWN_MS:g} ms"] = max(out["p99_ms"].values()) <= MAX_DOWN_MS
        kept[f"back within {MAX_BACK_SECONDS:g} s"] = max(out["back_seconds"].values()) <= MAX_BACK_SECONDS
    promise = "bad input, a lost store and changing releases leave the service answering"
    return Proof(promise, all(kept.values()), {"parts": kept, **figures})


@dataclass(frozen=True)
class Attack:
    """What came of the hostile requests, and what the good ones had of it."""

    n_hostile: int
    statuses: dict[str, int]
    kinds: dict[str, int]
    n_5xx: int
    n_no_problem: int
    """Errors that are not problem+json with the promised members."""
    n_cut_off: int
    """Requests whose connection the service closed before their body was sent: the longest ones."""
    n_tracebacks: int
    n_good: int
    n_good_failed: int
    alone_p99_ms: float
    attacked_p99_ms: float
    slower: float
    """The second as a multiple of the first."""
    examples: list[str] = field(default_factory=list)
    """Of what should not have happened."""


def attack(settings: HostSettings, size: Size) -> Attack:
    """Sends hostile requests beside good ones."""
    log = settings.home / "attacked.log"
    with running_service(settings, log) as url:
        bodies = good_bodies(settings)
        Good(url, bodies, size.rate).during(lambda: time.sleep(2))  # warm
        document = httpx.get(f"{url}/docs.json").json()
        alone = Good(url, bodies, size.rate).during(lambda: in_another_process(_well_formed, url, document, size))
        came = list[_Came]()
        attacked = Good(url, bodies, size.rate).during(
            lambda: came.append(in_another_process(_all_sent, url, document, size))
        )
    (hostile,) = came
    p99 = [round(float(np.percentile(it.milliseconds, 99)), 1) for it in (alone, attacked)]
    return Attack(
        n_hostile=hostile.kinds.total(),
        statuses=dict(sorted(hostile.statuses.items())),
        kinds=dict(hostile.kinds),
        n_5xx=sum(n for status, n in hostile.statuses.items() if status.startswith("5")),
        n_no_problem=sum(it.startswith("no problem") for it in hostile.wrong),
        n_cut_off=hostile.statuses["cut off"],
        n_tracebacks=log.read_text(errors="replace").count("Traceback (most recent call last)"),
        n_good=len(alone.milliseconds) + len(attacked.milliseconds),
        n_good_failed=alone.n_failed + attacked.n_failed,
        alone_p99_ms=p99[0],
        attacked_p99_ms=p99[1],
        slower=round(p99[1] / p99[0], 2),
        examples=hostile.wrong[:20],
    )


def in_another_process(what: Callable[..., Came], *arguments: object) -> Came:
    """What a function gives, run where it does not hold up the clock of the good requests; waits for it."""
    with ProcessPoolExecutor(1, get_context("spawn")) as other:
        return other.submit(what, *arguments).result()


@dataclass(frozen=True)
class _Came:
    """What came of the hostile requests."""

    statuses: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def _all_sent(url: str, document: dict[str, Any], size: Size) -> _Came:
    """Sends the hostile requests on their clock."""
    came, started = _Came(), time.perf_counter()
    with httpx.Client(base_url=url, timeout=60) as client:
        for n, request in enumerate(hostile_requests(document, size.seed, size.n_hostile)):
            time.sleep(max(0.0, started + n / size.hostile_rate - time.perf_counter()))
            status, fault = sent(client, request)
            came.statuses[status] += 1
            came.kinds[request.kind] += 1
            came.wrong.extend([f"{fault}: {request.kind} {request.method} {request.path[:80]}"] if fault else [])
    return came


def _well_formed(url: str, document: dict[str, Any], size: Size) -> None:
    """Sends as many well-formed requests as turn up among the hostile ones: what is compared is bad input, not load."""
    examples = [*good_examples(document).items()]
    with httpx.Client(base_url=url, timeout=60) as client:
        for n in range(int(size.alone_seconds * size.hostile_rate * WELL_FORMED)):
            path, body = examples[n % len(examples)]
            client.post(path, json=body)
            time.sleep(1 / (size.hostile_rate * WELL_FORMED))


def sent(client: httpx.Client, request: Hostile) -> tuple[str, str]:
    """The status of a hostile request, and what is wrong with its answer, if anything."""
    content = _parts(request.body) if request.in_chunks else request.body
    try:
        answer = client.request(request.method, request.path, content=content, headers=request.headers)
    except httpx.TransportError:
        return "cut off", ""
    status = str(answer.status_code)
    if answer.status_code < 400 or answer.content == SERVER_REFUSES or request.method == "HEAD":
        return status, "5xx" if answer.status_code >= 500 else ""
    members = answer.json() if answer.headers["content-type"] == "application/problem+json" else {}
    is_problem = {"type", "title", "status", "detail", "instance", "request_id"} <= set(members)
    return status, "5xx" if answer.status_code >= 500 else "" if is_problem else "no problem"


def _parts(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), CHUNK):
        yield body[start : start + CHUNK]


@dataclass(frozen=True)
class Served:
    """One good request: when it was due, how long it took, and what was answered; None if nothing was."""

    due: float
    milliseconds: float
    answer: dict[str, Any] | None


@dataclass
class Good:
    """Good requests on a fixed clock; a latency counts from when its request was due."""

    url: str
    bodies: list[dict[str, Any]]
    rate: float
    served: list[Served] = field(default_factory=list)

    @property
    def n_failed(self) -> int:
        """Requests that got no answer, or an error."""
        return sum(it.answer is None for it in self.served)

    @property
    def milliseconds(self) -> list[float]:
        """Of those that were answered."""
        return [it.milliseconds for it in self.served if it.answer is not None]

    def during(self, what: Callable[[], object]) -> Good:
        """Sends requests while `what` runs in another thread; gives itself."""
        other = threading.Thread(target=what)
        other.start()
        with unpaused():
            asyncio.run(self._send(other.is_alive))
        other.join()
        return self

    async def _send(self, go_on: Callable[[], bool]) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:
            started, calls = time.perf_counter(), list[asyncio.Task[None]]()
            while go_on():
                due = started + len(calls) / self.rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                calls.append(asyncio.create_task(self._one(client, self.bodies[len(calls) % len(self.bodies)], due)))
            await asyncio.gather(*calls)

    async def _one(self, client: httpx.AsyncClient, body: dict[str, Any], due: float) -> None:
        try:
            answer = await client.post("/v1/score", json=body)
            content = answer.json() if answer.status_code == 200 else None
        except httpx.HTTPError:
            content = None
        self.served.append(Served(due, (time.perf_counter() - due) * 1000, content))


def good_bodies(settings: HostSettings) -> list[dict[str, Any]]:
    """The scores of the same products for one consumer after the other."""
    from features.lake import Lake

    consumer_ids, product_ids = (
        Lake(settings.lake).read(f"features/{kind}")[f"{kind}_id"].astype(str).unique()
        for kind in ("consumer", "product")
    )
    return [{"consumer_id": it, "product_ids": [*product_ids[:N_CANDIDATES]]} for it in consumer_ids[:N_CONSUMERS]]


@dataclass(frozen=True)
class Switches:
    """What was answered while the live release changed every second."""

    n_answers: int
    n_failed: int
    n_mixed: int
    """Answers whose titles are not those of the release they name."""
    n_releases: int
    """How many releases answered."""


def switch(settings: HostSettings, size: Size) -> Switches:
    """Two releases that differ in every title take turns."""
    store = ReleaseStore(settings.releases)
    first = store.live()
    assert first is not None
    second = first.model_copy(update={"release_id": f"{first.release_id}-b"})
    texts = store.read_texts(first)
    titles = texts.products["title"].astype(str) + MARK
    store.publish(second, type(texts)(texts.products.assign(title=titles), texts.facets, texts.facts, texts.pair_texts))

    def take_turns() -> None:
        for n in range(size.n_switches):
            time.sleep(1.0)
            store.promote((second, first)[n % 2].release_id)

    with running_service(settings, settings.home / "switched.log") as url:
        good = Good(url, good_bodies(settings), size.rate).during(take_turns)
    store.promote(first.release_id)
    answers = [it.answer for it in good.served if it.answer is not None]
    marked = [{item["title"].endswith(MARK) for item in answer["items"]} for answer in answers]
    expected = [{answer["release_id"] == second.release_id} for answer in answers]
    return Switches(
        n_answers=len(answers),
        n_failed=good.n_failed,
        n_mixed=sum(found != wanted for found, wanted in zip(marked, expected, strict=True)),
        n_releases=len({answer["release_id"] for answer in answers}),
    )


MARK = " (of the second release)"


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


def outage(settings: HostSettings, redis: RedisServer, size: Size) -> Outage:
    """Holds the store, lets it go, kills it, starts it again; good requests all the while."""
    bodies, seconds = good_bodies(settings), size.outage_seconds
    with running_service(settings, settings.home / "outage.log") as url:
        Good(url, bodies, size.outage_rate).during(lambda: time.sleep(2))
        well = Good(url, bodies, size.outage_rate).during(lambda: time.sleep(seconds))
        found = {
            name: _one_outage(Good(url, bodies, size.outage_rate), begin, end, seconds)
            for name, begin, end in (("held", redis.hold, redis.release), ("killed", redis.kill, redis.start))
        }
    return Outage(
        n_answers=sum(len(it.during.milliseconds) for it in found.values()),
        n_failed=well.n_failed + sum(it.during.n_failed for it in found.values()),
        n_silent=sum(it.n_silent for it in found.values()),
        well_p99_ms=_percentile(well.milliseconds),
        p99_ms={name: _percentile(it.without) for name, it in found.items()},
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


def _percentile(milliseconds: list[float]) -> float:
    return round(float(np.percentile(milliseconds, 99)), 1)
