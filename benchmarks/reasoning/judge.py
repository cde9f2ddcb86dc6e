"""Rationales judged: do they take their decision's side, rest on the pair, and resemble the references?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from features.words import content
from models.metrics.bertscore import bertscores
from models.reasoning.cases import Case
from models.text import TextEncoder

_AGAINST = re.compile(r"\b(?:dis(?:like|liked|likes)|not|never|avoid\w*|lack\w*|poor|bad)\b", re.I)
MAX_WORDS = 200


def side(text: str) -> bool | None:
    """Whether a rationale speaks for the target, by its words; None where it says nothing."""
    return None if not text.strip() else _AGAINST.search(text) is None


def rests_on(text: str, case: Case) -> bool:
    """Whether a rationale names a title of the history or the target, or content words that they share."""
    named = [product.title for product, _ in case.history] + [case.target.title]
    shown = content(" ".join(f"{p.title} {p.description}" for p in (case.target, *(p for p, _ in case.history))))
    return any(title.lower() in text.lower() for title in named) or len(content(text) & shown) >= 2


def judged(
    written: Sequence[Sequence[Any]], cases: Sequence[Case], references: Sequence[str], encoder: TextEncoder
) -> dict[str, float]:
    """Figures of the rationales that a student wrote."""
    decided, texts = [bool(row[0]) if row[0] is not None else None for row in written], [str(row[1]) for row in written]
    scores = bertscores(encoder.token_vectors(texts), encoder.token_vectors(references))
    agree = [side(text) == liked for text, liked in zip(texts, decided, strict=True) if liked is not None and text]
    return {
        "n": len(texts),
        "with_decision": float(np.mean([liked is not None for liked in decided])),
        "with_rationale": float(np.mean([bool(text) for text in texts])),
        "agree_with_decision": float(np.mean(agree)) if agree else float("nan"),
        "rest_on_the_pair": float(np.mean([rests_on(text, case) for text, case in zip(texts, cases, strict=True)])),
        "bertscore_minilm": float(scores.mean()),
        "within_200_words": float(np.mean([len(text.split()) <= MAX_WORDS for text in texts])),
        "mean_words": float(np.mean([len(text.split()) for text in texts])),
    }
