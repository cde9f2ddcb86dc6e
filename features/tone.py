"""Which side a sentence takes: by a list of words that praise and blame, and by what a corpus adds to it.

In a corpus with ratings, words say more than a list knows: `buzz` stands in reviews of few stars, `flawlessly` in
those of many. A word counts as far as the ratings of the reviews that have it differ from everybody's beyond chance.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from features.sentences import words
from features.words import FUNCTION_WORDS

_PRAISE_TEXT = """
accurate amazing awesome beautiful beautifully best better bright clean clear comfortable crisp durable easily
easy enjoy excellent fantastic favorite fine fits flawless flawlessly full good great happy impressed love
loved loves nice nicely perfect perfectly pleased recommend rich smooth solid stable sturdy superb
warm well wonderful worth
"""
PRAISE = frozenset(_PRAISE_TEXT.split())
_BLAME_TEXT = """
annoying awful bad broke broken cheap cheaply complaint difficult disappointed disappointing downside failed
fell flimsy hard hate horrible issue issues junk lack lacks loose lousy muddy noisy poor poorly problem
problems returned rough sadly stiff terrible tinny too trouble uncomfortable unfortunately useless
waste weak worse worst wrong wish
"""
BLAME = frozenset(_BLAME_TEXT.split())
_NEGATION_TEXT = """
not no never didn't don't doesn't isn't wasn't can't couldn't won't without
"""
_NEGATION = frozenset(_NEGATION_TEXT.split())
_SHRUG = re.compile(
    r"\bothers (?:may|might|will)\b|\bhardly (?:notice|care|matter)|\bno opinion\b"
    r"|\b(?:not that it|doesn't|does not) matter|\b(?:don't|do not) care\b",
    re.IGNORECASE,
)
"""How people say that something is nothing to them, with words that would pass for praise."""
UNCLEAR = 0.5
"""What a sentence is worth as a quotation that takes both sides, or takes one by learned words alone."""
REACH = 3
"""Words that a negation turns."""
LEAST, CERTAIN = 5, 4.0
"""Reviews that a word is learned from at least, and standard errors from which their ratings differ."""
PRIOR, MOST = 5.0, 1.5
"""Reviews that pull a word's odds to everybody's, and the most that it counts for, where 1 is a word of the list."""


@dataclass(frozen=True)
class Leaning:
    """Which side a sentence takes."""

    score: float
    """Above 0 for praise, below for blame."""
    listed: frozenset[int] = frozenset()
    """The sides, +1 and -1, that words of the lists take in it."""

    def clarity(self, side: int) -> float:
        """How clearly it takes a side: 1 by listed words of that side alone, 0 by those of the other alone."""
        return 1.0 if self.listed == {side} else 0.0 if self.listed == {-side} else UNCLEAR


class Tone:
    """How far sentences of a corpus praise or blame.

    Args:
        reviews: (text, side) of each, the side being that of its rating, +1 or -1.
    """

    def __init__(self, reviews: Iterable[tuple[str, int]]) -> None:
        n, liked = Counter[str](), Counter[str]()
        total = praised = 0
        for text, side in reviews:
            said = set(words(text))
            n.update(said)
            total += 1
            if side > 0:
                liked.update(said)
                praised += 1
        self.weights = _leanings(n, liked, praised / total) if 0 < praised < total else {}

    def of(self, sentence: str) -> Leaning:
        """Which side a sentence takes; a list's word counts 1, negations turn the words after them."""
        if _SHRUG.search(sentence):
            return Leaning(0.0)
        score, turned, listed = 0.0, 0, set[int]()
        for word in words(sentence):
            sign, own = -1 if turned else 1, (word in PRAISE) - (word in BLAME)
            score += sign * (own + self.weights.get(word, 0.0))
            listed |= {sign * own} - {0}
            turned = REACH if word in _NEGATION else max(turned - 1, 0)
        return Leaning(score, frozenset(listed))


def _leanings(n: Mapping[str, int], liked: Mapping[str, int], share: float) -> dict[str, float]:
    """Weight of each word whose reviews' ratings differ from everybody's beyond chance."""
    weights = {}
    for word, count in n.items():
        if count < LEAST or word in FUNCTION_WORDS:
            continue
        error = np.sqrt(share * (1 - share) / count)
        if abs(liked.get(word, 0) / count - share) > CERTAIN * error:
            odds = (liked.get(word, 0) + PRIOR * share) / (count - liked.get(word, 0) + PRIOR * (1 - share))
            weights[word] = float(np.clip(np.log(odds * (1 - share) / share), -MOST, MOST))
    return weights
