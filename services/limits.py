"""The guard in front of the service: small JSON bodies in, errors as problem+json, a request id on every answer.

BentoML (1.4.39) has no body limit and answers some malformed bodies with 500; here they never reach it.
The problem format is RFC 9457.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

MAX_BODY = 1_000_000
"""Bytes; 1,000 product ids of 256 characters fit four times."""
MAX_DEPTH = 16
REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class _Refusal(Exception):
    """A request that is not passed on."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class Limits:
    """ASGI middleware around the whole service."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Checks a request, passes it on, and rewrites errors."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send, _request_id(scope["headers"]))
        try:
            body = await _checked_body(scope, receive)
        except _Refusal as refusal:
            await answer.problem(refusal.status, refusal.detail)
            return
        await self.app(scope, _replay(body, receive), answer.send)


class _Answer:
    """Sends an app's answer on, with the request id; what is an error becomes problem+json first."""

    def __init__(self, send: Send, request_id: bytes) -> None:
        self._send, self._request_id = send, request_id
        self._failed: int | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        """Stands in for the server's `send`."""
        if message["type"] == "http.response.start":
            if message["status"] >= HTTPStatus.BAD_REQUEST:
                self._failed = message["status"]
                return
            message["headers"] = [*message.get("headers", []), (b"x-request-id", self._request_id)]
        elif self._failed is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await self.problem(HTTPStatus(self._failed), _detail(self._body))
            return
        await self._send(message)

    async def problem(self, status: HTTPStatus, detail: str) -> None:
        """Answers with an error."""
        problem = {"title": status.phrase, "status": status.value, "detail": detail}
        body = json.dumps({**problem, "request_id": self._request_id.decode()}, ensure_ascii=False).encode()
        headers: Headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            (b"x-request-id", self._request_id),
        ]
        await self._send({"type": "http.response.start", "status": status.value, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


async def _checked_body(scope: Scope, receive: Receive) -> bytes:
    """The body of a request, if it may pass. Raises _Refusal."""
    headers = dict(scope["headers"])
    body = await _read(receive, headers.get(b"content-length", b""))
    if scope["method"] in ("GET", "HEAD", "OPTIONS") or (scope["method"] == "DELETE" and not body):
        return body
    media_type = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    if media_type != b"application/json":
        found = media_type.decode("latin-1") or "none"
        raise _Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The body's type is {found}; send application/json.")
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise _Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the body without a content-encoding.")
    _check_json(body)
    return body


async def _read(receive: Receive, declared: bytes) -> bytes:
    """A whole body, refused as soon as it is known to be too long."""
    too_long = _Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is longer than {MAX_BODY:,} bytes.")
    if declared.isdigit() and int(declared) > MAX_BODY:
        raise too_long
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Refusal(HTTPStatus.BAD_REQUEST, "The connection closed before the body was complete.")
        chunks.append(message.get("body", b""))
        size, more = size + len(chunks[-1]), message.get("more_body", False)
        if size > MAX_BODY:
            raise too_long
    return b"".join(chunks)


def _check_json(body: bytes) -> None:
    """Refuses what is not a flat enough JSON object of valid UTF-8."""
    try:
        content = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _Refusal(HTTPStatus.BAD_REQUEST, f"The body is not valid JSON: {error}.") from error
    if not isinstance(content, dict):
        raise _Refusal(HTTPStatus.BAD_REQUEST, f"The body is a JSON {type(content).__name__}; send an object.")
    if _depth(content) > MAX_DEPTH:
        raise _Refusal(HTTPStatus.BAD_REQUEST, f"The body is nested more than {MAX_DEPTH} levels deep.")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _depth(content: object) -> int:
    """Levels of nesting, counted no further than needed."""
    depth, level = 0, [content]
    while level and depth <= MAX_DEPTH:
        children: list[object] = []
        for value in level:
            children.extend(value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
        depth, level = depth + 1, children
    return depth


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was already read, then what the server has to say."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _request_id(headers: Headers) -> bytes:
    """The caller's X-Request-ID if it is harmless, else a new one."""
    given = dict(headers).get(b"x-request-id", b"")
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex.encode()


def _detail(body: bytes) -> str:
    """What BentoML wrote about an error, in one sentence."""
    try:
        content = json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
    if isinstance(content, list) and content:
        content = content[0]
    if not isinstance(content, dict):
        return str(content)
    places = [f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}" for item in content.get("detail") or ()]
    return "; ".join(places) or str(content.get("error", ""))
