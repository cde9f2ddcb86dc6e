"""The protocol every engine implements. An engine makes answers; the ledger remembers them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from features.types import Completion, ModelIdentity, TextRequest


class TextEngine(Protocol):
    """Answers requests. Retries, memory and accounting are not its business."""

    @property
    def identity(self) -> ModelIdentity:
        """Which model answers."""
        ...

    def complete(self, requests: Sequence[TextRequest]) -> Iterator[Completion]:
        """Yields answers as they are ready, in any order; one for each request. Raises GenerationError."""
        ...
