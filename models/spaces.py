"""What a hyper-parameter search may try, by method.

Sizes are left out on purpose: a method and its control without explanations are searched in the same space, and keep
the same number of parameters whatever is found. So are batch size, epochs and patience, which decide what a trial
costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """All numbers from `low` to `high`, both included; on a logarithmic scale where `log`. Two ints mean whole ones."""

    low: float
    high: float
    log: bool = False

    def holds(self, value: object) -> bool:
        """Whether a value lies in it."""
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """Some values."""

    values: tuple[str | float, ...]

    def holds(self, value: object) -> bool:
        """Whether a value is one of them."""
        return value in self.values


Space = Mapping[str, Span | Choice]
"""By name of the setting."""

SPACES: Mapping[str, Space] = {
    "bias": {
        "product_damping": Span(0.5, 100.0, log=True),
        "consumer_damping": Span(0.5, 100.0, log=True),
    },
    "lr_recsys": {
        "learning_rate": Span(2e-4, 5e-3, log=True),
        "weight_decay": Span(1e-6, 1e-2, log=True),
        "dropout": Span(0.0, 0.6),
        "explanation_dropout": Span(0.0, 0.6),
        "id_dropout": Span(0.0, 0.5),
        "lambda_click": Span(0.02, 1.0, log=True),
        "lambda_distil": Span(0.01, 1.0, log=True),
    },
}
