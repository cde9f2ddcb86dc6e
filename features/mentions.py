"""What reviews say again and again: sentences worth quoting, weighed by how unusual their subject is for whom.

One sentence about a tuner is a chance remark. A consumer who praises tuners in four of ten reviews, where others do
in one of fifty, likes tuners; less so if those four products are praised for it by everybody. So a term is weighed by
how much more often an entity's reviews praise (or blame) it than others' reviews of the same products (for a product:
by the same consumers) let expect. All of an entity's sentences count; the best of those that may be quoted is shown.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from features.evidence import SHRINK, Codes, Evidence
from features.relevance import Relevance
from features.sentences import sentences, words
from features.terms import Terms
from features.tone import Tone

CLEAR, QUOTABLE = 1.0, {1: 0.4, -1: 1.0}
"""Tone from which a sentence takes its own side, whatever the rating, and that a quotation has on its rating's side:
most sentences in reviews of many stars praise, while those of few stars also tell stories."""
LEAST = 0.5
"""What a sentence must be worth to be quoted: it may be unclear in its side or weigh two things, not both."""
TIDY = 0.2
"""How much the worth of the sentence counts in a quotation's weight; the rest is the evidence for what it is about."""
CERTAIN = 3.0
"""Log likelihood ratio at which a quotation weighs 63 % of the most it can: 1, as much as a difference of one star."""

Key = tuple[int, str]
"""A side, +1 or -1, and a term."""


@dataclass(frozen=True)
class Quotation:
    """A sentence of a review, what it is about, which side it takes and how much that tells of the entity."""

    event: int
    polarity: int
    sentence: str
    term: str
    weight: float
    place: int = 1
    """1 for the best of its review."""

    @property
    def suffix(self) -> str:
        """What tells the second from the first of a review; the first has none."""
        return f".{self.place}" if self.place > 1 else ""


@dataclass(frozen=True)
class _Sentence:
    """A sentence that speaks of something, and the side it takes."""

    text: str
    terms: frozenset[str]
    side: int
    worth: float
    """As a quotation on the side of its review's rating; 0 if it is none."""

    @property
    def keys(self) -> frozenset[Key]:
        return frozenset((self.side, term) for term in self.terms)


def quotations(evidence: Evidence, events: Codes, entity: Codes, other: Codes) -> Iterator[Quotation]:
    """The sentences worth quoting, on the side of their review's rating, the best of a review first.

    Args:
        evidence: the interactions.
        events: which of them may be quoted.
        entity: (N,) whose every event is, its consumer or its product; terms are weighed per entity.
        other: (N,) the other one of the two.
    """
    reviewed = [int(event) for event in events if isinstance(evidence.review[event], str)]
    side = {event: 1 if evidence.rating[event] >= evidence.scale.like_from else -1 for event in reviewed}
    said = _said(evidence, reviewed, side)
    rates = Rates([(int(entity[event]), int(other[event]), _keys(said[event])) for event in reviewed])
    for event in reviewed:
        weighed = sorted(rates.weighed(int(entity[event]), said[event]), reverse=True)
        for place, (weight, _, text, term) in enumerate(weighed, 1):
            yield Quotation(event, side[event], text, term, weight, place)


def _said(evidence: Evidence, reviewed: Sequence[int], side: Mapping[int, int]) -> dict[int, list[_Sentence]]:
    """The sentences of each review that speak of something."""
    read = _Reader(
        Terms(evidence.review[event] for event in reviewed),
        Tone((evidence.review[event], side[event]) for event in reviewed),
        Relevance(evidence.titles.tolist()),
    )
    return {
        event: list(read.review(evidence.review[event], side[event], evidence.titles[evidence.product[event]]))
        for event in reviewed
    }


@dataclass(frozen=True)
class _Reader:
    terms: Terms
    tone: Tone
    relevance: Relevance

    def review(self, review: str, rated: int, title: str) -> Iterator[_Sentence]:
        """The sentences of a review that speak of something."""
        relevant = self.relevance.about(title)
        for text in sentences(review):
            terms, leaning = self.terms.found(words(text)), self.tone.of(text)
            if terms:
                side = int(np.sign(leaning.score)) if abs(leaning.score) >= CLEAR else rated
                takes_it = rated * leaning.score >= QUOTABLE[rated]
                yield _Sentence(text, terms, side, leaning.clarity(rated) * relevant(text) if takes_it else 0.0)


def _keys(parts: Sequence[_Sentence]) -> frozenset[Key]:
    return frozenset().union(*(part.keys for part in parts))


class Rates:
    """How often reviews praise and blame a term: an entity's, those with the same other one, and everybody's."""

    def __init__(self, reviews: Sequence[tuple[int, int, frozenset[Key]]]) -> None:
        self.total = len(reviews)
        self.said = {(entity, other): keys for entity, other, keys in reviews}
        self.met = defaultdict[int, list[int]](list)
        for entity, other, _ in reviews:
            self.met[entity].append(other)
        self.n_other = Counter(other for _, other, _ in reviews)
        self.own = Counter((entity, key) for entity, _, keys in reviews for key in keys)
        self.others = Counter((other, key) for _, other, keys in reviews for key in keys)
        self.all = Counter(key for _, _, keys in reviews for key in keys)
        self.alike = self._alike()
        self._expectations: dict[tuple[int, Key], float] = {}

    def _alike(self) -> dict[Key, float]:
        """How alike entities are in a term: as many expected mentions weigh as much as the entity's own.

        The inverse variance of their rates beyond chance (Poisson counts with Gamma rates, by moments), pulled to
        `SHRINK`: a stock phrase, which all use alike, tells nothing of anyone.
        """
        squares = sum(len(met) ** 2 for met in self.met.values())
        surplus = defaultdict[Key, float](float)
        for (entity, key), count in self.own.items():
            expected = len(self.met[entity]) * self.all[key] / self.total
            surplus[key] += (count - expected) ** 2 - expected**2
        alike = {}
        for key, count in self.all.items():
            expected_squares = squares * (count / self.total) ** 2
            variance = max(0.0, surplus[key] + expected_squares - count)
            alike[key] = (expected_squares + SHRINK) / (variance + 1.0)
        return alike

    def weighed(self, entity: int, parts: Sequence[_Sentence]) -> Iterator[tuple[float, int, str, str]]:
        """What each quotable sentence weighs, with what decides between equals, its text and what it is about."""
        for part in (part for part in parts if part.worth >= LEAST):
            strength, term = max((self.evidence(entity, key), key[1]) for key in part.keys)
            weight = (1.0 - float(np.exp(-strength / CERTAIN))) * (1.0 - TIDY * (1.0 - part.worth))
            yield weight, -len(part.text), part.text, term

    def evidence(self, entity: int, key: Key) -> float:
        """Log likelihood ratio of the entity's (shrunk) rate against the expected one; 0 where it is no higher."""
        if (entity, key) not in self._expectations:
            self._expectations[entity, key] = self._expected(entity, key)
        count, expected, alike = self.own[entity, key], self._expectations[entity, key], self.alike[key]
        ratio = (count + alike) / (expected + alike)
        return float(count * np.log(ratio) - expected * (ratio - 1.0)) if ratio > 1.0 else 0.0

    def _expected(self, entity: int, key: Key) -> float:
        """Mentions if the entity's reviews were like others' with the same other one."""
        usual = self.all[key] / self.total
        return sum(
            (self.others[other, key] - (key in self.said[entity, other]) + SHRINK * usual)
            / (self.n_other[other] - 1 + SHRINK)
            for other in self.met[entity]
        )
