"""What is not a small JSON object never reaches the service, and every error is a problem (RFC 9457)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from services.limits import MAX_BODY, MAX_VALUES
from services.problems import Kind

JSON = {"content-type": "application/json"}


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the body, or as BentoML and Starlette answer what they refuse."""
    body = (await receive())["body"]
    status = int(body.split(b"status ")[1][:3]) if b"status" in body else 200
    if status == 400:
        body = json.dumps({"error": "1 validation error", "detail": [{"loc": ["k"], "msg": "too big"}]}).encode()
    elif status == 404:
        body = b"Not Found"
    elif status == 422:
        body = json.dumps([{"error": "No product has the attribute 'colour'.\nThere is genre."}]).encode()
    elif status == 500:
        body = b"Traceback: secret"
    await send({"type": "http.response.start", "status": status, "headers": [(b"server", b"BentoML")]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def call(guarded: Callable[..., Any]) -> Any:
    return guarded(echo)


def test_a_json_object_passes_unchanged_with_a_request_id(call: Any) -> None:
    answer = call(b'{"k": 1}', chunk=3)
    assert (answer.status, answer.body) == (200, {"k": 1})
    assert len(answer.headers["x-request-id"]) == 32


def test_the_callers_request_id_is_kept_if_it_is_harmless(call: Any) -> None:
    assert call(headers={**JSON, "x-request-id": "a-1"}).headers["x-request-id"] == "a-1"
    assert call(headers={**JSON, "x-request-id": "a\r\nb"}).headers["x-request-id"] != "a\r\nb"


@pytest.mark.parametrize(
    "media_type",
    ["application/vnd.bentoml+pickle", "text/plain", "multipart/form-data", "application/x-www-form-urlencoded", ""],
)
def test_only_json_bodies_pass(call: Any, media_type: str) -> None:
    answer = call(headers={"content-type": media_type})
    assert (answer.status, answer.body["status"]) == (415, 415)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_charset_beside_the_type_is_fine_and_an_encoding_is_not(call: Any) -> None:
    assert call(headers={"content-type": "application/json; charset=utf-8"}).status == 200
    assert call(headers={**JSON, "content-encoding": "gzip"}).status == 415


@pytest.mark.parametrize("declared", [True, False])
def test_a_long_body_is_refused(call: Any, declared: bool) -> None:
    body = b'{"a": "' + b"x" * MAX_BODY + b'"}'
    headers = {**JSON, "content-length": str(len(body))} if declared else JSON
    assert call(body, headers, chunk=65536).status == 413


def test_many_values_are_refused_before_they_are_parsed(call: Any) -> None:
    assert call(b'{"a": [' + b"," * (MAX_VALUES + 1)).body["type"] == "urn:counterpoint:problem:too-long"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'{"a": NaN}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b"\xff",
        b'{"a": ' + b"[" * 100_000,
        b'{"a": ' + b"[" * 20 + b"]" * 20 + b"}",
    ],
)
def test_what_is_no_plain_json_object_is_a_400(call: Any, body: bytes) -> None:
    answer = call(body)
    assert (answer.status, answer.body["type"]) == (400, "urn:counterpoint:problem:invalid-body")
    assert "one JSON object" in answer.body["expected"]


def test_a_problem_says_what_was_found_what_was_expected_and_what_to_do(call: Any) -> None:
    answer = call(b'{"a": "status 400"}', path="/v1/score")
    assert answer.body == {
        "type": "urn:counterpoint:problem:invalid-request",
        "title": "The request is not as it must be",
        "status": 400,
        "detail": "k: too big",
        "instance": "/v1/score",
        "request_id": answer.headers["x-request-id"],
        "expected": "GET /docs.json has the schema of every request.",
        "errors": [{"field": "k", "message": "too big"}],
    }


def test_every_error_of_the_service_becomes_a_problem(call: Any) -> None:
    assert call(b'{"a": "status 404"}').body["detail"] == "Not Found"
    unusable = call(b'{"a": "status 422"}').body
    assert (unusable["detail"], unusable["expected"]) == ("No product has the attribute 'colour'.", "There is genre.")
    busy = call(b'{"a": "status 503"}')
    assert (busy.body["type"], busy.headers["retry-after"]) == ("urn:counterpoint:problem:not-ready", "2")


def test_a_fault_keeps_its_cause_to_the_log(call: Any) -> None:
    answer = call(b'{"a": "status 500"}')
    assert answer.body["type"] == "urn:counterpoint:problem:fault"
    assert "secret" not in str(answer.body)


def test_an_exception_of_the_app_is_a_fault(guarded: Callable[..., Any]) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("secret")

    answer = guarded(broken)()
    assert (answer.status, "secret" in str(answer.body)) == (500, False)


def test_every_answer_has_security_headers_and_no_servers_name(call: Any) -> None:
    for answer in (call(), call(b"[]"), call(b'{"a": "status 500"}')):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers


def test_a_get_needs_no_media_type(call: Any) -> None:
    assert call(b"", {}, method="GET").status == 200


def test_a_body_that_never_ends_is_given_up(guarded: Callable[..., Any]) -> None:
    async def slow(guard: Any) -> list[Any]:
        sent: list[Any] = []

        async def receive() -> Any:
            await asyncio.sleep(60)

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/v1/score", "headers": headers}
        await guard({**scope, "server": ("127.0.0.1", 1), "client": ("127.0.0.1", 1)}, receive, send)
        return sent

    assert asyncio.run(slow(guarded(echo, deadline=0.02).guard))[0]["status"] == 504


def test_kinds_are_told_apart_by_name() -> None:
    names = [kind.value[0] for kind in Kind]
    assert len(names) == len(set(names))
