"""The benchmark's own script on the test part of a split: its data are read once for all files of lists."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ranking import SPLITS, module_of
from features.settings import BenchFolders


class Script:
    """Scores lists and compares them."""

    def __init__(self, folders: BenchFolders, dataset: str, task: str) -> None:
        sys.modules["load"] = module_of(folders.bench / "load.py", "load")  # which score.py imports by this name
        self._script, self._task = module_of(folders.bench / "score.py", "bench_score"), task
        self._rows = self._script.load.read_split(dataset, SPLITS[task], folders.data, folders.bench / "splits")

    def score(self, path: Path) -> Any:
        """What the other methods take, of one file of lists."""
        return self._script.score(self._rows, str(path), self._task)

    def report(self, scored: Any) -> dict[str, Any]:
        """The metrics with their intervals."""
        return dict(self._script.report(scored))

    def minus(self, other: Any, own: Any) -> dict[str, Any]:
        """By metric, what one has more than the other, with interval and p."""
        return dict(self._script.compare(other, own)["compare"])

    def pooled(self, pairs: Sequence[tuple[Any, Any]], metrics: Sequence[str]) -> dict[str, Any]:
        """What the second of each pair has more, the mean over seeds, with the interval of the script's resamples.

        Args:
            pairs: (other, own) of each seed, over the same consumers.
            metrics: by the script's names.
        """
        n = len(pairs[0][0].names)
        whole, drawn = (
            [[it.evaluate(weights) for it in pair] for pair in pairs]
            for weights in (np.ones((1, n)), self._script.resamples(n))
        )
        return {metric: self._difference(whole, drawn, metric) for metric in metrics}

    def _difference(self, whole: list[Any], drawn: list[Any], metric: str) -> dict[str, Any]:
        before, after = (float(np.mean([pair[side][metric][0] for pair in whole])) for side in (0, 1))
        gap = np.mean([pair[1][metric] - pair[0][metric] for pair in drawn], axis=0)
        return {
            "value": round(after - before, 6),
            "interval95": self._script.interval(gap),
            "relative": round(after / before - 1, 4),
            "by_seed": [round(float(pair[1][metric][0] - pair[0][metric][0]), 6) for pair in whole],
        }
