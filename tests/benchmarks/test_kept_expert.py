"""An expert whose scores are kept is fitted for what is new, and for nothing twice."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np
import pytest

from benchmarks.kept_expert import Kept
from models.backbones.experts import Expert, Popularity
from models.backbones.histories import Histories, Scores


class Counted(Expert):
    """Popularity that counts how often it was fitted."""

    fits = 0

    def __init__(self) -> None:
        self.inner = Popularity()

    def fit(self, histories: Histories) -> None:
        Counted.fits += 1
        self.inner.fit(histories)

    def score(self, histories: Histories) -> Scores:
        return self.inner.score(histories)


def test_scores_are_those_of_the_expert_and_made_once(tmp_path: Path) -> None:
    random, fits = np.random.default_rng(0), Counted.fits
    whole = Histories.of(np.repeat(np.arange(6), 4), random.integers(0, 9, 24), np.arange(24.0), 6, 9)
    earlier, _ = whole.without_last()
    plain = Popularity()
    for _ in range(2):
        kept = Kept(tmp_path, "settings", Counted)
        for histories in (earlier, whole):
            kept.fit(histories)
            plain.fit(histories)
            assert np.array_equal(kept.score(histories), plain.score(histories))
            assert np.array_equal(kept.score(histories.rows(2, 5)), plain.score(histories.rows(2, 5)))
    assert Counted.fits == fits + 2  # one for each cut
    other = Kept(tmp_path, "other settings", Counted)
    other.fit(whole)
    other.score(whole)
    assert Counted.fits == fits + 3


def test_what_was_written_in_half_counts_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Histories.of(np.repeat(np.arange(6), 4), np.arange(24) % 9, np.arange(24.0), 6, 9)
    kept = Kept(tmp_path, "settings", Popularity)
    kept.fit(whole)

    def killed(file: IO[bytes], _: Scores) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            kept.score(whole)
    assert kept.score(whole).shape == (6, 9)
