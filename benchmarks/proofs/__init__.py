"""Promises, each tried hard: one module per promise, with `prove() -> Proof`. `make prove` runs them all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Proof:
    """What came out of trying to break a promise."""

    promise: str
    kept: bool
    figures: dict[str, Any] = field(default_factory=dict)
    not_run: str = ""
    """Why it could not be tried here, if it could not."""
