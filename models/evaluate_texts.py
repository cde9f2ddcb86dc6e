"""How good explanation texts are: every measure with a 95 % interval, for any texts with contexts to find them by.

The same code judges what a home publishes, its floors (random words, texts shuffled between pairs, template wording)
and texts published elsewhere. Intervals come from a bootstrap over consumers, as for predictions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.types import Explanation
from models.evaluate import Interval, mean_with_interval
from models.metrics.explanation import (
    derangement,
    distinct,
    found_among,
    has_common_opening,
    mask_names,
    random_texts,
    rouge_1,
    shuffled_gap,
    unique_share,
)
from models.metrics.grounding import Evidence, contrast, supported
from models.metrics.pair_context import Encode, PairContexts

SIDES = {"pair": "", "consumer": "/consumer", "product": "/product"}

Metrics = dict[str, Interval]


@dataclass(frozen=True, eq=False)
class Recognition:
    """What texts are recognised by."""

    contexts: PairContexts
    consumers: NDArray[Any]  # (P,) whose each pair is
    references: Sequence[str]
    """One text per pair, for word overlap."""
    names: Sequence[str]
    """Titles, which masked texts do not say."""
    encode: Encode

    def measure(self, texts: Sequence[str], pair_of: NDArray[np.intp]) -> Metrics:
        """Identification and shuffled gap with and without names, variety, overlap.

        Args:
            texts: N texts.
            pair_of: (N,) which pair each was written for.
        """
        masked = mask_names(texts, self.names)
        return {
            **self._recognised(texts, pair_of, ""),
            **self._recognised(masked, pair_of, "/masked"),
            **self._variety(texts, pair_of),
            "openings/masked": self._mean(has_common_opening(masked), pair_of),
            "overlap_gap/rouge_1": self._mean(self._overlap_gap(texts, pair_of), pair_of),
        }

    def _recognised(self, texts: Sequence[str], pair_of: NDArray[np.intp], label: str) -> Metrics:
        near = self.contexts.similarities(texts, pair_of, self.encode)
        found = {
            f"identified{label}{SIDES[side]}": self._mean(found_among(similarity, own), pair_of)
            for side, (similarity, own) in near.items()
        }
        return {**found, f"gap{label}/cosine": self._mean(shuffled_gap(*near["pair"]), pair_of)}

    def _variety(self, texts: Sequence[str], pair_of: NDArray[np.intp]) -> Metrics:
        """Without intervals where resampling itself would repeat texts."""
        return {
            "distinct_2": _exactly(distinct(texts)),
            "unique": _exactly(unique_share(texts)),
            "openings": self._mean(has_common_opening(texts), pair_of),
        }

    def _overlap_gap(self, texts: Sequence[str], pair_of: NDArray[np.intp]) -> NDArray[np.float64]:
        """ROUGE-1 with the own reference minus that with another's."""
        other = derangement(len(self.references))
        pairs = zip(texts, pair_of, strict=True)
        return np.array(
            [rouge_1(text, self.references[n]).f1 - rouge_1(text, self.references[other[n]]).f1 for text, n in pairs]
        )

    def _mean(self, values: NDArray[np.float64], pair_of: NDArray[np.intp]) -> Interval:
        return mean_with_interval(values, self.consumers[pair_of])


@dataclass(frozen=True, eq=False)
class Argued:
    """What is said of P pairs, for and against, and which of it says something."""

    both: tuple[tuple[Explanation, Explanation], ...]

    @property
    def said(self) -> list[tuple[int, Explanation]]:
        """The texts that say something, with the place of their pair."""
        return [(n, text) for n, pair in enumerate(self.both) for text in pair if text.granularity != "none"]

    def with_texts(self, texts: Iterable[str]) -> Argued:
        """The same pairs and citations with other words, one text for each of `said`."""
        left = iter(texts)
        return Argued(tuple((_reworded(pro, left), _reworded(con, left)) for pro, con in self.both))


def _reworded(text: Explanation, words: Iterator[str]) -> Explanation:
    return text if text.granularity == "none" else replace(text, text=next(words))


def measure_argued(argued: Argued, evidence: Evidence, recognition: Recognition) -> Metrics:
    """All measures of what is said of the pairs."""
    pair_of = np.array([n for n, _ in argued.said])
    consumers = recognition.consumers
    held = [(n, ok) for n, text in argued.said for ok in supported(text, evidence)]
    complete = [n for n, pair in enumerate(argued.both) if all(text.granularity != "none" for text in pair)]
    argues = np.array([float(all(contrast(*argued.both[n], evidence))) for n in complete])
    whole = [" ".join(text.text for text in argued.both[n]) for n in complete]
    joined = recognition.measure(whole, np.array(complete))
    return {
        "grounded": mean_with_interval(np.array([float(ok) for _, ok in held]), consumers[[n for n, _ in held]]),
        "contrast": mean_with_interval(argues, consumers[complete]),
        **recognition.measure([text.text for _, text in argued.said], pair_of),
        "identified/both_sides": joined["identified"],
        "identified/masked/both_sides": joined["identified/masked"],
    }


def floors(argued: Argued) -> dict[str, Argued]:
    """Texts that know nothing of their pair: those of other pairs, and as many random words."""
    texts = [text.text for _, text in argued.said]
    shuffled = [texts[n] for n in derangement(len(texts))]
    return {"shuffled": argued.with_texts(shuffled), "random": argued.with_texts(random_texts(texts))}


def _exactly(value: float) -> Interval:
    return Interval(value, value, value)
