"""The HTTP engine against a real server on loopback that fails in every way a server can."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from email.utils import formatdate
from typing import Any

import httpx
import pytest

from benchmarks.stub_server import Reply, StubServer
from features.errors import GenerationError
from features.types import Completion, FinishReason, ModelIdentity, Slot, TextRequest
from models.llm.http import TRIES, HttpEngine, decide, describe_form, parse_lines

SLOTS = (Slot("They like"), Slot("They avoid"))
CONTENT = "They like old films.\nThey avoid war films."
GOOD = Reply(CONTENT)
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


def test_the_prompt_describes_the_lines_and_carries_all_settings(serve: Serve) -> None:
    stub = serve(GOOD)
    list(engine_at(stub.url).complete([request_of()]))
    body = stub.bodies[0]
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": "Facts 0.\n\nAnswer with exactly 2 lines and nothing else. Each line is one sentence.\n"
            "Line 1 begins with: They like\nLine 2 begins with: They avoid",
        },
    ]
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
        Reply(CONTENT, cut=True),
        Reply(CONTENT, delay=0.6),
    ],
    ids=["429", "500", "503", "408", "connection lost", "cut off", "timeout"],
)
def test_a_passing_fault_is_tried_again(serve: Serve, fault: Reply) -> None:
    stub = serve(fault, fault, GOOD)
    (answer,) = engine_at(stub.url, timeout=0.3).complete([request_of()])
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


@pytest.mark.parametrize("status", [400, 401, 403, 404])
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


@pytest.mark.parametrize(
    "content",
    [
        CONTENT,
        "Sure! Here are the lines:\n\n1. They like old films.\n2. They avoid war films.",
        "- **They like** old films.\n- **They avoid** war films.".replace("**", ""),
        'Line 1: nothing\n"They like old films."\n"they avoid war films."',
        "They like old films. They are fun.\nThey avoid war films.\nHope this helps!",
    ],
)
def test_a_lines_dressing_is_forgiven(content: str) -> None:
    assert parse_lines(content, SLOTS) == ("They like old films.", "They avoid war films.")


@pytest.mark.parametrize(
    "content",
    [
        "They avoid war films.\nThey like old films.",
        "They like.\nThey avoid war films.",
        "They liked it.\nThey avoid it.",
    ],
    ids=["wrong order", "nothing follows", "another word"],
)
def test_a_missing_line_is_not_forgiven(content: str) -> None:
    assert parse_lines(content, SLOTS) is None


def test_a_slot_without_an_opening_takes_the_next_line() -> None:
    assert parse_lines("Old films.\n", (Slot(""),)) == ("Old films.",)
    assert describe_form((Slot(""),)) == "Answer with exactly 1 line and nothing else. Each line is one sentence."


def response(status: int, headers: dict[str, str] | None = None, code: str = "") -> httpx.Response:
    return httpx.Response(status, headers=headers, json={"error": {"code": code}})


def test_retry_after_may_be_seconds_or_a_date_or_nonsense() -> None:
    assert decide(response(429, {"Retry-After": "7"})).wait == 7.0
    later = decide(response(503, {"Retry-After": formatdate(time.time() + 30, usegmt=True)})).wait
    assert later is not None
    assert 25 < later <= 30
    assert decide(response(429, {"Retry-After": "soon"})).wait is None


def test_an_empty_account_is_not_a_busy_server() -> None:
    assert decide(response(429)).retry
    assert not decide(response(429, code="insufficient_quota")).retry
