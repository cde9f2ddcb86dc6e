"""A killed run loses no answer it had and buys none again.

A child process generates against the counting stub server and is killed (SIGKILL) at random moments, some before its
first call, some in the middle of many; then the next child goes on, until all requests are answered. An answer counts
as received once `Run.record` returned: the child then writes its key into a journal of its own, so the ledger is not
its own witness. What was in flight at a kill may be bought again: at most as many as there are calls at once.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path

from benchmarks.proofs import Proof
from benchmarks.stub_server import Reply, StubServer, asked_for
from features.ledger import Ledger
from features.types import Completion, ModelIdentity, Slot, TextRequest
from models.llm.generate import PORTION, generate
from models.llm.http import HttpEngine

N_REQUESTS, N_KILLS = 5_000, 500
CONCURRENCY, DELAY = 8, 0.003
LIBRARIES = ("httpcore", "sqlalchemy.dialects.sqlite", "sqlalchemy.dialects.postgresql", "psycopg", "typer", "pytest")
"""What the ledger and the engine import at their first use, and what the program does that starts the children: each
child runs its main module again."""
PATIENCE = 120.0
"""Seconds that a child may take to make no progress."""


@dataclass(frozen=True)
class KillFigures:
    """What came out, over all lives of the child."""

    requests: int
    kills: int
    concurrency: int
    received: int
    lost: int
    """Received answers that the ledger does not hold, or no longer as it first held them."""
    mixed_up: int
    """Answers in the ledger that the server never gave to that request."""
    calls: int
    bought_again: int
    """Calls for answers that were already received."""
    repeated: int
    """Calls for answers that were in flight at a kill."""
    most_in_flight: int
    """At any one kill: requests that were sent and not yet recorded."""
    metered: int
    """Answers that the ledger's meter counts."""

    @property
    def kept(self) -> bool:
        """Whether nothing was lost, bought again, or repeated beyond what was in flight."""
        done = self.received == self.metered == self.requests
        repeated = self.most_in_flight <= self.concurrency and self.repeated <= self.kills * self.concurrency
        return done and repeated and self.lost == self.mixed_up == self.bought_again == 0


def prove() -> Proof:
    """500 kills over 5,000 requests on SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        figures = kill_runs(f"sqlite:///{folder}/ledger.sqlite", Path(folder), N_REQUESTS, N_KILLS)
    promise = "A killed run loses no received answer, buys none again, and repeats at most what was in flight."
    return Proof(promise, figures.kept and figures.kills == N_KILLS, vars(figures))


def requests_for(n: int) -> list[TextRequest]:
    """Requests that the stub server can tell apart by their first line."""
    model = ModelIdentity("stub", "unknown")
    return [TextRequest("facets", f"product:{i}", "S", f"Product {i}", (Slot("Likes"),), model) for i in range(n)]


class Journaled(HttpEngine):
    """Notes each answer's key after it was recorded: `generate` asks for the next one only then."""

    journal: int

    def complete(self, requests: Sequence[TextRequest]) -> Iterator[Completion]:
        for completion in super().complete(requests):
            yield completion
            os.write(self.journal, f"{completion.request_key}\n".encode())


def buy(ledger_url: str, server_url: str, journal: str, n_requests: int, portion: int = PORTION) -> None:
    """The child: goes on with the whole job."""
    engine = Journaled(server_url, "stub", concurrency=CONCURRENCY)
    engine.journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with Ledger(ledger_url) as ledger:
        generate(requests_for(n_requests), engine, ledger, portion=portion)


def kill_runs(ledger_url: str, folder: Path, n_requests: int, n_kills: int, seed: int = 0) -> KillFigures:
    """Kills the child that often and counts.

    Args:
        ledger_url: of an empty ledger.
        folder: for the journal.
        n_requests: of the job.
        n_kills: fewer come about only if a child is done before its time.
        seed: of the moments.
    """
    chance, numbers = random.Random(seed), count()
    journal = folder / "received.txt"
    with (
        StubServer(lambda _: Reply(f"Likes answer {next(numbers)}.", delay=DELAY)) as server,
        Ledger(ledger_url) as ledger,
    ):
        witness = _Witness(server, ledger, journal, n_requests)
        start = child_starter(ledger_url, server.url, str(journal), n_requests)
        kills = 0
        while kills < n_kills:
            share = 2 * witness.n_left // (n_kills - kills + 1)
            n_calls = min(chance.randint(0, share + CONCURRENCY), witness.n_left // 2)
            moment = chance.uniform(0, min(0.05, DELAY * witness.n_left / (4 * CONCURRENCY)))
            if not _killed(start(), server, len(server.bodies) + n_calls, moment):
                break
            kills += 1
            witness.look()
        child = start()
        child.join()
        witness.look()
        return witness.figures(kills)


def child_starter(*arguments: str | int) -> Callable[[], BaseProcess]:
    """Starts children in milliseconds: forked from a lean server that has imported what they need."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, *LIBRARIES])

    def start() -> BaseProcess:
        child = context.Process(target=buy, args=arguments)
        child.start()
        return child

    return start


def _killed(child: BaseProcess, server: StubServer, n_calls: int, moment: float) -> bool:
    """Kills a child some seconds after that many calls in all; whether it was still there to be killed."""
    deadline = time.monotonic() + PATIENCE
    while len(server.bodies) < n_calls and child.is_alive() and time.monotonic() < deadline:
        time.sleep(0.0005)
    child.join(moment)
    child.kill()
    child.join()
    return child.exitcode == -signal.SIGKILL


class _Witness:
    """Compares, after each life, what the server was asked, what the child noted and what the ledger holds."""

    def __init__(self, server: StubServer, ledger: Ledger, journal: Path, n_requests: int) -> None:
        self.server, self.ledger, self.journal = server, ledger, journal
        self.keys = {request.prompt: request.key for request in requests_for(n_requests)}
        self.held: dict[str, Completion] = {}
        self.noted: set[str] = set()
        self.n_calls = self.bought_again = self.most_in_flight = 0

    @property
    def n_left(self) -> int:
        """Requests without an answer."""
        return len(self.keys) - len(self.held)

    def look(self) -> None:
        """Takes account of one life."""
        calls = [self.keys[asked_for(body)] for body in self.server.bodies[self.n_calls :]]
        self.n_calls += len(calls)
        self.bought_again += sum(key in self.held for key in calls)
        if self.journal.exists():
            self.noted = set(self.journal.read_text().split())
        self.held |= self.ledger.find(({*calls} | self.noted) - self.held.keys())
        self.most_in_flight = max(self.most_in_flight, len({*calls} - self.held.keys()))

    def figures(self, kills: int) -> KillFigures:
        """What came out in the end."""
        kept = self.ledger.find(self.keys.values())
        intact = sum(kept.get(key) == answer for key, answer in self.held.items())
        prompts = {key: prompt for prompt, key in self.keys.items()}
        mixed_up = sum(answer.lines[0] not in self.server.answers[prompts[key]] for key, answer in kept.items())
        return KillFigures(
            requests=len(self.keys),
            kills=kills,
            concurrency=CONCURRENCY,
            received=len(kept),
            lost=len(self.held | dict.fromkeys(self.noted)) - intact,
            mixed_up=mixed_up,
            calls=self.n_calls,
            bought_again=self.bought_again,
            repeated=self.n_calls - len(self.keys),
            most_in_flight=self.most_in_flight,
            metered=self.ledger.summary().answers,
        )
