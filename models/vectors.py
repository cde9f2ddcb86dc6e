"""Vectors that an encoder made, kept in the lake by the hash of what they were made of: each thing is encoded once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.lake import Lake
from features.types import ModelIdentity, content_hash

Vectors = dict[str, NDArray[np.float32]]
"""By hash."""


@dataclass(frozen=True)
class KeptVectors:
    """A table of the lake with the vectors of one encoder at a time: another one's are not taken up."""

    lake: Lake
    table: str
    key: str
    """Name of the column of hashes."""
    encoder: ModelIdentity

    @cached_property
    def made_from(self) -> str:
        """Hash of the encoder."""
        return content_hash(self.encoder.name, self.encoder.revision)

    def read(self) -> Vectors:
        """The vectors kept so far; none if they are another encoder's."""
        if self.lake.made_from(self.table) != self.made_from:
            return {}
        frame = self.lake.read(self.table)
        vectors = (np.asarray(vector, np.float32) for vector in frame["vector"])
        return dict(zip(frame[self.key], vectors, strict=True))

    def write(self, vectors: Vectors) -> None:
        """Keeps these alone."""
        frame = pd.DataFrame({self.key: list(vectors), "vector": list(vectors.values())})
        self.lake.write(self.table, frame, self.made_from)
