"""What a text may rest on, taken apart once: the words, neighbours, numbers and denials of its evidence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from features.types import Fact
from features.words import PART, WORD, is_function, negates, stem, stems_of

NEAR = 2
"""Content words that follow each other in a text stand at most so far apart in its evidence."""
_NUMBER_OR_WORD = re.compile(r"\d+(?:[.,]\d+)*|[a-z][\w'’-]*")


@dataclass(frozen=True)
class Support:
    """What a text may rest on, taken apart once."""

    text: str
    plain: str
    words: frozenset[str]
    stems: frozenset[str]
    near: frozenset[tuple[str, str]]
    """Stems that follow each other at a distance of at most `NEAR`."""
    numbers: frozenset[tuple[str, int, str]]
    """Number, side (0 before, 1 after) and the word that stands there."""
    denied: frozenset[str]
    """Stems that stand after negations only."""


@lru_cache(maxsize=4096)
def support(evidence: str) -> Support:
    """Takes an evidence text apart."""
    lines = [WORD.findall(line) for line in evidence.splitlines()]
    said = [word for line in lines for word in line]
    pairs = (pair for line in lines for pair in _near(line))
    sides = ((number, side, word) for number, *beside in neighbours(evidence) for side, word in enumerate(beside))
    return Support(
        text=evidence,
        plain=" ".join(evidence.lower().split()),
        words=frozenset(word.lower() for word in said),
        stems=frozenset().union(*map(stems_of, said)),
        near=frozenset(pairs),
        numbers=frozenset(beside for beside in sides if beside[2]),
        denied=frozenset(_denied(lines)),
    )


def _near(said: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Stems of words, and of the parts of hyphenated ones, that follow each other closely."""
    parts = [stem(part) for word in said for part in PART.split(word) if part]
    for gap in range(1, NEAR + 1):
        yield from zip(parts, parts[gap:], strict=False)


def _denied(lines: Sequence[Sequence[str]]) -> set[str]:
    """Stems of the content words that follow negations, without those that are also said plainly."""
    if not any(map(negates, chain.from_iterable(lines))):
        return set()
    turned, plain = set[str](), set[str]()
    for said in lines:
        for place, word in enumerate(said):
            if not is_function(word) and not negates(word):
                (turned if _is_denied(said, place) else plain).add(stem(word))
    return turned - plain


def _is_denied(said: Sequence[str], place: int) -> bool:
    """Whether a negation stands before a word, with function words between at most."""
    for word in reversed(said[max(0, place - 3) : place]):
        if negates(word):
            return True
        if not is_function(word):
            return False
    return False


def evidence_text(cited: Iterable[Fact], context: str = "") -> str:
    """All a text may rest on: the cited facts, the things they are about, and the request's own wording."""
    return "\n".join([context, *(f"{fact.text} {fact.aspect.replace('=', ' ')}" for fact in cited)])


def neighbours(text: str) -> list[tuple[str, str, str]]:
    """Each number of a text with the words before and after it."""
    tokens = ["", *_NUMBER_OR_WORD.findall(text.lower()), ""]
    return [(token, tokens[n - 1], tokens[n + 1]) for n, token in enumerate(tokens) if token[:1].isdigit()]
