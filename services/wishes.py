"""What a caller wants changed about the model's order, as numbers of the candidates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from services.reranking import Pinned, Places, Spread
from services.rules import Mask
from services.schemas import RecommendRequest
from services.shelf import Shelf


@dataclass(frozen=True, eq=False)
class Wishes:
    """Boosts, diversity and pins of one request over its N candidates."""

    boost: NDArray[np.float64]  # (N,)
    spread: Spread | None
    pins: tuple[Pinned, ...]
    unmatched: tuple[str, ...] = ()
    """Boosts and pins without a candidate, by their place in the request."""
    groups: tuple[Mask, ...] = ()
    """(N,) each: the candidates that each boost or pin is about."""

    @classmethod
    def of(cls, request: RecommendRequest, shelf: Shelf, rows: NDArray[np.intp]) -> Self:
        """The wishes of a request over candidates at these rows. Raises InputError on an unknown attribute."""
        boosted = [shelf.meant(boost)[rows] for boost in request.boosts]
        pinned = [shelf.meant(pin)[rows] for pin in request.pins]
        boost = np.zeros(len(rows))
        for each, among in zip(request.boosts, boosted, strict=True):
            boost += each.by * among
        named = [(f"boosts[{n}]", it) for n, it in enumerate(boosted)]
        named += [(f"pins[{n}]", it) for n, it in enumerate(pinned)]
        wanted = request.diversity
        return cls(
            boost=boost,
            spread=Spread(wanted.lambda_, shelf.similarity(wanted.by, rows)) if wanted else None,
            pins=tuple(Pinned(it, pin.rank) for pin, it in zip(request.pins, pinned, strict=True)),
            unmatched=tuple(name for name, among in named if not among.any()),
            groups=(*boosted, *pinned),
        )

    def take(self, kept: Places) -> Wishes:
        """The wishes over some of the candidates."""
        return replace(
            self,
            boost=self.boost[kept],
            spread=self.spread and self.spread.take(kept),
            pins=tuple(Pinned(pin.among[kept], pin.rank) for pin in self.pins),
            groups=tuple(group[kept] for group in self.groups),
        )
