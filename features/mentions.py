"""What reviews say again and again: sentences worth quoting, weighed by how unusual their subject is for whom.

One sentence about a tuner is a chance remark. A consumer who praises tuners in four of ten reviews, where others do
in one of fifty, likes tuners. So a quotation's weight is the likelihood ratio of its term's rate in the entity's
reviews of that side against the rate in everybody's, pulled to the latter while there are few reviews.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from features.evidence import SHRINK, Codes, Evidence
from features.sentences import Terms, mood, sentences, words

MIN_LETTERS, MAX_LETTERS, MIN_WORDS = 25, 130, 5
"""What a quotation must have to say something, and may have to be read."""
CERTAIN = 3.0
"""Log likelihood ratio at which a quotation weighs 63 % of the most it can."""
MOST = 1.0
"""Weight of what is said beyond doubt, on the scale of the differences in stars that other facts weigh."""


@dataclass(frozen=True)
class Quotation:
    """A sentence of a review, what it is about, which side it takes and how much that tells of the entity."""

    event: int
    polarity: int
    sentence: str
    term: str
    weight: float


@dataclass(frozen=True)
class _Sentence:
    text: str
    terms: frozenset[str]
    agreement: int
    """How far its mood agrees with the rating."""


def quotations(evidence: Evidence, events: Codes, entity: Codes) -> Iterator[Quotation]:
    """At most one quotation per review.

    Args:
        evidence: the interactions.
        events: which of them may be quoted.
        entity: (N,) whose every event is, its consumer or its product; terms are weighed per entity.
    """
    reviewed = [int(event) for event in events if isinstance(evidence.review[event], str)]
    terms = Terms(evidence.review[event] for event in reviewed)
    side = {event: 1 if evidence.rating[event] >= evidence.scale.like_from else -1 for event in reviewed}
    said = {event: _sentences(evidence.review[event], side[event], terms) for event in reviewed}
    rates = _Rates([(int(entity[event]), side[event], _terms(said[event])) for event in reviewed])
    for event in reviewed:
        candidates = [
            (rates.evidence(int(entity[event]), side[event], term), -len(sentence.text), term, sentence.text)
            for sentence in said[event]
            if sentence.agreement > 0 and _is_quotable(sentence.text)
            for term in sentence.terms
        ]
        if candidates:
            strength, _, term, text = max(candidates)
            yield Quotation(event, side[event], text, term, MOST * (1.0 - float(np.exp(-strength / CERTAIN))))


def _sentences(review: str, side: int, terms: Terms) -> list[_Sentence]:
    """A review's sentences that speak of something, without those whose mood is not the rating's."""
    parts = [
        _Sentence(text, frozenset(words(text)) & terms.weights.keys(), side * mood(text)) for text in sentences(review)
    ]
    return [part for part in parts if part.terms and part.agreement >= 0]


def _terms(parts: Sequence[_Sentence]) -> frozenset[str]:
    return frozenset().union(*(part.terms for part in parts))


def _is_quotable(text: str) -> bool:
    return MIN_LETTERS <= len(text) <= MAX_LETTERS and len(words(text)) >= MIN_WORDS


class _Rates:
    """How often reviews of each side speak of a term: an entity's, and everybody's."""

    def __init__(self, reviews: Sequence[tuple[int, int, frozenset[str]]]) -> None:
        self.n = Counter((entity, side) for entity, side, _ in reviews)
        self.own = Counter((entity, side, term) for entity, side, terms in reviews for term in terms)
        self.all = Counter((side, term) for _, side, terms in reviews for term in terms)
        self.total = Counter(side for _, side, _ in reviews)

    def evidence(self, entity: int, side: int, term: str) -> float:
        """Log likelihood ratio of the entity's (shrunk) rate against everybody's; 0 where it is no higher."""
        usual = self.all[side, term] / self.total[side]
        count, n = self.own[entity, side, term], self.n[entity, side]
        rate = (count + SHRINK * usual) / (n + SHRINK)
        if rate <= usual:
            return 0.0
        missed = (n - count) * np.log((1 - rate) / (1 - usual)) if usual < 1 else 0.0
        return max(0.0, float(count * np.log(rate / usual) + missed))
