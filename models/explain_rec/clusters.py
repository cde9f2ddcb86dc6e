"""Spherical k-means: groups of unit vectors by cosine.

Source: Dhillon and Modha, "Concept decompositions for large sparse text data using clustering", 2001; starts as in
k-means++ (Arthur and Vassilvitskii, 2007).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.batch import Floats

ROUNDS = 25


def unit(vectors: Floats) -> Floats:
    """Rows (N, w) of length 1; zeros stay zeros."""
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, norm, out=np.zeros_like(vectors), where=norm > 1e-9)


def clusters(vectors: Floats, k: int, seed: int) -> NDArray[np.intp]:
    """The cluster (N,) of each unit vector (N, w): at most k of them, none empty, numbered from 0."""
    rng, k = np.random.default_rng(seed), min(k, len(vectors))
    centres = _starts(vectors, k, rng)
    chosen = np.full(len(vectors), -1)
    for _ in range(ROUNDS):
        nearest = (vectors @ centres.T).argmax(1)
        if (nearest == chosen).all():
            break
        chosen = nearest
        sums = np.zeros_like(centres)
        np.add.at(sums, chosen, vectors)
        # A cluster that lost all its members keeps its centre.
        centres = np.where(np.bincount(chosen, minlength=k)[:, None] > 0, unit(sums), centres)
    return np.unique(chosen, return_inverse=True)[1]


def _starts(vectors: Floats, k: int, rng: np.random.Generator) -> Floats:
    """k of the vectors, each drawn in proportion to its distance from those before it."""
    picked = [int(rng.integers(len(vectors)))]
    distance = np.full(len(vectors), np.inf)
    while len(picked) < k:
        distance = np.minimum(distance, np.clip(1 - vectors @ vectors[picked[-1]], 0, None))
        total = distance.sum()
        chance = distance / total if total > 0 else np.full(len(vectors), 1 / len(vectors))
        picked.append(int(rng.choice(len(vectors), p=chance)))
    return vectors[picked]
