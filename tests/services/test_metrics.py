"""What is counted and logged: the names that are documented, and nobody's id or text."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from bentoml.exceptions import BentoMLException
from pydantic import BaseModel, ValidationError

from features.errors import StoreError
from services.logs import Discretion
from services.metrics import exposition, metrics
from services.problems import Kind

OPERATIONS = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")


async def fine(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


def test_the_documented_metrics_are_those_there_are() -> None:
    rows = re.findall(r"^\| `(counterpoint_\w+)` \| (.*?) \|", OPERATIONS, re.MULTILINE)
    documented = {name: tuple(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    found = {}
    for field in fields(metrics()):
        metric = getattr(metrics(), field.name)
        total = "_total" if metric._type == "counter" else ""
        found[metric._name + total] = metric._labelnames
    assert documented == found


def test_the_documented_problems_are_those_there_are() -> None:
    documented = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", OPERATIONS, re.MULTILINE)
    assert documented == [(kind.value[0], str(kind.status.value)) for kind in Kind]


def test_paths_that_callers_make_up_make_no_new_series(guarded: Callable[..., Any]) -> None:
    call = guarded(fine)
    call(path="/v1/score")
    before = exposition().count(b"\n")
    for n in range(50):
        call(path=f"/v1/person-{n}", method="POST")
        call(path=f"/v1/consumers/person-{n}", method="DELETE")
    assert exposition().count(b"\n") <= before + 50
    assert b"person-" not in exposition()
    assert b'route="/v1/consumers/{}"' in exposition()


def test_a_requests_line_names_its_route_and_not_who_is_in_it(
    guarded: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "services")
    answer = guarded(fine)(b'{"consumer_id": "secret"}', path="/v1/consumers/secret-person", method="DELETE")
    (record,) = caplog.records
    assert "route=/v1/consumers/{} status=200 kind=- ms=" in record.getMessage()
    assert f"request_id={answer.headers['x-request-id']}" in record.getMessage()
    assert "secret" not in caplog.text


def record_of(error: BaseException, name: str = "bentoml.server", message: str = "Exception on %s [%s]") -> Any:
    information = (type(error), error, None)
    return logging.LogRecord(name, logging.ERROR, "", 0, message, ("/v1/consumers/secret", "POST"), information)


def test_what_callers_did_wrong_is_not_logged_and_quotes_nobody() -> None:
    class Request(BaseModel):
        k: int

    with pytest.raises(ValidationError) as caught:
        Request.model_validate({"k": "secret"})
    assert "secret" in str(caught.value)
    discretion = Discretion()
    assert not discretion.filter(record_of(caught.value))
    assert not discretion.filter(record_of(BentoMLException("secret", error_code=400)))


def test_a_fault_is_logged_with_its_traceback_once_in_a_while_and_without_its_path() -> None:
    discretion, records = Discretion(), [record_of(RuntimeError("broken")) for _ in range(3)]
    assert all(map(discretion.filter, records))
    assert [bool(record.exc_info) for record in records] == [True, False, False]
    assert "secret" not in records[0].getMessage()
    other = record_of(ValueError("another"))
    assert discretion.filter(other)
    assert other.exc_info


def test_a_failure_that_has_words_of_its_own_is_logged_by_them_and_not_for_every_request() -> None:
    discretion = Discretion()
    records = [record_of(StoreError("The store is away."), "services.visit", "degraded %s %s") for _ in range(3)]
    assert [discretion.filter(record) for record in records] == [True, False, False]
    assert records[0].getMessage().endswith(": The store is away.")
    assert records[0].exc_info is None
