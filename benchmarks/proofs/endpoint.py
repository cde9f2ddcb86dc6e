"""A language-model server that fails in every way it can: each request ends as one whole answer, paid for once.

The stub server fails a share of the calls at random, says 429 to everything for a while, and goes away for a while.
Its stalls are longer than the engine's patience, both scaled down so that thousands of them fit into minutes. A run
that gives up is started again, as `counterpoint explain` would be.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.proofs import Proof
from benchmarks.stub_server import Body, Reply, StubServer
from features.errors import GenerationError
from features.ledger import Ledger
from features.types import Claim, ModelIdentity, ShownFact, Slot, Stance, TextRequest
from models.llm.generate import generate
from models.llm.http import HttpEngine

CONCURRENCY = 8
FAULT_SHARE = 0.3
STORM, OUTAGE = 60, 40
"""Calls in a row that are answered by 429, and by nothing at all; once each per `EVERY` calls."""
EVERY = 1000
RUNS = 50
"""After so many starts the server has won."""
SLOTS = (Slot("They like", stance=Stance.FOR, cites=("F1",)), Slot("They avoid", stance=Stance.AGAINST, cites=("F2",)))
FACTS = (ShownFact("F1", "rated 9 old films 5"), ShownFact("F2", "rated 9 war films 1"))
CLAIMS = (
    Claim("They like old films.", Stance.FOR, 0.9, ("F1",)),
    Claim("They avoid war films.", Stance.AGAINST, 0.4, ("F2",)),
)
GOOD = json.dumps({"claims": [asdict(claim) for claim in CLAIMS]})
FAULTS = {
    "rate limited": Reply(status=429, headers={"Retry-After": "0.02"}),
    "rate limited until a date": Reply(status=429, headers={"Retry-After": "Mon, 01 Jan 2024 00:00:00 GMT"}),
    "internal error": Reply(status=500),
    "overloaded": Reply(status=503, headers={"Retry-After": "0.01"}),
    "error page": Reply(status=502, body="<html>Bad gateway</html>"),
    "page with status 200": Reply(body="<html>Sign in</html>"),
    "stall": Reply(GOOD, delay=1.0),
    "hung up": Reply(hang_up=True),
    "reset": Reply(reset=True),
    "cut off": Reply(GOOD, cut=True),
    "half a body": Reply(body=Reply(GOOD).text()[:90]),
    "refusal": Reply("I'm sorry, I cannot."),
    "truncated": Reply(GOOD[:60], finish="length"),
    "unknown label": Reply(GOOD.replace("F2", "F7")),
    "wrong side": Reply(GOOD.replace("against", "for")),
}
BUSY = ("rate limited", "rate limited until a date", "overloaded")
RARE = 0.05
"""Weight of these beside the other faults: each halves the calls in flight, and many would leave one."""


@dataclass
class Moody:
    """What the server does with each call."""

    seed: int
    played: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def __call__(self, _: Body) -> Reply:
        """The next reply; the server calls it one at a time."""
        place = self.played.total() % EVERY
        mood = "good"
        if EVERY // 2 <= place < EVERY // 2 + STORM:
            mood = "rate limited"
        elif place >= EVERY - OUTAGE:
            mood = "hung up"
        elif self.random.random() < FAULT_SHARE:
            mood = self.random.choices(list(FAULTS), weights=[name not in BUSY or RARE for name in FAULTS])[0]
        self.played[mood] += 1
        return FAULTS.get(mood, Reply(GOOD, delay=0.01))


def measure(n_requests: int, seed: int = 0) -> dict[str, Any]:
    """Has requests answered by a moody server until each has an answer; counts what must not happen."""
    model, mood = ModelIdentity("stub", "unknown"), Moody(seed)
    asked = [
        TextRequest("facets", f"c{n}", "Be brief.", f"Request {n}.", SLOTS, model, facts=FACTS)
        for n in range(n_requests)
    ]
    keys = [request.key for request in asked]
    bought_again = runs = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        StubServer(mood) as stub,
        Ledger(f"sqlite:///{Path(folder) / 'ledger.sqlite'}") as ledger,
    ):
        engine = HttpEngine(stub.url, "stub", concurrency=CONCURRENCY, timeout=0.3, backoff=0.01, pause=0.05)
        complete = False
        while not complete and runs < RUNS:
            runs += 1
            settled = {*ledger.find(keys), *ledger.failed(keys)}
            before = stub.calls.copy()
            with suppress(GenerationError):  # a run may give up; the next one goes on
                complete = generate(asked, engine, ledger).complete
            asked_now = stub.calls - before
            bought_again += sum(asked_now[request.prompt] for request in asked if request.key in settled)
        published, kept_apart = ledger.find(keys), ledger.failed(keys)
    return {
        "requests": n_requests,
        "calls": mood.played.total(),
        "faults": dict(sorted((mood.played - Counter(good=mood.played["good"])).items())),
        "runs": runs,
        "published": len(published),
        "kept_apart": len(kept_apart),
        "without_an_end": n_requests - len({*published, *kept_apart}),
        "half_made_published": sum(answer.claims != CLAIMS for answer in published.values()),
        "bought_again": bought_again,
        "most_calls_at_once": stub.most_at_once,
        "concurrency": CONCURRENCY,
    }


def kept(figures: dict[str, Any]) -> bool:
    """Whether the promise held."""
    none = ("without_an_end", "half_made_published", "bought_again")
    return not any(figures[name] for name in none) and figures["most_calls_at_once"] <= CONCURRENCY


def prove() -> Proof:
    """5,000 requests."""
    figures = measure(5000)
    promise = (
        "under 429 storms, stalls, resets, cut and false answers, every request ends as one whole answer, paid once"
    )
    return Proof(promise, kept(figures), figures)
