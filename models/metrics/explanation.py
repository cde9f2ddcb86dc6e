"""Measures of explanation texts: do they belong to their pair, and do they say different things?

Pure functions of texts and similarities. Text-overlap scores (ROUGE) are here as the field reports them: they mostly
measure the template, so they are reported as such and never as a headline.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from math import lgamma
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Places = NDArray[np.intp]

AMONG = 100
"""Candidates of the identification test, the true one included: chance is 1 %."""
OPENING_WORDS, COMMONEST = 3, 3

_WORD = re.compile(r"[\w'’.-]*\w")
_STATEMENT = re.compile(r"(?<=[.!?])[\"”’)]*\s+(?=[\"“]?[A-Z0-9])|;\s+|,\s+(?=yet\s)")


class Rouge(NamedTuple):
    """Overlap of a text's words with a reference's, each word as often as it stands in both."""

    precision: float
    recall: float
    f1: float


def statements(text: str) -> list[str]:
    """A text's atomic statements: its sentences, and the clauses set off by a semicolon or `, yet`."""
    return [part.strip() for part in _STATEMENT.split(text) if _WORD.search(part)]


def words(text: str) -> list[str]:
    """Lower-case words and numbers."""
    return _WORD.findall(text.lower())


def found_among(similarity: Values, own: Places, among: int = AMONG) -> Values:
    """How likely each text finds its own context among `among` random ones, itself included; equal ones win over it.

    Exact, not drawn: of K - 1 other contexts h are at least as similar, and none of them may be among the others.

    Args:
        similarity: (N, K) of N texts and K contexts.
        own: (N,) column of each text's own context.
        among: how many contexts are compared; all, where there are fewer.

    Returns:
        (N,) probabilities; their chance level is 1 / min(among, K).
    """
    n_texts, n_contexts = similarity.shape
    others = min(among, n_contexts) - 1
    true = similarity[np.arange(n_texts), own]
    better = (similarity >= true[:, None]).sum(1) - 1
    by_count = {int(h): _none_drawn(n_contexts - 1, int(h), others) for h in np.unique(better)}
    return np.array([by_count[int(h)] for h in better])


def _none_drawn(total: int, bad: int, drawn: int) -> float:
    """Probability that none of `bad` is among `drawn` of `total`."""
    if total - bad < drawn:
        return 0.0
    return float(np.exp(_log_choose(total - bad, drawn) - _log_choose(total, drawn)))


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def shuffled_gap(similarity: Values, own: Places) -> Values:
    """Similarity to the own context minus the mean over all others: what shuffling would give, without drawing. (N,)"""
    n_texts, n_contexts = similarity.shape
    true = similarity[np.arange(n_texts), own]
    return np.asarray(true - (similarity.sum(1) - true) / max(n_contexts - 1, 1))


def derangement(n: int, seed: int = 0) -> Places:
    """A permutation that leaves nothing in its place (for n of 2 and more): each takes its successor's on a circle."""
    circle = np.random.default_rng(seed).permutation(n)
    shuffled = np.empty(n, np.intp)
    shuffled[circle] = np.roll(circle, 1)
    return shuffled


def rouge_1(text: str, reference: str) -> Rouge:
    """ROUGE-1 without stemming; zeros where either is empty."""
    mine, theirs = Counter(words(text)), Counter(words(reference))
    shared = sum((mine & theirs).values())
    if not shared:
        return Rouge(0.0, 0.0, 0.0)
    precision, recall = shared / mine.total(), shared / theirs.total()
    return Rouge(precision, recall, 2 * precision * recall / (precision + recall))


def distinct(texts: Iterable[str], size: int = 2) -> float:
    """Share of different runs of `size` words among all such runs of all texts; NaN if there is none."""
    runs = [tuple(parts[n : n + size]) for parts in map(words, texts) for n in range(len(parts) - size + 1)]
    return len(set(runs)) / len(runs) if runs else float("nan")


def unique_share(texts: Sequence[str]) -> float:
    """Share of different texts; NaN if there is none."""
    return len(set(texts)) / len(texts) if texts else float("nan")


def has_common_opening(texts: Sequence[str]) -> Values:
    """1 for each text that begins with one of the commonest openings (first three words) of all texts, else 0. (N,)"""
    openings = [tuple(words(text)[:OPENING_WORDS]) for text in texts]
    common = {opening for opening, _ in Counter(openings).most_common(COMMONEST)}
    return np.array([float(opening in common) for opening in openings])


def random_texts(texts: Sequence[str], seed: int = 0) -> list[str]:
    """For each text one of equally many words, drawn from the words of all texts as often as they stand there."""
    rng = np.random.default_rng(seed)
    bag = [word for text in texts for word in text.split()]
    return [" ".join(bag[place] for place in rng.integers(len(bag), size=len(text.split()))) for text in texts]


def mask_names(texts: Sequence[str], names: Iterable[str], mask: str = "one product") -> list[str]:
    """The texts with every name (longest first) replaced, so that a name cannot give its pair away."""
    known = sorted({name for name in names if name}, key=len, reverse=True)
    if not known:
        return list(texts)
    pattern = re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, known)) + r")(?!\w)")
    return [pattern.sub(mask, text) for text in texts]
