"""Rules that choose products by what the catalog says of them: a small typed language, checked before it is used.

    {"op": "and", "rules": [{"op": "in", "attribute": "genre", "values": ["Drama", "Sci-Fi"]},
                            {"op": "not", "rule": {"op": "lt", "attribute": "year", "value": 1990}}]}

An attribute may have several values: a comparison holds if it does for one of them (`ne` holds if `eq` does not).
Numbers are compared as numbers, and only with values that are numbers. Nothing is ever evaluated as code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from features.batch import ProductBlock
from features.errors import InputError

MAX_DEPTH = 5
MAX_PARTS = 50
MAX_VALUES = 100
TITLE = "title"
"""Every product has this one; the others are the catalog's."""

Mask = NDArray[np.bool_]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Text = Annotated[str, StringConstraints(max_length=256)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Comparison(_Part):
    """Compares an attribute with one value; order is of numbers."""

    op: Literal["eq", "ne", "lt", "le", "gt", "ge"]
    attribute: Name
    value: Number | Text


class Membership(_Part):
    """Whether an attribute has one of some values."""

    op: Literal["in"]
    attribute: Name
    values: tuple[Text, ...] = Field(min_length=1, max_length=MAX_VALUES)


class Containment(_Part):
    """Whether an attribute holds a text, whatever the case of its letters."""

    op: Literal["contains"]
    attribute: Name
    text: Text = Field(min_length=1)


class Combination(_Part):
    """All of some rules, or at least one of them."""

    op: Literal["and", "or"]
    rules: tuple[Part, ...] = Field(min_length=1, max_length=MAX_PARTS)


class Negation(_Part):
    """What a rule does not choose."""

    op: Literal["not"]
    rule: Part


Part = Annotated[Comparison | Membership | Containment | Combination | Negation, Field(discriminator="op")]


def _bounded(rule: Part) -> Part:
    """The rule, if it is small. Raises ValueError, as pydantic wants it."""
    parts, depth = 0, 0
    level: Sequence[Part] = (rule,)
    while level:
        parts, depth = parts + len(level), depth + 1
        if depth > MAX_DEPTH or parts > MAX_PARTS:
            raise ValueError(f"a rule has at most {MAX_PARTS} parts in {MAX_DEPTH} levels")
        level = [inner for part in level for inner in _inner(part)]
    return rule


def _inner(part: Part) -> Sequence[Part]:
    if isinstance(part, Combination):
        return part.rules
    return (part.rule,) if isinstance(part, Negation) else ()


Rule = Annotated[Part, AfterValidator(_bounded)]
"""What requests hold."""

Combination.model_rebuild()
Negation.model_rebuild()


class _Values:
    """One attribute's values over the products: distinct ones, and which product has which."""

    def __init__(self, rows: Sequence[int], values: Sequence[str], n_products: int) -> None:
        self.distinct, self._code = np.unique(np.array(values, object), return_inverse=True)
        self._rows, self._n_products = np.array(rows, np.intp), n_products
        self._held: dict[int, set[int]] = {}
        for row, code in zip(rows, self._code.tolist(), strict=True):
            self._held.setdefault(row, set()).add(code)
        self.numbers = np.array([_number(value) for value in self.distinct])

    def products(self, chosen: Mask) -> Mask:
        """Products that have one of the chosen distinct values."""
        mask = np.zeros(self._n_products, bool)
        mask[self._rows[chosen[self._code]]] = True
        return mask

    def overlap(self, rows: NDArray[np.intp], row: int) -> NDArray[np.float32]:
        """Of each of some products, how much of its values and another's are common to both (Jaccard): 0 to 1."""
        other = self._held.get(row, set())
        own = [self._held.get(int(each), set()) for each in rows]
        return np.array([len(each & other) / max(len(each | other), 1) for each in own], np.float32)


_ORDER: dict[str, Callable[[NDArray[np.float64], float], Mask]] = {
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


class Attributes:
    """What the catalog says of P products, by attribute; chooses products by rules."""

    def __init__(self, products: ProductBlock, titles: Mapping[str, str]) -> None:
        """Reads the block's attributes, which are `name=value`, and the titles by id."""
        listed: dict[str, tuple[list[int], list[str]]] = {}
        for row, (product_id, pairs) in enumerate(zip(products.product_ids, products.attributes, strict=True)):
            named = [pair.split("=", 1) for pair in pairs]
            for name, value in [*named, [TITLE, titles.get(str(product_id), "")]]:
                rows, values = listed.setdefault(name, ([], []))
                rows.append(row)
                values.append(value)
        self._values = {name: _Values(*columns, len(products)) for name, columns in listed.items()}
        self._n_products = len(products)

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes that rules may name."""
        return tuple(sorted(self._values))

    def choose(self, rule: Part) -> Mask:
        """(P,) which products the rule chooses. Raises InputError on an attribute that no product has."""
        match rule:
            case Negation():
                return ~self.choose(rule.rule)
            case Combination():
                both = np.logical_and if rule.op == "and" else np.logical_or
                mask: Mask = both.reduce([self.choose(part) for part in rule.rules])
                return mask
            case _:
                values = self.of(rule.attribute)
                mask = values.products(_matching(rule, values))
                return ~mask if rule.op == "ne" else mask

    def of(self, name: str) -> _Values:
        """The values of one attribute. Raises InputError."""
        if name not in self._values:
            raise InputError(
                f"No product has the attribute {name!r}.", f"There are: {', '.join(self.names)}.", "Check its spelling."
            )
        return self._values[name]


def _matching(rule: Comparison | Membership | Containment, values: _Values) -> Mask:
    """Which distinct values a rule on one attribute chooses; of `ne`, those that `eq` would."""
    if isinstance(rule, Membership):
        return np.isin(values.distinct.astype(str), rule.values)
    if isinstance(rule, Containment):
        sought = rule.text.casefold()
        return np.array([sought in value.casefold() for value in values.distinct], bool)
    if rule.op in _ORDER:
        return _ORDER[rule.op](values.numbers, _number(rule.value))  # NaN compares as false
    return (values.distinct.astype(str) == str(rule.value)) | (values.numbers == _number(rule.value))


def _number(value: float | str) -> float:
    try:
        return float(value)
    except ValueError:
        return float("nan")
