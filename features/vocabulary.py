"""Ids to contiguous numbers and back; number 0 stands for every id that is not known."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features.errors import InputError
from features.types import content_hash

UNKNOWN = 0


@dataclass(frozen=True)
class Vocabulary:
    """Distinct ids; the id at position i has the number i + 1."""

    ids: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.ids)) != len(self.ids):
            raise InputError(
                f"A vocabulary was given {len(self.ids)} ids of which {len(set(self.ids))} are distinct.",
                remedy="Build it with Vocabulary.build, which sorts and removes repeats.",
            )

    @classmethod
    def build(cls, ids: Iterable[str]) -> Vocabulary:
        """The vocabulary of the distinct ids, sorted, so that the order of the data does not matter."""
        return cls(tuple(sorted(set(ids))))

    def __len__(self) -> int:
        """How many numbers there are, the one for unknown included: the rows an embedding table needs."""
        return len(self.ids) + 1

    @cached_property
    def hash(self) -> str:
        """sha256 of the ids in order; artifacts compare it."""
        return content_hash(self.ids)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {known: number for number, known in enumerate(self.ids, 1)}

    def encode(self, ids: NDArray[np.object_]) -> NDArray[np.int32]:
        """Numbers of ids, of any shape; `UNKNOWN` where an id is not known."""
        flat = np.asarray(ids, dtype=object)
        number_of = self._numbers.get
        numbers = (number_of(it, UNKNOWN) for it in flat.ravel().tolist())
        return np.fromiter(numbers, np.int32, flat.size).reshape(flat.shape)

    def decode(self, numbers: NDArray[np.integer]) -> NDArray[np.object_]:
        """Ids of numbers, of any shape; an empty id for `UNKNOWN`. Raises InputError on a number too large."""
        wanted = np.asarray(numbers)
        if wanted.size and not 0 <= wanted.min() <= wanted.max() < len(self):
            raise InputError(
                f"Numbers from {wanted.min()} to {wanted.max()} cannot be decoded.",
                f"This vocabulary has the numbers 0 to {len(self) - 1}.",
                "Use the vocabulary that the numbers were made with.",
            )
        return np.array(["", *self.ids], dtype=object)[wanted]

    def to_json(self) -> str:
        """The ids and their hash."""
        return json.dumps({"hash": self.hash, "ids": self.ids}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Vocabulary:
        """Reads what `to_json` wrote. Raises InputError if it is damaged."""
        try:
            content = json.loads(text)
            vocabulary, expected = cls(tuple(content["ids"])), content["hash"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"This is no vocabulary: {error}.", remedy="Restore the file, or fit again.") from error
        if vocabulary.hash != expected:
            raise InputError(
                f"The vocabulary's ids have the hash {vocabulary.hash[:12]}.",
                f"The file says {str(expected)[:12]}.",
                "It was changed after it was written: restore it, or fit again.",
            )
        return vocabulary
