"""Events of each entity in a seeded order, closed to a ring, and exact sums over parts of rings.

A training row sees the ring of its entity from the event after its own on, and never its own; a held-out row sees it
from a seeded place on. Sums over a part are differences of running sums, so a million rows cost one pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.sampling import draw

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Arcs:
    """What each of N rows sees of its entity's ring: `length` events from place `begin` on.

    `start` is where the ring lies in `order` (E,), `size` how many events it has; that of an unknown entity (-1) has
    none.
    """

    order: Places
    entity: Places
    start: Places
    size: Places
    begin: Places
    length: Places

    def sums(self, values: Numbers) -> Numbers:
        """Sums of the events' values (E,) over each arc: (N,).

        They are exact, and so tell nothing of the events left out, if the values have few binary places (`rounded`).
        """
        running = np.concatenate([[0.0], np.cumsum(values[self.order])])
        first = self.start + self.begin
        end = np.minimum(self.begin + self.length, self.size)
        wrapped = self.begin + self.length - end
        return np.asarray(
            running[self.start + end] - running[first] + running[self.start + wrapped] - running[self.start]
        )

    def first_events(self, limit: int) -> Places:
        """The first events of each arc: (N, limit), -1 where there are fewer."""
        steps = np.arange(limit)
        place = (self.begin[:, None] + steps) % np.maximum(self.size, 1)[:, None]
        inside = steps < self.length[:, None]
        events = self.order[np.where(inside, self.start[:, None] + place, 0)]
        return np.where(inside, events, -1)


class Rings:
    """The rings of all entities of one kind.

    Args:
        entity: (E,) code of each event's entity, from 0.
        n_entities: how many codes there are, also of entities without events.
        row: (E,) number of each event's source row.
        seed: of the order.
    """

    def __init__(self, entity: Places, n_entities: int, row: Places, seed: int) -> None:
        self.entity, self.seed = entity, seed
        self.order = np.lexsort((draw(row, seed), entity))
        self.sizes = np.bincount(entity, minlength=n_entities)
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.place = np.empty(len(entity), np.int64)
        self.place[self.order] = np.arange(len(entity)) - self.starts[entity[self.order]]

    def arcs(self, entity: Places, own: Places, row: Places, share: float) -> Arcs:
        """What N rows see.

        Args:
            entity: (N,) code, -1 for an unknown entity.
            own: (N,) the event that a row is, -1 for a held-out row.
            row: (N,) number of the source row, from which a held-out row's place is drawn.
            share: of the other events, how many a training row sees; a held-out row sees all.
        """
        known, trained = entity >= 0, own >= 0
        size = np.where(known, self.sizes[entity], 0)
        begin = np.where(trained, self.place[own] + 1, np.floor(draw(row, self.seed) * size).astype(np.int64))
        length = np.where(trained, np.ceil(share * (size - 1)), size).astype(np.int64)
        start = np.where(known, self.starts[entity], 0)
        return Arcs(self.order, entity, start, size, begin % np.maximum(size, 1), length)


def rounded(values: Numbers, bits: int) -> Numbers:
    """Values to so many binary places: sums of them are exact as long as they need no more than 53."""
    return np.asarray(np.rint(values * 2.0**bits) / 2.0**bits)
