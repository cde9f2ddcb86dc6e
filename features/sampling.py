"""Draws that depend on a row's number and a seed alone: the same row is always in or out, whatever other rows are."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

_GOLDEN = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio: seeds next to each other give unrelated draws (G. Steele et al., OOPSLA 2014)."""


def draw(rows: ArrayLike, seed: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each row number (N,)."""
    numbers = np.asarray(rows, np.uint64) + np.uint64((seed + 1) * _GOLDEN % 2**64)
    return np.asarray((pd.util.hash_array(numbers) >> np.uint64(11)) / 2.0**53, np.float64)
