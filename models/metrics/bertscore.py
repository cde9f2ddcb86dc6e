"""BERTScore with the embedded text encoder: how much of a text's meaning is in a reference, token by token.

Source: Zhang et al., "BERTScore: Evaluating Text Generation with BERT", ICLR 2020, equations 1 to 3, without idf
weights and without rescaling. Token vectors are those of all-MiniLM-L6-v2, a smaller model than the published
scorer's, and one that was trained for whole sentences: figures are named `bertscore_minilm` and comparable with each
other alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.float32]
"""(T, 384) vectors of a text's tokens, of length 1."""


def bertscore(text: Tokens, reference: Tokens) -> float:
    """F1 of greedy matching: each token finds its nearest in the other text. 0 where either is empty."""
    if not len(text) or not len(reference):
        return 0.0
    near = text @ reference.T
    precision, recall = float(near.max(1).mean()), float(near.max(0).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def bertscores(texts: Sequence[Tokens], references: Sequence[Tokens]) -> NDArray[np.float64]:
    """The score of each text against its reference, (N,)."""
    return np.array([bertscore(text, reference) for text, reference in zip(texts, references, strict=True)])
