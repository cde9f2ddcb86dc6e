"""Vectors that an encoder made, kept in the lake by the hash of what they were made of: each thing is encoded once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.lake import Lake
from features.parts import Parts
from features.types import ModelIdentity, content_hash

Vectors = dict[str, NDArray[np.float32]]
"""By hash."""


@dataclass(frozen=True)
class KeptVectors:
    """A table of the lake with the vectors of one encoder: another one's are not taken up."""

    lake: Lake
    table: str
    key: str
    """Name of the column of hashes."""
    encoder: ModelIdentity

    @cached_property
    def made_from(self) -> str:
        """Hash of the encoder."""
        return content_hash(self.encoder.name, self.encoder.revision)

    def read(self, hashes: Collection[str]) -> Vectors:
        """The vectors of those that are kept."""
        frame = self._parts.read(hashes)
        if frame.empty:
            return {}
        vectors = (np.asarray(vector, np.float32) for vector in frame["vector"])
        return dict(zip(frame[self.key], vectors, strict=True))

    def add(self, vectors: Vectors) -> None:
        """Keeps these too."""
        self._parts.add(pd.DataFrame({self.key: list(vectors), "vector": list(vectors.values())}))

    def keep_only(self, hashes: Collection[str]) -> None:
        """Forgets the vectors of all others."""
        self._parts.keep_only(hashes)

    @property
    def _parts(self) -> Parts:
        return Parts(self.lake, self.table, self.key, self.made_from)
