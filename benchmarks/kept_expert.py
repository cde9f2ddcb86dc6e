"""Experts on the next product that say what they said before: a fit takes minutes, and many blends have the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from features.types import content_hash
from models.backbones.experts import Expert
from models.backbones.histories import Histories, Scores


class Kept(Expert):
    """An expert whose scores are kept on disk, by what it was fitted on and asked; fitted only for an unknown question.

    Args:
        folder: where scores go.
        made_from: hash of the expert's settings.
        make: makes the expert, unfitted.
    """

    def __init__(self, folder: Path, made_from: str, make: Callable[[], Expert]) -> None:
        self.folder, self.made_from, self.make = folder, made_from, make
        self._fitted: Expert | None = None
        self._learned_from: Histories | None = None

    def fit(self, histories: Histories) -> None:
        """Notes what is learned from; learning waits for a question that is not answered yet."""
        self._fitted, self._learned_from = None, histories

    def score(self, histories: Histories) -> Scores:
        if self._learned_from is None:
            raise ValueError("The expert was asked before it was fitted.")
        key = content_hash(self.made_from, _content(self._learned_from), _content(histories))
        path = self.folder / f"{key[:24]}.npy"
        if not path.exists():
            if self._fitted is None:
                self._fitted = self.make()
                self._fitted.fit(self._learned_from)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.with_suffix(".half").open("wb") as file:
                np.save(file, self._fitted.score(histories))
            os.replace(path.with_suffix(".half"), path)  # whole or not at all: a killed proof goes on
        scores: Scores = np.load(path)
        return scores


def _content(histories: Histories) -> str:
    """Hash of who had what, when."""
    parts = (histories.who, histories.start, histories.product, histories.time)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
