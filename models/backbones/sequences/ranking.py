"""Lists of the whole catalogue from a sequence model, and how good they are on what was held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from models.backbones.histories import Histories, Numbers, Scores
from models.backbones.sequences.network import SequenceNetwork
from models.backbones.sequences.windows import Asked, asked

CHUNK = 256


def log_chances(networks: Sequence[SequenceNetwork], histories: Histories, length: int, device: str = "cpu") -> Scores:
    """(U, P): mean log chance of each product to come next over networks (of another seed each)."""
    found = np.empty((len(histories), histories.n_products), np.float32)
    for rows, some in _chunks(histories, np.arange(len(histories)), length):
        with torch.inference_mode():
            found[rows] = torch.stack([network(some.to(device)) for network in networks]).mean(0).cpu().numpy()
    return found


def _chunks(histories: Histories, rows: NDArray[np.intp], length: int) -> Iterator[tuple[NDArray[np.intp], Asked]]:
    """Questions of some consumers, those with histories of like length together."""
    questions = asked(histories, length)
    ordered = rows[np.argsort(np.diff(histories.start)[rows], kind="stable")]
    for start in range(0, len(ordered), CHUNK):
        some = ordered[start : start + CHUNK]
        yield some, questions.rows(torch.from_numpy(some)).trimmed()


class HeldOut:
    """The next product of consumers that have one held out, and what is known before it.

    Args:
        known: U consumers' histories without it.
        target: (U,) product, -1 where none is held out.
        limit: of how many consumers at most the network is asked, drawn once.
    """

    def __init__(self, known: Histories, target: Numbers, limit: int = 2000) -> None:
        self.known, self.target, rows = known, target, np.flatnonzero(target >= 0)
        self._rows = np.sort(np.random.default_rng(0).permutation(rows)[:limit])
        self._had = known.matrix()

    def __len__(self) -> int:
        return len(self._rows)

    def ndcg(self, network: SequenceNetwork, length: int, device: str = "cpu") -> float:
        """Mean NDCG@10 of the network's lists of the whole catalogue, without what each consumer has had."""
        gains = []
        for rows, some in _chunks(self.known, self._rows, length):
            with torch.inference_mode():
                scores = network(some.to(device)).cpu().numpy()
            gains.append(gain(np.where(self._had[rows].toarray() > 0, -np.inf, scores), self.target[rows]))
        return float(np.concatenate(gains).mean())


def gain(lists: Scores, target: Numbers, depth: int = 10) -> NDArray[np.float64]:
    """(U,) NDCG at a depth of lists (U, P) with one wanted product (U,) each; equal scores share their mean rank."""
    own = lists[np.arange(len(lists)), target][:, None]
    rank = (lists > own).sum(1) + ((lists == own).sum(1) - 1) / 2
    return np.where(rank < depth, 1 / np.log2(rank + 2), 0.0)
