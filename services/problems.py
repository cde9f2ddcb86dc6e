"""What can be wrong with a request or with the service, as problem details (RFC 9457), one kind each.

Every error of the service has this form; `docs/operations.md` lists the kinds, and a test compares.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any

MEDIA_TYPE = b"application/problem+json"
TYPE_PREFIX = "urn:counterpoint:problem:"
DETAIL_LENGTH = 500
"""Characters of a detail at most: it may quote what the caller sent."""


SCHEMA = "GET /docs.json has the schema of every request."


class Kind(Enum):
    """Name (the last part of `type`), HTTP status, and title."""

    INVALID_BODY = ("invalid-body", HTTPStatus.BAD_REQUEST, "The body cannot be read")
    INVALID_REQUEST = ("invalid-request", HTTPStatus.BAD_REQUEST, "The request is not as it must be")
    UNKNOWN_CALLER = ("unknown-caller", HTTPStatus.UNAUTHORIZED, "An API key is needed")
    NOT_ALLOWED = ("not-allowed", HTTPStatus.FORBIDDEN, "This caller may not do that")
    NOT_FOUND = ("not-found", HTTPStatus.NOT_FOUND, "There is nothing here")
    WRONG_METHOD = ("wrong-method", HTTPStatus.METHOD_NOT_ALLOWED, "Not with this method")
    TOO_LONG = ("too-long", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too long")
    WRONG_MEDIA_TYPE = ("wrong-media-type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Not in this form")
    UNUSABLE_REQUEST = ("unusable-request", HTTPStatus.UNPROCESSABLE_ENTITY, "The request cannot be fulfilled")
    TOO_MANY_REQUESTS = ("too-many-requests", HTTPStatus.TOO_MANY_REQUESTS, "Too many requests with this key")
    FAULT = ("fault", HTTPStatus.INTERNAL_SERVER_ERROR, "Something failed here")
    NOT_READY = ("not-ready", HTTPStatus.SERVICE_UNAVAILABLE, "No release can be served")
    OVERLOADED = ("overloaded", HTTPStatus.SERVICE_UNAVAILABLE, "Too much work")
    TOO_LATE = ("too-late", HTTPStatus.GATEWAY_TIMEOUT, "Not in time")

    @property
    def status(self) -> HTTPStatus:
        """The status of an answer of this kind."""
        return self.value[1]

    @classmethod
    def of_status(cls, status: int) -> Kind:
        """The kind that an error of the inner service is, by its status alone."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return cls.NOT_READY if status == HTTPStatus.SERVICE_UNAVAILABLE else cls.FAULT
        return next((kind for kind in cls if kind.status == status and kind != cls.INVALID_BODY), cls.INVALID_REQUEST)


DOCUMENTED = {
    Kind.NOT_FOUND: "GET /docs.json lists what there is.",
    Kind.WRONG_METHOD: "GET /docs.json lists the methods of every path.",
}
"""What was expected, where the error itself does not say."""


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field of a body."""

    field: str
    message: str


@dataclass(frozen=True)
class Problem:
    """One error, in words for who called: what was found, what was expected, what to do."""

    kind: Kind
    detail: str
    expected: str = ""
    remedy: str = ""
    retry_after: int | None = None
    """Seconds after which trying again may help."""
    errors: tuple[FieldError, ...] = ()

    def members(self, path: str, request_id: str) -> dict[str, Any]:
        """The problem's JSON object, for the request of that path and id."""
        name, status, title = self.kind.value
        members = {
            "type": TYPE_PREFIX + name,
            "title": title,
            "status": status.value,
            "detail": _shortened(self.detail),
            "instance": path,
            "request_id": request_id,
            "expected": self.expected,
            "remedy": self.remedy,
            "errors": [{"field": it.field, "message": _shortened(it.message)} for it in self.errors],
        }
        return {key: value for key, value in members.items() if value not in ("", [])}


class Refusal(Exception):
    """A request that is answered by a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def problem_of(status: int, body: bytes) -> Problem:
    """The problem in an error that BentoML (1.4.39) or Starlette wrote: JSON of several forms, or plain text.

    What they say of their own failures is left to the log.
    """
    kind = Kind.of_status(status)
    if kind is Kind.NOT_READY:
        remedy = "Try again soon; the service's log says what is wrong with the live release."
        return Problem(kind, "The service has no release to answer with.", remedy=remedy, retry_after=2)
    if kind is Kind.FAULT:
        return Problem(
            kind, "The request met a fault.", remedy="Report the request_id; the service's log has the rest."
        )
    said, errors = _said(body)
    # An error of this project is up to three lines: what was found, what was expected, what to do.
    detail, expected, remedy = (*said.split("\n", 2), "", "")[:3]
    return Problem(kind, detail, expected or DOCUMENTED.get(kind, SCHEMA), remedy, errors=errors)


def _said(body: bytes) -> tuple[str, tuple[FieldError, ...]]:
    """What an error's body says: one sentence, and the fields it names."""
    try:
        content = json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace").strip() or "The request was refused.", ()
    content = content[0] if isinstance(content, list) and content else content
    if not isinstance(content, dict):
        return str(content), ()
    detail = content.get("detail")
    if isinstance(detail, str):
        return detail, ()
    errors = tuple(FieldError(".".join(map(str, it["loc"])) or "body", str(it["msg"])) for it in detail or ())
    sentence = "; ".join(f"{error.field}: {error.message}" for error in errors)
    return sentence or str(content.get("error", "The request was refused.")), errors


def _shortened(text: str) -> str:
    return text if len(text) <= DETAIL_LENGTH else text[: DETAIL_LENGTH - 1] + "…"
