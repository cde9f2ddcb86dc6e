"""Runs reserve what they buy: each key is one run's, and what a dead run held is free again."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from features.errors import StoreError
from features.ledger import Ledger, Run, runs
from features.ledger.runs import CHUNK, is_gone, process_name
from features.types import Claim, Completion, FinishReason, ModelIdentity, Slot, TextRequest

ASKED = TextRequest("facets", "consumer:1", "System.", "Prompt.", (Slot("Likes"),), ModelIdentity("model", "1"))
ANSWER = Completion(ASKED.key, (Claim("Likes films."),), FinishReason.STOP, 10, 5, 0.1, ASKED.model)


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """An empty ledger in each kind of database."""
    with Ledger(ledger_url) as opened:
        yield opened


def test_each_key_is_reserved_by_one_run(ledger: Ledger) -> None:
    keys = [f"{n:064d}" for n in range(2 * CHUNK)]
    with ledger.run() as one, ledger.run() as other:
        assert one.reserve(keys[: CHUNK + 1]) == set(keys[: CHUNK + 1])
        assert other.reserve(keys) == set(keys[CHUNK + 1 :])


def test_a_recorded_answer_and_an_ended_run_let_go_of_their_keys(ledger: Ledger) -> None:
    with ledger.run() as other:
        with suppress(KeyboardInterrupt), ledger.run() as run:
            assert run.reserve([ASKED.key, "2"]) == {ASKED.key, "2"}
            run.record(ASKED, ANSWER)
            assert other.reserve([ASKED.key, "2"]) == {ASKED.key}
            raise KeyboardInterrupt
        assert other.reserve(["2"]) == {"2"}


RunOf = Callable[..., Run]


@pytest.fixture
def run_of(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunOf]:
    """Starts runs that seem to be another process's."""
    with ExitStack() as stack:

        def start(owner: str, beat_seconds: float = 60.0) -> Run:
            with monkeypatch.context() as there:
                there.setattr(runs, "process_name", lambda: owner)
                return stack.enter_context(ledger.run(beat_seconds))

        yield start


def test_the_keys_of_a_process_that_is_gone_are_free_at_once(ledger: Ledger, run_of: RunOf) -> None:
    with subprocess.Popen(["sleep", "60"]) as process, ledger.run() as run:
        run_of(name_of(process)).reserve(["1"])
        run.free_the_dead()
        assert run.reserve(["1"]) == set()
        process.kill()
        process.wait()
        run.free_the_dead()
        assert run.reserve(["1"]) == {"1"}


def test_a_process_is_gone_when_it_ended_or_its_number_is_anothers() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        name = name_of(process)
        assert not is_gone(name)
        assert is_gone(f"{name}0"), "same number, started at another time"
        assert not is_gone(f"elsewhere{name}"), "nothing is known of another machine"
        process.kill()
        while not is_gone(name):  # gone while its parent has not yet asked for it
            pass
    assert not is_gone(process_name())


def name_of(process: subprocess.Popen[bytes]) -> str:
    machine = process_name().split()[0]
    return f"{machine} {process.pid} {runs._start_of(process.pid)}"


def test_a_run_elsewhere_is_dead_when_its_beat_stands_still(ledger: Ledger, run_of: RunOf) -> None:
    with ledger.run(still_seconds=0.5) as run:
        run_of("elsewhere 1 1", beat_seconds=0.02).reserve(["alive"])
        run_of("elsewhere 1 2").reserve(["still"])
        deadline = time.monotonic() + 20
        while not (freed := run.reserve(["alive", "still"])) and time.monotonic() < deadline:
            run.free_the_dead()
        assert freed == {"still"}


def test_a_run_that_was_taken_for_dead_keeps_its_answer_and_stops(ledger: Ledger, run_of: RunOf) -> None:
    with ledger.run(still_seconds=0.0) as run:
        still = run_of("elsewhere 1 1")
        still.reserve([ASKED.key])
        run.free_the_dead()  # sees the beat
        run.free_the_dead()  # sees it stand still
        with pytest.raises(StoreError, match="taken for dead"):
            still.record(ASKED, ANSWER)
        assert ledger.find([ASKED.key]) == {ASKED.key: ANSWER}


def test_a_run_that_could_not_say_that_it_ended_is_not_waited_for(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full, ledger.run() as run:
        run.reserve(["1"])
        full.setattr(run, "_end", lambda _: None)
    with ledger.run() as later:
        later.free_the_dead()
        assert later.reserve(["1"]) == {"1"}
