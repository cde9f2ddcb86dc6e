"""Rules choose by what the catalog says, are bounded before they are used, and name the attributes there are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from features.errors import InputError
from services.rules import MAX_DEPTH, MAX_PARTS, Attributes, Rule

PRODUCTS: dict[str, tuple[str, ...]] = {
    "alien": ("genre=Horror", "genre=Sci-Fi", "year=1979"),
    "brazil": ("genre=Sci-Fi", "year=1985", "price=9.50"),
    "casablanca": ("genre=Drama", "year=1942"),
    "nameless": (),
}
TITLES = {name: f"{name.title()} (the film)" for name in PRODUCTS}


@pytest.fixture
def attributes(make_products: Any) -> Attributes:
    return Attributes(make_products(PRODUCTS), TITLES)


def chosen(attributes: Attributes, rule: Any) -> list[str]:
    mask = attributes.choose(TypeAdapter(Rule).validate_python(rule))
    return [name for name, is_chosen in zip(PRODUCTS, mask, strict=True) if is_chosen]


def on(attribute: str, op: str, **rest: Any) -> dict[str, Any]:
    return {"op": op, "attribute": attribute, **rest}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (on("genre", "eq", value="Sci-Fi"), ["alien", "brazil"]),
        (on("genre", "ne", value="Sci-Fi"), ["casablanca", "nameless"]),
        (on("year", "eq", value=1979.0), ["alien"]),
        (on("year", "eq", value="1979"), ["alien"]),
        (on("price", "eq", value=9.5), ["brazil"]),
        (on("year", "lt", value=1979), ["casablanca"]),
        (on("year", "le", value=1979), ["alien", "casablanca"]),
        (on("year", "gt", value=1979), ["brazil"]),
        (on("year", "ge", value="1979"), ["alien", "brazil"]),
        (on("genre", "gt", value=0), []),
        (on("genre", "in", values=["Drama", "Horror"]), ["alien", "casablanca"]),
        (on("genre", "contains", text="sci"), ["alien", "brazil"]),
        (on("title", "contains", text="BLANCA"), ["casablanca"]),
    ],
)
def test_a_product_matches_by_any_of_its_values(attributes: Attributes, rule: Any, expected: list[str]) -> None:
    assert chosen(attributes, rule) == expected


def test_rules_combine(attributes: Attributes) -> None:
    scifi, old = on("genre", "eq", value="Sci-Fi"), on("year", "lt", value=1980)
    assert chosen(attributes, {"op": "and", "rules": [scifi, old]}) == ["alien"]
    assert chosen(attributes, {"op": "or", "rules": [scifi, old]}) == ["alien", "brazil", "casablanca"]
    assert chosen(attributes, {"op": "not", "rule": {"op": "or", "rules": [scifi, old]}}) == ["nameless"]


def test_an_unknown_attribute_is_refused_with_the_known_ones(attributes: Attributes) -> None:
    with pytest.raises(InputError, match="'colour'") as refused:
        chosen(attributes, {"op": "not", "rule": on("colour", "eq", value="red")})
    assert "genre, price, title, year" in str(refused.value)


def nested(depth: int) -> dict[str, Any]:
    rule = on("genre", "eq", value="Drama")
    for _ in range(depth - 1):
        rule = {"op": "not", "rule": rule}
    return rule


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"op": "like", "attribute": "genre", "value": "x"},
        on("genre", "eq"),
        on("genre", "eq", value="x", code="import os"),
        on("genre", "lt", value=float("nan")),
        on("genre", "in", values=[]),
        on("genre", "contains", text=""),
        {"op": "and", "rules": []},
        nested(MAX_DEPTH + 1),
        {"op": "or", "rules": [{"op": "and", "rules": [nested(1)] * 25}] * 2},
    ],
)
def test_a_rule_that_is_not_of_the_language_or_too_large_is_refused(rule: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Rule).validate_python(rule)


def test_rules_up_to_the_limits_are_taken(attributes: Attributes) -> None:
    assert len(chosen(attributes, nested(MAX_DEPTH))) in (1, 3)
    assert chosen(attributes, {"op": "or", "rules": [nested(1)] * (MAX_PARTS - 1)}) == ["casablanca"]


def test_likeness_by_an_attribute_is_the_share_of_common_values(attributes: Attributes) -> None:
    rows = np.array([0, 1, 2, 3])
    assert attributes.of("genre").overlap(rows, 0).tolist() == [1.0, 0.5, 0.0, 0.0]
