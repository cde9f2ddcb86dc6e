"""Two stages where there are many candidates: a cheap guess keeps the best of all, the ranker orders those.

`benchmarks/serving.py` measures how much of the exact order's best the guess keeps.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.reranking import Places
from services.rules import Mask


def shortlist(guess: NDArray[np.float32], keep: int, groups: Sequence[Mask], k: int) -> Places:
    """The candidates that the ranker sees, in the order given.

    Args:
        guess: (N,) higher is better.
        keep: how many of all.
        groups: (N,) each, candidates that a boost or a pin is about.
        k: how many of each group are kept besides: more can never be shown.
    """
    kept = np.zeros(len(guess), bool)
    kept[_best(guess, keep)] = True
    for group in groups:
        members = np.flatnonzero(group)
        kept[members[_best(guess[members], k)]] = True
    return np.flatnonzero(kept)


def _best(guess: NDArray[np.float32], n: int) -> Places:
    """Places of the n highest, in any order."""
    return np.argpartition(-guess, n)[:n] if n < len(guess) else np.arange(len(guess))
