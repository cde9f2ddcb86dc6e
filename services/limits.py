"""What a body may be: a small JSON object, not compressed. Everything else is refused before anybody parses it.

BentoML (1.4.39) has no body limit and answers some malformed bodies with 500; here they never reach it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from services.problems import Kind, Problem, Refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

MAX_BODY = 1_000_000
"""Bytes; 1,000 product ids of 256 characters fit four times."""
MAX_VALUES = 20_000
"""Values of a body, counted by their commas: the schemas allow a few thousand, and each costs time to parse."""
MAX_DEPTH = 16
WITHOUT_BODY = ("GET", "HEAD", "OPTIONS", "DELETE")


async def checked_body(scope: Scope, receive: Receive) -> bytes:
    """The body of a request, if it may pass; nothing of it is read if its headers already say no. Raises Refusal."""
    headers = dict(scope["headers"])
    if scope["method"] in WITHOUT_BODY:
        return await _read(receive, headers.get(b"content-length", b""))
    _check_form(headers)
    body = await _read(receive, headers.get(b"content-length", b""))
    _check_json(body)
    return body


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was already read, then what the server has to say."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _check_form(headers: dict[bytes, bytes]) -> None:
    """Refuses what is not declared to be plain JSON."""
    media_type = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    encoding = headers.get(b"content-encoding", b"identity").lower()
    if media_type != b"application/json" or encoding != b"identity":
        found = media_type.decode("latin-1") or "not declared"
        how = "" if encoding == b"identity" else f", encoded as {encoding.decode('latin-1')}"
        raise Refusal(
            Problem(
                Kind.WRONG_MEDIA_TYPE,
                f"The body's type is {found}{how}.",
                "A body is application/json without a content-encoding.",
                "Send it with the header Content-Type: application/json.",
            )
        )


async def _read(receive: Receive, declared: bytes) -> bytes:
    """A whole body, refused as soon as it is known to be too long."""
    if declared.isdigit() and int(declared[:20]) > MAX_BODY:
        raise _too_long(f"The body has {int(declared[:20]):,} bytes.")
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _invalid("The connection closed before the body was complete.")
        chunks.append(message.get("body", b""))
        size, more = size + len(chunks[-1]), message.get("more_body", False)
        if size > MAX_BODY:
            raise _too_long(f"The body has more than {MAX_BODY:,} bytes.")
    return b"".join(chunks)


def _check_json(body: bytes) -> None:
    """Refuses what is not a flat enough JSON object of valid UTF-8."""
    if (n_values := body.count(b",")) > MAX_VALUES:
        raise _too_long(f"The body has about {n_values:,} values.")
    try:
        content = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except RecursionError:
        raise _invalid("The body is nested too deeply.") from None
    except ValueError as error:
        raise _invalid(f"The body is not valid JSON: {error}.") from None
    if not isinstance(content, dict):
        raise _invalid(f"The body is a JSON {type(content).__name__}.")
    if _depth(content) > MAX_DEPTH:
        raise _invalid("The body is nested too deeply.")


def _invalid(detail: str) -> Refusal:
    expected = f"A body is one JSON object in UTF-8, nested at most {MAX_DEPTH} levels deep."
    return Refusal(Problem(Kind.INVALID_BODY, detail, expected, "GET /docs.json has an example for every path."))


def _too_long(detail: str) -> Refusal:
    expected = f"A body has at most {MAX_BODY:,} bytes and {MAX_VALUES:,} values."
    return Refusal(Problem(Kind.TOO_LONG, detail, expected, "Ask for fewer products at a time."))


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
