"""The OpenAPI document says all of it: models with their nulls, every problem, who may call."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from services.access import ROUTES
from services.keys import Role
from services.openapi import PROBLEM, Endpoint, document
from services.problems import Kind, Problem
from services.schemas import (
    ExplainRequest,
    ExplainResponse,
    RecommendRequest,
    RecommendResponse,
    ScoreRequest,
    ScoreResponse,
)

ENDPOINTS = (
    Endpoint("POST", "/v1/recommend", "Recommends.", RecommendRequest, RecommendResponse),
    Endpoint("POST", "/v1/score", "Scores.", ScoreRequest, ScoreResponse),
    Endpoint("POST", "/v1/explain", "Explains.", ExplainRequest, ExplainResponse),
    Endpoint("GET", "/v1/products/{product_id}/insights", "Tells of a product.", None, ScoreResponse),
)


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    return document(ENDPOINTS)


def test_every_reference_leads_somewhere(written: dict[str, Any]) -> None:
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(written))):
        place: Any = written
        for part in reference.split("/"):
            place = place[part]
        assert place


def test_every_kind_of_problem_is_described_with_its_status(written: dict[str, Any]) -> None:
    for kind in Kind:
        response = written["components"]["responses"][f"Problem{kind.status.value}"]
        assert kind.value[0] in response["content"]["application/problem+json"]["examples"]


def test_a_problem_is_what_is_described() -> None:
    members = Problem(Kind.INVALID_REQUEST, "found", "expected", "remedy", 1).members("/v1/score", "id")
    assert set(PROBLEM["required"]) <= set(members) <= set(PROBLEM["properties"])
    assert members["type"] in PROBLEM["properties"]["type"]["enum"]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
def test_an_endpoint_has_its_models_examples_and_errors(written: dict[str, Any], endpoint: Endpoint) -> None:
    operation = written["paths"][endpoint.path][endpoint.method.lower()]
    assert {"200", "400", "401", "403", "429", "500", "503", "504"} <= set(operation["responses"])
    assert operation["x-role"] == Role.SERVE
    if endpoint.request is None:
        assert "requestBody" not in operation
        assert operation["parameters"][0]["name"] == "product_id"
    else:
        assert {"413", "415", "422"} <= set(operation["responses"])
        endpoint.request.model_validate(operation["requestBody"]["content"]["application/json"]["example"])


def test_what_may_be_null_says_so(written: dict[str, Any]) -> None:
    rating = written["components"]["schemas"]["Recommended"]["properties"]["rating"]
    assert {"type": "null"} in rating["anyOf"]


def test_health_needs_no_key_and_metrics_do(written: dict[str, Any]) -> None:
    assert written["paths"]["/livez"]["get"]["security"] == []
    assert "security" not in written["paths"]["/metrics"]["get"]


def test_no_two_routes_are_the_same() -> None:
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
