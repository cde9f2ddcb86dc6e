"""What products look like: one vector each, for as many products as have one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.batch import Floats, Ids
from features.errors import InputError
from features.types import content_hash
from features.vocabulary import UNKNOWN, Vocabulary


@dataclass(frozen=True, eq=False)
class VisualTable:
    """Vectors by product id. They come with the catalog and have no age; a product without one is a normal case."""

    product_ids: tuple[str, ...]
    values: Floats  # (V, width)

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or len(self.values) != len(self.product_ids):
            raise InputError(
                f"{len(self.product_ids)} products came with visual vectors of the shape {self.values.shape}.",
                "Each has one row, and all are as wide.",
            )
        if not np.isfinite(self.values).all():
            raise InputError("A visual vector holds a value that is not finite.", "Leave such products out.")

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Self | None:
        """From a frame with `VISUAL_COLUMNS`; None where it has no row. Raises InputError if widths differ."""
        if frame.empty:
            return None
        widths = {len(vector) for vector in frame["vector"]}
        if len(widths) > 1:
            raise InputError(f"Visual vectors have {sorted(widths)} values.", "All must have as many.")
        return cls(tuple(frame["product_id"]), np.stack(frame["vector"].to_list()).astype(np.float32))

    @property
    def width(self) -> int:
        """Numbers of a vector."""
        return int(self.values.shape[1])

    def of_products(self, product_ids: Ids | Sequence[str]) -> tuple[Floats, NDArray[np.bool_]]:
        """Vectors (N, width), zeros where there is none, and where there is one (N,)."""
        numbers = self._vocabulary.encode(np.asarray(product_ids, object))
        rows = np.append(self._rows, len(self.values))[numbers - 1]  # an unknown product's number takes the last
        padded = np.concatenate([self.values, np.zeros((1, self.width), np.float32)])
        return padded[rows], numbers != UNKNOWN

    def shuffled(self, seed: int) -> VisualTable:
        """The same vectors given to other products of the table: what a gain must not survive."""
        order = np.random.default_rng(seed).permutation(len(self.values))
        return VisualTable(self.product_ids, self.values[order])

    @cached_property
    def content_hash(self) -> str:
        """Changes with any id or value."""
        return content_hash(self.product_ids, hashlib.sha256(self.values.tobytes()).hexdigest())

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary.build(self.product_ids)

    @cached_property
    def _rows(self) -> NDArray[np.intp]:
        """Row of each id of the vocabulary, in its order."""
        place = {name: row for row, name in enumerate(self.product_ids)}
        return np.array([place[name] for name in self._vocabulary.ids], np.intp)
