"""The HTTP engine against a real server on loopback that fails in every way a server can."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.proofs import endpoint
from benchmarks.stub_server import Reply, StubServer
from features.errors import GenerationError
from features.ledger import Ledger
from features.types import Claim, Completion, FinishReason, ModelIdentity, Slot, Stance, TextRequest
from models.llm.answers import Form, response_format, user_message
from models.llm.generate import generate
from models.llm.http import TRIES, HttpEngine

SLOTS = (Slot("They like"), Slot("They avoid"))
CONTENT = "They like old films.\nThey avoid war films."
GOOD = Reply(CONTENT)
CLAIMS = (Claim("They like old films.", Stance.FOR, 0.9), Claim("They avoid war films.", Stance.AGAINST, 0.4))
AS_JSON = json.dumps({"claims": [asdict(claim) for claim in CLAIMS]})
Serve = Callable[..., StubServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts stub servers that play replies, and stops them after the test."""
    with ExitStack() as running:
        yield lambda *replies: running.enter_context(StubServer(replies))


def engine_at(url: str, **settings: Any) -> HttpEngine:
    return HttpEngine(url, "stub", **{"timeout": 5.0, "backoff": 0.01, **settings})


def request_of(n: int = 0, slots: tuple[Slot, ...] = SLOTS) -> TextRequest:
    return TextRequest("facets", f"c{n}", "Be brief.", f"Facts {n}.", slots, ModelIdentity("stub", "unknown"), 0.5, 3)


def test_an_answer_carries_its_lines_its_usage_and_the_servers_revision(serve: Serve) -> None:
    stub = serve(GOOD)
    (answer,) = engine_at(stub.url, key="secret").complete([request_of()])
    assert answer.lines == ("They like old films.", "They avoid war films.")
    assert (answer.finish, answer.request_key) == (FinishReason.STOP, request_of().key)
    assert (answer.prompt_tokens, answer.completion_tokens) == (11, 7)
    assert answer.model == ModelIdentity("stub-2026", "fp_1")
    assert answer.seconds > 0
    assert stub.headers[0]["Authorization"] == "Bearer secret"


def test_a_call_carries_all_settings_of_its_request(serve: Serve) -> None:
    stub = serve(GOOD)
    list(engine_at(stub.url).complete([request_of()]))
    body = stub.bodies[0]
    said = user_message(request_of(), Form.SCHEMA)
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": said}]
    assert body["response_format"] == response_format(request_of(), Form.SCHEMA)
    assert (body["model"], body["temperature"], body["seed"]) == ("stub", 0.5, 3)
    assert body["max_tokens"] >= sum(slot.max_tokens for slot in SLOTS)
    assert "Authorization" not in stub.headers[0]


@pytest.mark.parametrize("tail", ["", "/", "/v1", "/v1/"])
def test_a_base_url_may_or_may_not_end_in_v1(serve: Serve, tail: str) -> None:
    stub = serve(GOOD)
    list(engine_at(stub.url + tail).complete([request_of()]))
    assert stub.paths == ["/v1/chat/completions"]


@pytest.mark.parametrize(
    "fault",
    [
        Reply(status=429),
        Reply(status=500),
        Reply(status=503, body="<html>busy</html>"),
        Reply(status=408),
        Reply(hang_up=True),
        Reply(reset=True),
        Reply(CONTENT, cut=True),
        Reply(body=Reply(CONTENT).text()[:60]),
        Reply(body="<html>Sign in</html>"),
        Reply(CONTENT, delay=0.6),
        Reply(CONTENT, drip=0.1),
    ],
    ids=["429", "500", "503", "408", "hung up", "reset", "cut off", "half an answer", "page", "stall", "drip"],
)
def test_a_passing_fault_is_tried_again(serve: Serve, fault: Reply) -> None:
    stub = serve(fault, fault, GOOD)
    (answer,) = engine_at(stub.url, timeout=0.3).complete([request_of()])
    assert answer.finish is FinishReason.STOP
    assert len(stub.bodies) == 3


def test_a_slow_server_is_given_more_time_with_each_try(serve: Serve) -> None:
    stub = serve(Reply(CONTENT, delay=0.5))
    (answer,) = engine_at(stub.url, timeout=0.2).complete([request_of()])
    assert answer.finish is FinishReason.STOP
    assert len(stub.bodies) == 3


def test_the_wait_a_server_asks_for_is_kept(serve: Serve) -> None:
    stub = serve(Reply(status=429, headers={"Retry-After": "0.4"}), GOOD)
    started = time.monotonic()
    list(engine_at(stub.url).complete([request_of()]))
    assert time.monotonic() - started >= 0.4


def test_a_lasting_fault_is_given_up_and_says_what_to_check(serve: Serve) -> None:
    stub = serve(Reply(status=503))
    with pytest.raises(GenerationError, match="HTTP 503") as caught:
        list(engine_at(stub.url, key="secret").complete([request_of()]))
    assert len(stub.bodies) == TRIES
    assert "COUNTERPOINT_LLM_URL" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refused_call_is_not_tried_again(serve: Serve, status: int) -> None:
    stub = serve(Reply(status=status))
    with pytest.raises(GenerationError, match=f"HTTP {status}"):
        list(engine_at(stub.url).complete([request_of()]))
    assert len(stub.bodies) == 1


def test_a_server_that_is_not_there_is_an_error_that_says_where(serve: Serve) -> None:
    with pytest.raises(GenerationError, match=r"127\.0\.0\.1:9/v1/chat/completions.*connection failed"):
        list(engine_at("http://127.0.0.1:9").complete([request_of()]))


@pytest.mark.parametrize("url", ["localhost:8000", "http://[bad"])
def test_an_address_that_is_none_is_an_error_that_says_so(url: str) -> None:
    with pytest.raises(GenerationError, match="COUNTERPOINT_LLM_URL"):
        list(engine_at(url).complete([request_of()]))


def test_a_page_that_is_no_chat_completion_is_an_error_that_shows_it(serve: Serve) -> None:
    stub = serve(Reply(body="<html>Welcome</html>"))
    with pytest.raises(GenerationError, match="Welcome"):
        list(engine_at(stub.url).complete([request_of()]))


FILTERED = json.dumps({"error": {"code": "content_filter", "message": "no"}})


@pytest.mark.parametrize(
    ("reply", "finish"),
    [
        (Reply(CONTENT, finish="length"), FinishReason.LENGTH),
        (Reply(CONTENT, finish="content_filter"), FinishReason.REFUSED),
        (Reply(content=None, refusal="I cannot."), FinishReason.REFUSED),
        (Reply(content="I'm sorry, but I can't help with that."), FinishReason.REFUSED),
        (Reply(status=400, body=FILTERED), FinishReason.REFUSED),
        (Reply(content="They like old films."), FinishReason.MALFORMED),
        (Reply(content=""), FinishReason.MALFORMED),
        (Reply(content=None), FinishReason.MALFORMED),
    ],
)
def test_an_answer_that_cannot_be_used_says_why(serve: Serve, reply: Reply, finish: FinishReason) -> None:
    (answer,) = engine_at(serve(reply).url).complete([request_of()])
    assert answer.finish is finish
    assert answer.note


def test_a_prompt_that_is_too_long_fails_alone(serve: Serve) -> None:
    too_long = json.dumps({"error": {"code": "context_length_exceeded", "message": "8192 tokens at most"}})
    first, second = engine_at(serve(Reply(status=400, body=too_long), GOOD).url).complete(
        [request_of(0), request_of(1)]
    )
    assert (first.finish, second.finish) == (FinishReason.LENGTH, FinishReason.STOP)


def test_calls_run_side_by_side_up_to_the_limit(serve: Serve) -> None:
    stub = serve(Reply(CONTENT, delay=0.05))
    requests = [request_of(n) for n in range(8)]
    answers = list(engine_at(stub.url, concurrency=4).complete(requests))
    assert {answer.request_key for answer in answers} == {request.key for request in requests}
    assert 2 <= stub.most_at_once <= 4


def test_what_was_in_flight_when_a_call_failed_is_still_handed_out(serve: Serve) -> None:
    stub = serve(Reply(status=401), Reply(CONTENT, delay=0.1), Reply(CONTENT, delay=0.1), Reply(CONTENT, delay=0.1))
    answers: list[Completion] = []
    with pytest.raises(GenerationError, match="HTTP 401"):
        answers.extend(engine_at(stub.url, concurrency=3).complete([request_of(n) for n in range(9)]))
    assert len(answers) == len(stub.bodies) - 1 < 8


def test_a_consumer_that_stops_early_stops_the_calls(serve: Serve) -> None:
    stub = serve(GOOD)
    answers = engine_at(stub.url, concurrency=2).complete([request_of(n) for n in range(50)])
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert len(stub.bodies) <= 4


def forms_of(stub: StubServer) -> list[str]:
    return [body.get("response_format", {}).get("type", "lines") for body in stub.bodies]


def test_a_server_that_offers_schemas_is_asked_for_one_each_time(serve: Serve) -> None:
    stub = serve(Reply(AS_JSON))
    first, _ = engine_at(stub.url).complete([request_of(0), request_of(1)])
    assert forms_of(stub) == ["json_schema", "json_schema"]
    assert first.claims == CLAIMS
    assert first.note == "asked for json_schema"


def test_a_server_that_refuses_forms_is_asked_in_simpler_ones_and_then_stays_with_it(serve: Serve) -> None:
    stub = serve(Reply(status=400), Reply(status=422), GOOD)
    engine = engine_at(stub.url)
    assert [a.finish for a in engine.complete([request_of(0), request_of(1)])] == [FinishReason.STOP] * 2
    assert next(iter(engine.complete([request_of(2)]))).note == "asked for lines"
    assert forms_of(stub) == ["json_schema", "json_object", "lines", "lines", "lines"]


@pytest.mark.parametrize("useless", [Reply("Dear reader,"), Reply('{"claims": [', finish="length")])
def test_a_form_that_is_ignored_is_left_and_what_it_cost_is_counted(serve: Serve, useless: Reply) -> None:
    stub = serve(useless, useless, GOOD)
    (answer,) = engine_at(stub.url).complete([request_of()])
    assert answer.finish is FinishReason.STOP
    assert (answer.prompt_tokens, answer.completion_tokens) == (3 * 11, 3 * 7)
    assert answer.note == "asked for lines, try 3"


def test_a_usable_answer_in_another_form_is_kept_and_not_bought_again(serve: Serve) -> None:
    stub = serve(GOOD)
    answers = engine_at(stub.url, concurrency=1).complete([request_of(n) for n in range(4)])
    assert [answer.finish for answer in answers] == [FinishReason.STOP] * 4
    assert forms_of(stub) == ["json_schema", "json_object", "lines", "lines"]


def test_once_a_form_has_worked_an_answer_without_it_is_malformed(serve: Serve) -> None:
    stub = serve(Reply(AS_JSON), Reply("Dear reader,"))
    good, bad = engine_at(stub.url).complete([request_of(0), request_of(1)])
    assert (good.finish, bad.finish) == (FinishReason.STOP, FinishReason.MALFORMED)
    assert forms_of(stub) == ["json_schema", "json_schema"]


def test_a_400_that_no_form_cures_is_an_error(serve: Serve) -> None:
    stub = serve(Reply(status=400))
    with pytest.raises(GenerationError, match="HTTP 400"):
        list(engine_at(stub.url).complete([request_of()]))
    assert forms_of(stub) == ["json_schema", "json_object", "lines"]


def test_failed_tries_that_report_usage_are_paid_for(serve: Serve) -> None:
    billed = json.dumps({"error": {"code": "x"}, "usage": {"prompt_tokens": 5, "completion_tokens": 1}})
    (answer,) = engine_at(serve(Reply(status=500, body=billed), GOOD).url).complete([request_of()])
    assert (answer.prompt_tokens, answer.completion_tokens) == (11 + 5, 7 + 1)


def test_a_server_that_is_busy_for_ever_is_given_up_at_the_deadline(serve: Serve) -> None:
    stub = serve(Reply(status=429, headers={"Retry-After": "0.1"}))
    started = time.monotonic()
    with pytest.raises(GenerationError, match=r"HTTP 429.*its time was over"):
        list(engine_at(stub.url, deadline=0.75).complete([request_of()]))
    assert 0.5 < time.monotonic() - started < 5
    assert len(stub.bodies) > TRIES


def test_a_server_that_goes_away_and_comes_back_does_not_end_the_run(serve: Serve) -> None:
    stub = serve(GOOD, *[Reply(status=502)] * 6, GOOD)
    answers = list(engine_at(stub.url, concurrency=1, pause=0.05).complete([request_of(n) for n in range(3)]))
    assert [answer.finish for answer in answers] == [FinishReason.STOP] * 3


def test_a_server_that_goes_away_for_good_ends_the_run_and_keeps_what_it_gave(serve: Serve) -> None:
    stub = serve(GOOD, Reply(status=502))
    answers: list[Completion] = []
    with pytest.raises(GenerationError, match="HTTP 502"):
        answers.extend(engine_at(stub.url, pause=0.02).complete([request_of(n) for n in range(9)]))
    assert len(answers) == 1
    assert len(stub.bodies) < 20


FAULTS = {
    "rate limited": Reply(status=429, headers={"Retry-After": "0.05"}),
    "rate limited until a date": Reply(status=429, headers={"Retry-After": "Mon, 01 Jan 2024 00:00:00 GMT"}),
    "failing": Reply(status=500),
    "overloaded": Reply(status=503, headers={"Retry-After": "0"}),
    "page": Reply(status=502, body="<html>Bad gateway</html>"),
    "stalled": Reply(AS_JSON, delay=0.4),
    "hung up": Reply(hang_up=True),
    "reset": Reply(reset=True),
    "cut": Reply(AS_JSON, cut=True),
    "half": Reply(body=Reply(AS_JSON).text()[:80]),
    "refusal": Reply("I'm sorry, I cannot."),
    "truncated": Reply(AS_JSON[:40], finish="length"),
    "broken claims": Reply(AS_JSON.replace("They avoid", "We avoid")),
    "good": Reply(AS_JSON),
}
UNUSABLE = {"refusal", "truncated", "broken claims"}


@settings(max_examples=6, deadline=None)
@given(st.lists(st.sampled_from(sorted(FAULTS)), max_size=16), st.integers(1, 4))
def test_under_any_mix_of_faults_a_request_ends_as_one_whole_answer_or_the_run_as_an_error(
    tmp_path_factory: pytest.TempPathFactory, faults: list[str], concurrency: int
) -> None:
    script, asked = iter(faults), [request_of(n) for n in range(6)]
    passing = sum(fault not in {*UNUSABLE, "good"} for fault in faults)
    with (
        Ledger(f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.sqlite'}") as ledger,
        StubServer(lambda _: FAULTS[next(script, "good")]) as stub,
    ):
        engine = engine_at(stub.url, concurrency=concurrency, timeout=0.2, backoff=0.005, pause=0.02)
        try:
            report = generate(asked, engine, ledger)
        except GenerationError:
            assert passing >= TRIES  # fewer are never the end
            script, before = iter(()), dict(stub.calls)
            known = ledger.find(request.key for request in asked)
            report = generate(asked, engine, ledger)
            bought_again = {said for said, n in stub.calls.items() if n > before.get(said, 0)}
            assert not bought_again & {f"Facts {n}." for n, request in enumerate(asked) if request.key in known}
        published = ledger.find(request.key for request in asked)
        kept_apart = ledger.failed(request.key for request in asked)
        assert report.complete
        assert {*published, *kept_apart} == {request.key for request in asked}
        assert all(answer.claims == CLAIMS for answer in published.values())
        assert len(kept_apart) <= sum(fault in UNUSABLE for fault in faults)
        assert stub.most_at_once <= concurrency


@pytest.mark.slow
def test_a_server_that_fails_in_every_way_publishes_nothing_half_made() -> None:
    figures = endpoint.measure(150)
    assert endpoint.kept(figures)
    assert len(figures["faults"]) > 10
