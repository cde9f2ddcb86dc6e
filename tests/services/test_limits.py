"""The guard: what is not a small JSON object never reaches the service; errors are problem+json."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from services.limits import MAX_BODY, Limits

JSON = {"content-type": "application/json"}


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the body, or as BentoML answers an invalid one."""
    body = (await receive())["body"]
    status = 400 if b"invalid" in body else 200
    if status == 400:
        body = json.dumps({"error": "1 validation error", "detail": [{"loc": ["k"], "msg": "too big"}]}).encode()
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


def call(
    body: bytes, headers: dict[str, str] = JSON, method: str = "POST", chunk: int = 1 << 30
) -> tuple[int, dict[str, str], Any]:
    """Status, headers and parsed body of one request through the guard."""
    sent: list[Any] = []
    chunks = [body[n : n + chunk] for n in range(0, len(body), chunk)] or [b""]

    async def receive() -> Any:
        part = chunks.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(chunks)}

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(Limits(echo)({"type": "http", "method": method, "headers": raw}, receive, send))
    start, content = sent
    answered = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], answered, json.loads(content["body"] or b"null")


def test_a_json_object_passes_unchanged_with_a_request_id() -> None:
    status, headers, body = call(b'{"k": 1}', chunk=3)
    assert (status, body) == (200, {"k": 1})
    assert len(headers["x-request-id"]) == 32


def test_the_callers_request_id_is_kept_if_it_is_harmless() -> None:
    assert call(b"{}", {**JSON, "x-request-id": "a-1"})[1]["x-request-id"] == "a-1"
    assert call(b"{}", {**JSON, "x-request-id": "a\r\nb"})[1]["x-request-id"] != "a\r\nb"


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.bentoml+pickle",
        "text/plain",
        "multipart/form-data",
        "application/x-www-form-urlencoded",
        "",
    ],
)
def test_only_json_bodies_pass(media_type: str) -> None:
    status, headers, body = call(b"{}", {"content-type": media_type})
    assert (status, body["status"]) == (415, 415)
    assert headers["content-type"] == "application/problem+json"


def test_a_charset_beside_the_type_is_fine_and_an_encoding_is_not() -> None:
    assert call(b"{}", {"content-type": "application/json; charset=utf-8"})[0] == 200
    assert call(b"{}", {**JSON, "content-encoding": "gzip"})[0] == 415


@pytest.mark.parametrize("declared", [True, False])
def test_a_long_body_is_refused(declared: bool) -> None:
    body = b'{"a": "' + b"x" * MAX_BODY + b'"}'
    headers = {**JSON, "content-length": str(len(body))} if declared else JSON
    assert call(body, headers, chunk=65536)[0] == 413


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'{"a": NaN}',
        b"\xff",
        b'{"a": ' + b"[" * 100_000,
        b'{"a": ' + b"[" * 20 + b"]" * 20 + b"}",
    ],
)
def test_what_is_no_plain_json_object_is_a_400(body: bytes) -> None:
    status, _, answer = call(body)
    assert status == 400
    assert answer["detail"]


def test_errors_of_the_service_become_problems() -> None:
    status, headers, body = call(b'{"a": "invalid"}')
    assert (status, body["title"], body["detail"]) == (400, "Bad Request", "k: too big")
    assert body["request_id"] == headers["x-request-id"]


def test_a_get_needs_no_media_type() -> None:
    assert call(b"", {}, method="GET")[0] == 200
