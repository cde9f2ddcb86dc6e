"""Requests nobody should send: broken and mutated bodies, odd media types, bombs, wrong paths, methods and headers.

They are made from the service's own OpenAPI document, so that a new endpoint is attacked without a word here. None of
them is to be answered by 5xx; some turn out to be valid.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

Value = Any
"""A JSON value."""

JSON_TYPE = {"content-type": "application/json"}
HUGE = 50_000_000
"""Bytes of the longest body."""
RARE = 0.001
"""Share of the longest bodies: each takes a while to send."""
WORDS = (
    "", " ", "\x00", "\ud800", "ü" * 300, "a" * 100_000, "'; drop table consumers; --", "../../etc/passwd", "\u202e",
    "<script>alert(1)</script>", "${jndi:ldap://x}", "{{7*7}}", "NaN", "null", "c0\n", "%00", "-1", "1e999",
)  # fmt: skip
NUMBERS = (0, -1, 1, 101, 10**9, 2**63, -(2**63) - 1, 10**400, 0.5, 1e308, -0.0)
MEDIA_TYPES = (
    "", "text/plain", "application/vnd.bentoml+pickle", "application/x-www-form-urlencoded", "multipart/form-data",
    "multipart/form-data; boundary=", "application/xml", "application/json; charset=utf-16", "image/png", "*/*",
    "application/json, text/html", "application/vnd.apache.parquet",
)  # fmt: skip
METHODS = ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "FOO")
PATHS = (
    "/v1", "/v1/", "/v1/nothing", "/v1/score/", "//v1/score", "/v1/score/../score", "/.env", "/%00",
    "/static_content/../x", "/v1/products/%2e%2e/insights", "/metrics/x", "/v1/consumers/", "/schema.json",
    "/" + "a" * 3000, "/v1/score?" + "b=1&" * 500,
)  # fmt: skip
HEADERS = (
    {"x-request-id": "a" * 5000}, {"x-request-id": "../x"}, {"x-deadline-ms": "soon"}, {"x-deadline-ms": "-1"},
    {"accept": "application/xml"}, {"content-encoding": "gzip"}, {"content-encoding": "br"},
    {"transfer-encoding": "gzip"},
    {"authorization": "Bearer x"}, {"cookie": "a=" + "b" * 3000}, {"origin": "https://x.example"},
    {"expect": "200-maybe"},
    {"host": "x.example"}, {"if-none-match": "*"}, {"range": "bytes=0-1"},
)  # fmt: skip


@dataclass(frozen=True)
class Hostile:
    """One request, and what is odd about it."""

    kind: str
    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON_TYPE))
    in_chunks: bool = False
    """Sent without a declared length."""


def hostile_requests(document: dict[str, Any], seed: int, n: int) -> Iterator[Hostile]:
    """`n` requests, the same for the same seed.

    Args:
        document: the service's OpenAPI document.
        seed: of all choices.
        n: how many.
    """
    chance = random.Random(seed)
    good = good_examples(document)
    makers = (_mutated, _mutated, _mutated, _broken, _in_a_wrong_form, _misdirected, _with_odd_headers)
    for _ in range(n):
        path = chance.choice(sorted(good))
        if chance.random() < RARE:
            yield Hostile("50 MB", "POST", path, b" " * HUGE, in_chunks=chance.random() < 0.5)
        else:
            yield chance.choice(makers)(chance, path, good[path])


def good_examples(document: dict[str, Any]) -> dict[str, dict[str, Value]]:
    """A good body for every POST."""
    posts = {path: item["post"] for path, item in document["paths"].items() if "post" in item}
    return {path: post["requestBody"]["content"]["application/json"]["example"] for path, post in posts.items()}


def _mutated(chance: random.Random, path: str, body: dict[str, Value]) -> Hostile:
    """A good body in which one to three things were changed: mostly refused by the schema, if at all."""
    changed = json.loads(json.dumps(body))
    for _ in range(chance.randint(1, 3)):
        name = chance.choice([*sorted(body), "colour", "", "__class__"])
        if chance.random() < 0.2:
            changed.pop(name, None)
        else:
            changed[name] = _value(chance, 0)
    text = json.dumps(changed, allow_nan=True)
    if chance.random() < 0.1:
        text = text[:-1] + f', "{chance.choice(sorted(body))}": 1}}'
    return Hostile("mutated", "POST", path, text.encode("utf-8", "surrogatepass"), in_chunks=chance.random() < 0.1)


def _value(chance: random.Random, depth: int) -> Value:
    """Any JSON value."""
    simple: tuple[Callable[[], Value], ...] = (
        lambda: chance.choice(WORDS),
        lambda: chance.choice(NUMBERS),
        lambda: chance.choice((None, True, False, float("nan"), float("inf"))),
        lambda: [chance.choice(WORDS[:4])] * chance.choice((0, 1, 50, 1001)),
    )
    if depth > 3 or chance.random() < 0.7:
        return chance.choice(simple)()
    if chance.random() < 0.5:
        return [_value(chance, depth + 1) for _ in range(chance.randint(0, 3))]
    return {chance.choice((*WORDS[:3], "all", "any", "not", "rule")): _value(chance, depth + 1) for _ in range(2)}


def _broken(chance: random.Random, path: str, body: dict[str, Value]) -> Hostile:
    """What is no JSON object, or hardly one."""
    text = json.dumps(body).encode()
    cut = chance.randrange(len(text))
    bodies = (
        text[:cut],
        text[:cut] + bytes([chance.randrange(256)]) + text[cut + 1 :],
        chance.randbytes(chance.choice((1, 100, 10_000))),
        b"[" * chance.choice((10, 1000, 400_000)),
        b'{"a":' * chance.choice((20, 1000, 100_000)),
        b"[" + text + b"]",
        b"\xef\xbb\xbf" + text,
        text.decode().encode("utf-16"),
        b'{"k": ' + b"9" * chance.choice((30, 5000, 900_000)) + b"}",
        b'{"k": [' + b"0," * chance.choice((5_000, 400_000)) + b"0]}",
        b" " * chance.choice((1, 999_999, 1_000_001)),
        b"",
        b"null",
    )
    return Hostile("broken", "POST", path, chance.choice(bodies), in_chunks=chance.random() < 0.3)


def _in_a_wrong_form(chance: random.Random, path: str, body: dict[str, Value]) -> Hostile:
    """A body of another type, or compressed."""
    text = json.dumps(body).encode()
    # The first bytes of a pickle of protocol 4, and one that would call a function if anybody loaded it.
    bodies = (text, b"\x80\x04K\x01.", b"cposix\nsystem\n(S'true'\ntR.", _bomb(), b"--x\r\n\r\n", b"<a/>")
    headers = {"content-type": chance.choice(MEDIA_TYPES)}
    if chance.random() < 0.4:
        headers = {**JSON_TYPE, "content-encoding": chance.choice(("gzip", "deflate", "br", "gzip, gzip"))}
    return Hostile("wrong form", "POST", path, chance.choice(bodies), headers, chance.random() < 0.2)


@cache
def _bomb() -> bytes:
    """A small body that would become a gigabyte."""
    return gzip.compress(gzip.compress(b"\0" * 10_000_000) * 100)


def _misdirected(chance: random.Random, path: str, body: dict[str, Value]) -> Hostile:
    """A path that is not there, or a method that is not meant."""
    text = json.dumps(body).encode()
    if chance.random() < 0.5:
        return Hostile("wrong path", chance.choice(("GET", "POST")), chance.choice(PATHS), text)
    return Hostile("wrong method", chance.choice(METHODS), path, text)


def _with_odd_headers(chance: random.Random, path: str, body: dict[str, Value]) -> Hostile:
    """A good body under headers that are not."""
    return Hostile("odd headers", "POST", path, json.dumps(body).encode(), {**JSON_TYPE, **chance.choice(HEADERS)})
