"""Few examples to tune on, half of them liked."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.errors import TrainingError


def balanced_shots(liked: ArrayLike, k: int, seed: int = 0) -> NDArray[np.intp]:
    """K rows, half liked and half not, in a random order; for one seed, smaller K lie within larger.

    Args:
        liked: (N,) 0 or 1.
        k: how many; even.
        seed: which.

    Raises:
        TrainingError: K is odd, or there are too few rows of one kind.
    """
    label, rng = np.asarray(liked) > 0.5, np.random.default_rng(seed)
    each = [rng.permutation(np.flatnonzero(label == kind)) for kind in (True, False)]
    if k < 2 or k % 2 or min(map(len, each)) < k // 2:
        raise TrainingError(
            f"{k} balanced examples were asked for; there are {len(each[0])} liked and {len(each[1])} other rows.",
            "Half of an even number are taken from each kind.",
            "Lower n_shots.",
        )
    pairs = np.stack([kind[: k // 2] for kind in each], axis=1)  # (K / 2, 2)
    return pairs.ravel()


def most_shots(liked: ArrayLike) -> int:
    """The largest K that `balanced_shots` can give."""
    n_liked = int((np.asarray(liked) > 0.5).sum())
    return 2 * min(n_liked, len(np.asarray(liked)) - n_liked)
