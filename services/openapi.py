"""The service's OpenAPI 3.1 document, made from the types of its endpoints.

BentoML (1.4.39) writes one too, but leaves out what may be null, which statuses there are, and how errors look.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, get_type_hints

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from services.access import OPEN, ROUTES, route_of
from services.problems import MEDIA_TYPE, TYPE_PREFIX, Kind

JSON = dict[str, Any]

REFERENCE = "#/components/schemas/{model}"
WITH_BODY = (Kind.INVALID_BODY, Kind.TOO_LONG, Kind.WRONG_MEDIA_TYPE, Kind.UNUSABLE_REQUEST)
ALWAYS = (
    Kind.INVALID_REQUEST,
    Kind.UNKNOWN_CALLER,
    Kind.NOT_ALLOWED,
    Kind.TOO_MANY_REQUESTS,
    Kind.FAULT,
    Kind.NOT_READY,
    Kind.OVERLOADED,
)
REQUEST_ID: JSON = {"description": "Names the request in the service's log.", "schema": {"type": "string"}}
PROBLEM: JSON = {
    "type": "object",
    "description": "What is wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail", "instance", "request_id"],
    "additionalProperties": False,
    "properties": {
        "type": {"type": "string", "enum": [TYPE_PREFIX + kind.value[0] for kind in Kind]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What was found."},
        "instance": {"type": "string", "description": "The path that was asked."},
        "request_id": {"type": "string"},
        "expected": {"type": "string", "description": "What was expected."},
        "remedy": {"type": "string", "description": "What to do."},
        "errors": {
            "type": "array",
            "description": "The fields that are wrong.",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


@dataclass(frozen=True)
class Endpoint:
    """One operation; it takes a body if `request` is a model."""

    method: str
    path: str
    summary: str
    request: type[BaseModel] | None
    response: type[BaseModel]
    queries: tuple[tuple[str, str], ...] = ()
    """Name and description of what may stand after the path's `?`."""
    timed: bool = True
    """Whether a caller may set a deadline; what is only read from a file needs none."""

    @property
    def names(self) -> list[str]:
        """What of the path is the caller's to say."""
        return [part.strip("{}") for part in self.path.split("/") if part.startswith("{")]

    @property
    def kinds(self) -> list[Kind]:
        """The problems an answer may be."""
        return [
            *ALWAYS,
            *(WITH_BODY if self.request else ()),
            *((Kind.NOT_FOUND,) if self.names else ()),
            *((Kind.TOO_LATE,) if self.timed else ()),
        ]


def endpoint_of(path: str, function: Callable[..., Any]) -> Endpoint:
    """A POST whose models are those of the function's annotations."""
    hints = get_type_hints(function)
    return Endpoint("POST", path, inspect.getdoc(function) or "", hints["request"], hints["return"])


def document(endpoints: Sequence[Endpoint]) -> JSON:
    """The document of the endpoints and of what stands beside them."""
    modes = [(it.request, "validation") for it in endpoints if it.request]
    modes += [(it.response, "serialization") for it in endpoints]
    _, schemas = models_json_schema(modes, ref_template=REFERENCE)  # type: ignore[arg-type]  # a list is invariant
    paths: JSON = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    for route in ROUTES:
        if route.path in ("/livez", "/readyz", "/metrics"):
            paths[route.path] = {"get": _infrastructure(route.path)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "counterpoint",
            "summary": "Recommendations that argue both sides.",
            "version": version("counterpoint"),
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "security": [{"bearer": []}, {"key": []}],
        "components": {
            "schemas": {**schemas.get("$defs", {}), "Problem": PROBLEM},
            "responses": {f"Problem{status}": _problems(status) for status in sorted({it.status for it in Kind})},
            "headers": {"RequestId": REQUEST_ID},
            "parameters": {"RequestId": _header("X-Request-ID"), "Deadline": _header("X-Deadline-Ms")},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _operation(endpoint: Endpoint) -> JSON:
    answer = {"application/json": {"schema": _reference(endpoint.response)}}
    responses: JSON = {"200": {"description": "The answer.", "headers": _headers(), "content": answer}}
    responses |= {
        str(status.value): {"$ref": f"#/components/responses/Problem{status.value}"}
        for status in sorted({kind.status for kind in endpoint.kinds})
    }
    operation: JSON = {
        "operationId": f"{endpoint.method.lower()}{endpoint.path.replace('/', '_').replace('{', '').replace('}', '')}",
        "summary": endpoint.summary.splitlines()[0],
        "description": endpoint.summary,
        "x-role": str(route_of(endpoint.method, endpoint.path).needs),
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in endpoint.names),
            *(
                {"name": name, "in": "query", "description": what, "schema": {"type": "string"}}
                for name, what in endpoint.queries
            ),
            {"$ref": "#/components/parameters/RequestId"},
            *([{"$ref": "#/components/parameters/Deadline"}] if endpoint.timed else ()),
        ],
        "responses": responses,
    }
    if endpoint.request:
        content: JSON = {"schema": _reference(endpoint.request)}
        extra = endpoint.request.model_config.get("json_schema_extra")
        if isinstance(extra, dict) and "example" in extra:
            content["example"] = extra["example"]
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    return operation


def _infrastructure(path: str) -> JSON:
    described = {
        "/livez": "The process lives.",
        "/readyz": "There is a release to answer with, and the service is not about to stop.",
        "/metrics": "What is counted, for Prometheus.",
    }
    responses: JSON = {"200": {"description": "Yes.", "headers": _headers()}}
    if path == "/readyz":
        responses["503"] = {"$ref": "#/components/responses/Problem503"}
    operation: JSON = {"summary": described[path], "operationId": f"get_{path[1:]}", "responses": responses}
    return {**operation, "security": []} if route_of("GET", path).needs == OPEN else operation


def _problems(status: HTTPStatus) -> JSON:
    """The kinds of problems with one status."""
    kinds = [kind for kind in Kind if kind.status == status]
    headers = _headers()
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        headers["Retry-After"] = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
    examples = {
        kind.value[0]: {
            "value": {
                "type": TYPE_PREFIX + kind.value[0],
                "title": kind.value[2],
                "status": status.value,
                "detail": "What was found.",
                "instance": "/v1/recommend",
                "request_id": "c0ffee",
            }
        }
        for kind in kinds
    }
    content = {MEDIA_TYPE.decode(): {"schema": {"$ref": REFERENCE.format(model="Problem")}, "examples": examples}}
    return {"description": "; ".join(kind.value[2] for kind in kinds), "headers": headers, "content": content}


def _headers() -> JSON:
    return {"X-Request-ID": {"$ref": "#/components/headers/RequestId"}}


def _header(name: str) -> JSON:
    what = {
        "X-Request-ID": (
            {"type": "string"},
            "Comes back if it is 1 to 64 letters, digits, dots, dashes and underscores; else another does.",
        ),
        "X-Deadline-Ms": (
            {"type": "integer", "minimum": 1, "maximum": 99_999_999},
            "Milliseconds after which the answer is 504.",
        ),
    }
    schema, description = what[name]
    return {"name": name, "in": "header", "required": False, "schema": schema, "description": description}


def _reference(model: type[BaseModel]) -> JSON:
    return {"$ref": REFERENCE.format(model=model.__name__)}
