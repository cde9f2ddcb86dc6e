"""What kinds of facts there are, and the parts of each: a fact's text taken apart again.

`features/facts.py` and `features/product_facts.py` write the texts; a test sees to it that every one is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from features.errors import InputError
from features.types import Fact


class Kind(StrEnum):
    """What a fact is: each kind is written, and so worded, in its own way."""

    TASTE = "taste"
    TITLE = "title"
    WROTE = "wrote"
    MEAN = "mean"
    COUNT = "count"
    AFFINITY = "affinity"
    REVIEW = "review"
    DESCRIPTION = "description"
    ATTRIBUTE = "attribute"


_SIDE = r"(?P<side>above|below)"
_MEAN = rf"(?P<mean>[\d.]+) (?P<top>of [\d.]+) on average, {_SIDE}"
_USUAL = r"(?P<usual>[\d.]+)"
_WHO = r"(?P<who>\d+ consumers?)"

_CONSUMER = {
    Kind.WROTE: r'wrote of (?P<title>.+), rated (?P<stars>[\d.]+): "(?P<quote>.+)"',
    Kind.TASTE: rf"rated (?P<n>\d+) (?P<phrase>.+) {_MEAN} their usual {_USUAL}(?:; among them (?P<examples>.+))?",
    Kind.TITLE: rf"rated (?P<title>.+) (?P<stars>[\d.]+) (?P<top>of [\d.]+), {_SIDE} their usual {_USUAL}",
}
_PRODUCT = {
    Kind.DESCRIPTION: r'described as: "(?P<quote>.+)"',
    Kind.REVIEW: r'a consumer who rated it (?P<stars>[\d.]+) wrote: "(?P<quote>.+)"',
    Kind.MEAN: rf"rated by {_WHO}, {_MEAN} the catalog's {_USUAL}",
    Kind.COUNT: rf"(?P<part>\d+) of {_WHO} rated it (?P<bound>[\d.]+ or (?:lower|higher))",
    Kind.AFFINITY: rf"the (?P<n>\d+) consumers who enjoy (?P<phrase>.+) rated it {_MEAN} its overall {_USUAL}",
    Kind.ATTRIBUTE: r"its (?P<name>.+?) is (?P<value>.+)",
}
_PATTERNS = [(kind, re.compile(pattern)) for kind, pattern in {**_CONSUMER, **_PRODUCT}.items()]


@dataclass(frozen=True)
class Statement:
    """A fact taken apart: its kind, and its parts by name (a part that is not there is empty)."""

    kind: Kind
    parts: dict[str, str]

    def fill(self, template: str) -> str:
        """A template with the parts in place; a capitalised field begins with a capital."""
        capital = {name.capitalize(): text[:1].upper() + text[1:] for name, text in self.parts.items()}
        return template.format(**self.parts, **capital)


def take_apart(fact: Fact) -> Statement:
    """The kind of a fact and its parts. Raises InputError on a text that no kind writes."""
    for kind, pattern in _PATTERNS:
        if match := pattern.fullmatch(fact.text):
            return Statement(kind, {name: text or "" for name, text in match.groupdict().items()})
    raise InputError(f"The fact {fact.text!r} is of no known kind.", f"Kinds are {', '.join(Kind)}.")
