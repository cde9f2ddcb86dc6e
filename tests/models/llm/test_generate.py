"""Generation buys each answer once, whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from features.errors import GenerationError
from features.ledger import Ledger
from features.types import Completion, FinishReason, ModelIdentity, Slot, TextRequest
from models.llm.generate import Budget, generate
from models.llm.scripted import SCRIPTED, ScriptedEngine, continue_openings

ROOT = Path(__file__).parents[3]


def requests_for(n: int) -> list[TextRequest]:
    return [TextRequest("facets", f"c{i}", "S", f"P{i}", (Slot("Likes"),), SCRIPTED) for i in range(n)]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as opened:
        yield opened


def test_a_second_call_asks_the_engine_nothing(ledger: Ledger) -> None:
    first = generate(requests_for(3), ScriptedEngine(), ledger)
    engine = ScriptedEngine()
    second = generate(requests_for(3), engine, ledger)
    assert engine.seen == []
    assert (first.made, first.from_ledger, second.made, second.from_ledger) == (3, 0, 0, 3)
    assert second.completions == first.completions
    assert second.completion_tokens == 0


def test_equal_requests_are_asked_once(ledger: Ledger) -> None:
    engine = ScriptedEngine()
    report = generate(requests_for(2) * 3, engine, ledger)
    assert (report.asked, report.made, len(engine.seen)) == (2, 2, 2)


def test_an_unusable_answer_is_counted_and_not_asked_again_unless_wanted(ledger: Ledger) -> None:
    def bad_for_c1(request: TextRequest) -> Sequence[str]:
        return [] if request.subject == "c1" else continue_openings(request)

    report = generate(requests_for(3), ScriptedEngine(bad_for_c1), ledger)
    assert report.failed == {FinishReason.MALFORMED: 1}
    assert len(report.completions) == 2
    again = generate(requests_for(3), ScriptedEngine(), ledger)
    assert (again.made, again.known_failures, again.asked) == (0, 1, 3)
    retried = generate(requests_for(3), ScriptedEngine(), ledger, retry_failed=True)
    assert (retried.made, len(retried.completions)) == (1, 3)


def test_the_budget_in_calls_is_kept_and_the_rest_is_named(ledger: Ledger) -> None:
    engine = ScriptedEngine()
    report = generate(requests_for(5), engine, ledger, budget=Budget(calls=2))
    assert (report.made, report.unasked, len(engine.seen)) == (2, 3, 2)
    assert not report.complete
    rest = generate(requests_for(5), ScriptedEngine(), ledger, budget=Budget(calls=3))
    assert (rest.from_ledger, rest.made, rest.complete) == (2, 3, True)


def test_the_budget_in_tokens_stops_at_the_answer_that_uses_it_up(ledger: Ledger) -> None:
    report = generate(requests_for(5), ScriptedEngine(), ledger, budget=Budget(tokens=7))
    per_answer = (report.prompt_tokens + report.completion_tokens) // report.made
    assert report.made == -(-7 // per_answer)
    assert report.unasked == 5 - report.made


def test_progress_counts_what_the_ledger_knew(ledger: Ledger) -> None:
    generate(requests_for(2), ScriptedEngine(), ledger)
    calls: list[tuple[str, int, int]] = []
    generate(requests_for(3), ScriptedEngine(), ledger, lambda *call: calls.append(call))
    assert calls == [("texts", 2, 3), ("texts", 3, 3)]


def test_what_came_before_an_interruption_is_kept(ledger: Ledger) -> None:
    def interrupt_third(request: TextRequest) -> Sequence[str]:
        if request.subject == "c2":
            raise KeyboardInterrupt
        return continue_openings(request)

    with pytest.raises(KeyboardInterrupt):
        generate(requests_for(5), ScriptedEngine(interrupt_third), ledger)
    engine = ScriptedEngine()
    report = generate(requests_for(5), engine, ledger)
    assert [request.subject for request in engine.seen] == ["c2", "c3", "c4"]
    assert len(report.completions) == 5


def test_requests_for_another_model_are_refused(ledger: Ledger) -> None:
    engine = ScriptedEngine(identity=ModelIdentity("scripted", "2"))
    with pytest.raises(GenerationError, match="revision='1'"):
        generate(requests_for(1), engine, ledger)


class Faulty(ScriptedEngine):
    """Answers only the first request, as often as told."""

    times = 0

    def complete(self, requests: Sequence[TextRequest]) -> Iterator[Completion]:
        for _ in range(self.times):
            yield from super().complete(requests[:1])


@pytest.mark.parametrize(("times", "message"), [(1, "left 1 requests"), (2, "which is not open")])
def test_an_engine_that_forgets_or_repeats_a_request_is_found_out(ledger: Ledger, times: int, message: str) -> None:
    engine = Faulty()
    engine.times = times
    with pytest.raises(GenerationError, match=message):
        generate(requests_for(2), engine, ledger)
    assert ledger.summary().answers == 1


BUYER = """
import sys, time
from pathlib import Path
from features.ledger import Ledger
from features.types import Slot, TextRequest
from models.llm.generate import generate
from models.llm.scripted import SCRIPTED, ScriptedEngine, continue_openings

def counting(request):
    with open(sys.argv[2], "a") as log:
        log.write(request.subject + "\\n")
    time.sleep(0.02)
    return continue_openings(request)

wanted = [TextRequest("facets", f"c{i}", "S", f"P{i}", (Slot("Likes"),), SCRIPTED) for i in range(30)]
with Ledger(sys.argv[1]) as ledger:
    generate(wanted, ScriptedEngine(counting), ledger)
"""


@pytest.mark.slow
def test_after_kills_only_what_is_missing_is_bought(tmp_path: Path, ledger: Ledger) -> None:
    log, kills = tmp_path / "bought.log", 3
    command = [sys.executable, "-c", BUYER, ledger.url, str(log)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for kill in range(kills):
        child = subprocess.Popen(command, env=environment)
        deadline = time.monotonic() + 60
        while (log.read_text().count("\n") if log.exists() else 0) < 7 * (kill + 1):
            assert child.poll() is None, "the child ended before it could be killed"
            assert time.monotonic() < deadline, "the child bought nothing"
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    subprocess.run(command, env=environment, check=True)
    bought = log.read_text().split()
    assert set(bought) == {f"c{i}" for i in range(30)}
    assert len(bought) <= 30 + kills  # at most the answer in the making is bought again after each kill
    assert ledger.summary().usable == 30
