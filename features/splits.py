"""Which interactions a model is fitted on, chosen with, and judged by: train, valid and test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import InputError, SettingError
from features.types import Interactions

PARTS = ("train", "valid", "test")
Part = NDArray[np.str_]
_LEAST_EVENTS = 3
"""A consumer with fewer events is wholly train when the last ones are left out."""


@dataclass(frozen=True)
class SplitRule:
    """How to split.

    `time`: in order of time over all consumers. `leave-last-out`: per consumer the last is test, the last but
    one valid. `random`: shuffled by `seed`; the first event of each consumer and product stays in train.
    """

    kind: Literal["time", "leave-last-out", "random"] = "time"
    valid: float = 0.1
    test: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in _RULES:
            raise SettingError(f"There is no split {self.kind!r}.", f"Splits are {', '.join(_RULES)}.")
        if not (self.valid >= 0 and self.test > 0 and self.valid + self.test < 1):
            raise SettingError(
                f"A split with valid {self.valid} and test {self.test} leaves nothing to train or to test.",
                "Both are shares of all interactions: test above 0, valid not below 0, their sum below 1.",
            )


def split(interactions: Interactions, rule: SplitRule) -> Part:
    """The part of each interaction, in the order of its frame.

    Returns:
        (N,) of `train`, `valid` and `test`.

    Raises:
        InputError: the interactions are too few or too simultaneous to leave something to train and to test.
    """
    parts = _RULES[rule.kind](interactions.frame, rule)
    absent = [part for part in ("train", "test") if part not in parts]
    if absent:
        lost = " and no ".join(absent)
        raise InputError(
            f"The split {rule.kind!r} of {len(interactions)} interactions leaves no {lost} rows.",
            "A split needs some of both.",
            "Give more interactions, or (where all have the same time) choose the split `random`.",
        )
    return parts


def _time(events: pd.DataFrame, rule: SplitRule) -> Part:
    """Events of one and the same time stay together, in the earlier part."""
    times = events["timestamp"].to_numpy("datetime64[us]")
    ordered, n = np.sort(times), len(times)
    # The small number keeps 0.7 * 10 at 7; at least one event is train.
    ends = [max(int((1 - later) * n + 1e-9), 1) for later in (rule.valid + rule.test, rule.test)]
    if n == 0:
        return np.array([], "U5")
    return np.where(times <= ordered[ends[0] - 1], "train", np.where(times <= ordered[ends[1] - 1], "valid", "test"))


def _leave_last_out(events: pd.DataFrame, rule: SplitRule) -> Part:
    """Per consumer in order of time, then row."""
    ordered = events[["consumer_id", "timestamp", "row"]].reset_index(drop=True)
    ordered = ordered.sort_values(["timestamp", "row"], kind="stable")
    group = ordered.groupby("consumer_id")["row"]
    from_end, enough = group.cumcount(ascending=False), group.transform("size") >= _LEAST_EVENTS
    parts = np.full(len(events), "train", "U5")
    for position, part in ((0, "test"), (1, "valid")):
        parts[ordered.index[(from_end == position) & enough]] = part
    return parts


def _random(events: pd.DataFrame, rule: SplitRule) -> Part:
    """Of the shuffled rows that no consumer or product depends on, the first are test, the next valid."""
    by_row = np.argsort(events["row"].to_numpy(), kind="stable")
    order = by_row[np.random.default_rng(rule.seed).permutation(len(events))]
    shuffled = events.iloc[order]
    first = ~shuffled["consumer_id"].duplicated() | ~shuffled["product_id"].duplicated()
    free = order[~first.to_numpy()]
    n_test, n_valid = round(rule.test * len(events)), round(rule.valid * len(events))
    if n_test + n_valid > len(free):
        n_test = n_valid = len(free) // 2
    parts = np.full(len(events), "train", "U5")
    parts[free[:n_test]] = "test"
    parts[free[n_test : n_test + n_valid]] = "valid"
    return parts


_RULES = {"time": _time, "leave-last-out": _leave_last_out, "random": _random}
