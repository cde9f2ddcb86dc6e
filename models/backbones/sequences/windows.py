"""Histories as the rows a sequence model reads: what is asked of it, and the stretches it learns from.

Product numbers are shifted by 1, so that 0 is "nothing"; the latest event is at the right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from models.backbones.histories import Histories, Numbers

MASK = -1
"""Stands in a history for a product that is asked for (bidirectional encoders)."""

_ALIKE = 16
"""Batches that share out their windows by length."""


class Asked(NamedTuple):
    """B histories to be continued."""

    history: Tensor  # (B, T) product numbers + 1; 0 where there is none, MASK where it is asked for
    consumer: Tensor  # (B,) whose
    events: Tensor  # (B,) how many events of the consumer are in or before the last column
    came: Tensor | None = None  # (B,) number + 1 of what came after the last column, to learn from; None to be asked

    def to(self, device: str) -> Asked:
        """The same on a device."""
        return self._each(lambda part: part.to(device))

    def rows(self, chosen: Tensor | slice) -> Asked:
        """Some of them."""
        return self._each(lambda part: part[chosen])

    def trimmed(self) -> Asked:
        """Without the columns that all rows lack, but for one: empty places cost time and change nothing."""
        longest = int((self.history != 0).sum(1).max()) if len(self.history) else 0
        return self._replace(history=self.history[:, -max(1, longest) :])

    @property
    def known_events(self) -> Tensor:
        """(B, T): how many events of the consumer are in or before each column."""
        length = self.history.shape[1]
        return self.events.unsqueeze(1) - torch.arange(length - 1, -1, -1, device=self.events.device)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Asked:
        came = None if self.came is None else change(self.came)
        return Asked(change(self.history), change(self.consumer), change(self.events), came)


def asked(histories: Histories, length: int) -> Asked:
    """The last `length` events of every consumer."""
    sizes = np.diff(histories.start)
    return Asked(*map(torch.from_numpy, (histories.padded(length), histories.who, sizes)))


def before(histories: Histories, consumer: Numbers, end: Numbers, length: int) -> Numbers:
    """(N, length): the last events of consumers (N,) before the events numbered `end` (N,), as `Asked.history`."""
    event = end[:, None] + np.arange(-length, 0)
    inside = event >= histories.start[consumer][:, None]
    return np.where(inside, np.append(histories.product, 0)[np.maximum(event, 0)] + 1, 0)


@dataclass(frozen=True, eq=False)
class Windows:
    """W stretches of histories, each of at least two events."""

    rows: Numbers  # (W, length + 1)
    consumer: Numbers  # (W,)
    events: Numbers  # (W,) as in `Asked`

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of(cls, histories: Histories, length: int, random: np.random.Generator) -> Self:
        """The last events of each consumer, and earlier stretches.

        Earlier stretches end at a random place and follow each other without a gap, so that over the epochs every event
        is predicted from every distance to the window's start.
        """
        first, last = histories.start[:-1], histories.start[1:]
        ends, consumers = [last], [np.arange(len(histories))]
        end = last - random.integers(1, length + 1, len(histories))
        while (open_ := np.flatnonzero(end - first > 1)).size:
            ends.append(end[open_])
            consumers.append(open_)
            end = end - length
        end, consumer = np.concatenate(ends), np.concatenate(consumers)
        rows = before(histories, consumer, end, length + 1)
        kept = (rows > 0).sum(1) > 1
        return cls(rows[kept], consumer[kept], (end - first[consumer])[kept])

    def batches(self, size: int) -> Iterator[Asked]:
        """All windows in an order drawn from torch's generator, those of like length together.

        Windows are drawn for `_ALIKE` batches at a time and shared out among them by length: most histories of a shop
        are short, and a batch takes as long as its longest one.
        """
        rows, consumer, events = map(torch.from_numpy, (self.rows, self.consumer, self.events))
        lengths = (rows > 0).sum(1)
        batches: list[Tensor] = []
        for drawn in torch.split(torch.randperm(len(self)), _ALIKE * size):
            batches += torch.split(drawn[torch.argsort(lengths[drawn])], size)
        for number in torch.randperm(len(batches)).tolist():
            chosen = batches[number]
            yield Asked(rows[chosen], consumer[chosen], events[chosen]).trimmed()
