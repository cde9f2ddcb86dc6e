"""The service beside good requests and hostile ones (`benchmarks/hostile.py`).

Stretches with hostile requests and stretches without take turns, so that whatever else the machine does falls on
both. Client and service share the machine; each client has a process of its own.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx

from benchmarks.good_requests import Good, good_bodies, p99
from benchmarks.hostile import Hostile, good_examples, hostile_requests
from benchmarks.proofs import Proof
from benchmarks.small_home import small_home
from counterpoint.server import running_service
from features.settings import HostSettings

MAX_SLOWER = 1.5
CHUNK = 65_536
WELL_FORMED = 0.06
"""About this share of the hostile requests is answered by 200."""
SERVER_REFUSES = b"Invalid HTTP request received."
"""What uvicorn answers to bytes that are no HTTP; no application sees them."""


@dataclass(frozen=True)
class Size:
    """How much of it; the everyday tests take less."""

    n_hostile: int = 10_000
    turns: int = 20
    hostile_rate: float = 20.0
    """Hostile requests a second at most, so that the two clients do not fight for the machine."""
    rate: float = 4.0
    """Good requests a second, of 100 products each: few enough that a delay is not a queue."""
    alone_seconds: float = 10.0
    """Of each turn."""
    seed: int = 0


def prove(size: Size | None = None) -> Proof:
    """Makes a release of the built-in world and sends its service what nobody should."""
    size = size or Size()
    with tempfile.TemporaryDirectory() as folder:
        came = attack(small_home(Path(folder)), size)
    parts = {
        "no 5xx, no traceback, every error a problem": not (
            came.n_5xx or came.n_tracebacks or came.n_no_problem or came.n_good_failed
        ),
        f"p99 at most {MAX_SLOWER} x": came.slower <= MAX_SLOWER,
    }
    figures = {"parts": parts, "size": asdict(size), **asdict(came)}
    return Proof("bad input breaks nothing and holds nobody up", all(parts.values()), figures)


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
    log, seen, alone, attacked = settings.home / "attacked.log", Sent(), list[Good](), list[Good]()
    with running_service(settings, log) as url, ProcessPoolExecutor(1, get_context("spawn")) as other:
        bodies = good_bodies(settings)
        document = httpx.get(f"{url}/docs.json").json()
        Good(url, bodies, size.rate).during(_in(other, _well_formed, url, document, size))  # warm
        for turn in range(size.turns):
            alone.append(Good(url, bodies, size.rate).during(_in(other, _well_formed, url, document, size)))
            hostile = _in(other, send_hostile, url, document, size, turn)
            attacked.append(Good(url, bodies, size.rate).during(lambda hostile=hostile: seen.add(hostile())))
    stretches = (*alone, *attacked)
    well, beside = (p99([it for good in each for it in good.milliseconds]) for each in (alone, attacked))
    return Attack(
        n_hostile=seen.kinds.total(),
        statuses=dict(sorted(seen.statuses.items())),
        kinds=dict(seen.kinds),
        n_5xx=sum(n for status, n in seen.statuses.items() if status.startswith("5")),
        n_no_problem=sum(it.startswith("no problem") for it in seen.wrong),
        n_cut_off=seen.statuses["cut off"],
        n_tracebacks=log.read_text(errors="replace").count("Traceback (most recent call last)"),
        n_good=sum(len(it.milliseconds) for it in stretches),
        n_good_failed=sum(it.n_failed for it in stretches),
        alone_p99_ms=well,
        attacked_p99_ms=beside,
        slower=round(beside / well, 2),
        examples=seen.wrong[:20],
    )


def _in(other: Executor, what: Callable[..., Any], *arguments: object) -> Callable[[], Any]:
    """A call whose work does not hold up the clock of the good requests; it waits for what it gives."""
    return lambda: other.submit(what, *arguments).result()


@dataclass(frozen=True)
class Sent:
    """What came of hostile requests."""

    statuses: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, more: Sent) -> None:
        """Counts others too."""
        self.statuses.update(more.statuses)
        self.kinds.update(more.kinds)
        self.wrong.extend(more.wrong)


def send_hostile(url: str, document: dict[str, Any], size: Size, turn: int) -> Sent:
    """Sends the hostile requests of a turn on their clock."""
    came, started = Sent(), time.perf_counter()
    with httpx.Client(base_url=url, timeout=60) as client:
        for n, request in enumerate(hostile_requests(document, size.seed + turn, size.n_hostile // size.turns)):
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
