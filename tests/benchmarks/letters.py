"""An encoder without weights, for tests in which texts must only be told apart."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from features.batch import CONTENT_WIDTH
from features.types import ModelIdentity


class LetterEncoder:
    """Counts letters."""

    identity = ModelIdentity("letters", "1")

    def encode(self, texts: list[str], progress: object = None) -> NDArray[np.float32]:
        vectors = np.zeros((len(texts), CONTENT_WIDTH), np.float32)
        for row, text in enumerate(texts):
            for letter, count in Counter(text.lower()).items():
                vectors[row, ord(letter) % CONTENT_WIDTH] = count
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
