"""What a batch says of products as a table of numbers: their text vectors, values of the catalog, and its numbers.

Training and serving read the same columns of `ProductBlock`, so an attribute score is a feature like any other although
the feature store has no column for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from features.batch import CONTENT_WIDTH, Ids, ProductBlock
from features.vocabulary import Vocabulary

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Told:
    """What is told of N products, row by row; what is absent is zero in `content` and `values`, NaN in `numbers`."""

    content: Floats  # (N, CONTENT_WIDTH)
    has_content: NDArray[np.bool_]  # (N,)
    values: Floats  # (N, V) 1 where the catalog has the value
    has_values: NDArray[np.bool_]  # (N,)
    numbers: Floats  # (N, K)


@dataclass(frozen=True)
class Columns:
    """Which values and numbers of the catalog are looked at."""

    values: Vocabulary
    numbers: tuple[str, ...]

    @classmethod
    def of(cls, attributes: Ids, numbers: Sequence[str], least: int) -> Self:
        """All values that `least` products or more have, and the named numbers."""
        held = [text for row in attributes for text in set(row)]
        names, counts = np.unique(np.array(held, object).astype(str), return_counts=True)
        return cls(Vocabulary.build(names[counts >= least].tolist()), tuple(numbers))

    def read(self, products: ProductBlock) -> Told:
        """What a block tells."""
        content = products.content
        table = np.concatenate([content.table, np.zeros((1, CONTENT_WIDTH), np.float32)])
        has_values = np.array([bool(row) for row in products.attributes], bool)
        return Told(
            np.nan_to_num(table[content.index]),
            content.index >= 0,
            self._values(products.attributes),
            has_values,
            self._numbers(products.attributes),
        )

    def _values(self, attributes: Ids) -> Floats:
        lengths = [len(row) for row in attributes]
        flat = np.array([text for row in attributes for text in row], object)
        table = np.zeros((len(attributes), len(self.values)), np.float32)
        if len(flat):
            table[np.repeat(np.arange(len(attributes)), lengths), self.values.encode(flat)] = 1
        return table[:, 1:]  # column 0 is for values that are not known

    def _numbers(self, attributes: Ids) -> Floats:
        table = np.full((len(attributes), len(self.numbers)), np.nan, np.float32)
        for column, name in enumerate(self.numbers):
            for row, held in enumerate(attributes):
                for text in held:
                    if text.startswith(f"{name}="):
                        table[row, column] = _number(text.removeprefix(f"{name}="))
        return table


def _number(text: str) -> float:
    """A value of the catalog as a number, NaN if it is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
