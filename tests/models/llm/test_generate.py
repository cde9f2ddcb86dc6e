"""Generation buys each answer once, whatever happens."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from benchmarks.proofs.kills import CONCURRENCY, child_starter, kill_runs
from benchmarks.proofs.kills import requests_for as stub_requests
from benchmarks.stub_server import Reply, StubServer
from features.errors import GenerationError
from features.ledger import Ledger
from features.types import Completion, FinishReason, ModelIdentity, Slot, TextRequest
from models.llm.generate import Budget, generate
from models.llm.scripted import SCRIPTED, ScriptedEngine, continue_openings


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


def test_a_key_that_another_run_holds_is_waited_for_and_taken_from_its_answer(ledger: Ledger) -> None:
    wanted = requests_for(3)
    other = ledger.run()
    with other:
        other.reserve([wanted[0].key])

        def other_answers_meanwhile(request: TextRequest) -> Sequence[str]:
            if request.subject == "c2":
                other.record(wanted[0], next(ScriptedEngine().complete(wanted[:1])))
            return continue_openings(request)

        engine = ScriptedEngine(other_answers_meanwhile)
        report = generate(wanted, engine, ledger)
    assert [request.subject for request in engine.seen] == ["c1", "c2"]
    assert (report.from_ledger, report.made, len(report.completions)) == (1, 2, 3)


@pytest.mark.parametrize("retry", [False, True])
def test_what_another_run_bought_in_vain_meanwhile_is_not_bought_again(ledger: Ledger, retry: bool) -> None:
    wanted = requests_for(2)
    other = ledger.run()
    with other:
        other.reserve([wanted[0].key])

        def other_fails_meanwhile(request: TextRequest) -> Sequence[str]:
            other.record(wanted[0], next(ScriptedEngine(lambda _: []).complete(wanted[:1])))
            return continue_openings(request)

        report = generate(wanted, ScriptedEngine(other_fails_meanwhile), ledger, retry_failed=retry)
    assert (report.made, report.known_failures) == (1, 1)


def test_the_meter_says_what_was_asked_found_and_bought(ledger: Ledger) -> None:
    generate(requests_for(2), ScriptedEngine(lambda request: [] if request.subject == "c1" else ["Likes."]), ledger)
    generate(requests_for(4), ScriptedEngine(), ledger)
    summary = ledger.summary()
    assert (summary.runs, summary.asked, summary.from_ledger, summary.answers, summary.failed) == (2, 6, 1, 4, 1)


@pytest.mark.slow
def test_kills_lose_no_answer_and_buy_none_again(tmp_path: Path, ledger_url: str) -> None:
    figures = kill_runs(ledger_url, tmp_path, n_requests=400, n_kills=20)
    assert figures.kept, figures
    assert figures.kills == 20


@pytest.mark.slow
def test_two_processes_side_by_side_buy_nothing_twice(tmp_path: Path, ledger_url: str) -> None:
    n, answer = 400, Reply("Likes films.", delay=0.002)
    with StubServer([answer]) as server, Ledger(ledger_url) as ledger:
        start = child_starter(ledger_url, server.url, str(tmp_path / "journal"), n, 16)
        children = [start(), start()]
        for child in children:
            child.join()
        assert [child.exitcode for child in children] == [0, 0]
        assert server.calls.total() == len(server.calls) == n
        summary = ledger.summary()
    assert (summary.asked, summary.answers, summary.from_ledger) == (2 * n, n, n)


@pytest.mark.slow
def test_the_run_beside_a_killed_one_finishes_its_work(tmp_path: Path, ledger_url: str) -> None:
    n = 300
    with StubServer([Reply("Likes films.", delay=0.005)]) as server, Ledger(ledger_url) as ledger:
        start = child_starter(ledger_url, server.url, str(tmp_path / "journal"), n)
        killed, other = start(), start()
        while server.calls.total() < 50:
            time.sleep(0.005)
        killed.kill()
        other.join()
        assert other.exitcode == 0
        assert len(ledger.find(request.key for request in stub_requests(n))) == n
    assert server.calls.total() <= n + CONCURRENCY
