"""Rows to learn from: tokens of a prompt and of its answer, of which only the answer is learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor

IGNORED = -100
_POOL = 20
"""Batches of similar length are made within so many batches' rows."""


class Aside(NamedTuple):
    """A token that is tried at a place, beside the one that stands there; no other token sees it."""

    place: int
    token: int


@dataclass(frozen=True)
class Row:
    """Tokens of one example; the last `n_answer` are learned."""

    tokens: Sequence[int]
    n_answer: int
    decision: int = -1
    """Place of the token that decides, within `tokens`; -1 if there is none."""
    asides: tuple[Aside, ...] = ()
    """Read after `tokens`, so that one pass answers what would come after other beginnings too."""

    @property
    def read(self) -> tuple[int, ...]:
        """All tokens in the order in which they are read."""
        return (*self.tokens, *(aside.token for aside in self.asides))


@dataclass(frozen=True)
class Padded:
    """What is learned of rows, as if of one length."""

    labels: Tensor  # (B, L), IGNORED where nothing is learned
    decides: Tensor  # (B, L) bool


def padded(rows: Sequence[Row]) -> Padded:
    """What rows learn as tensors, filled up at their ends."""
    longest = max(len(row.tokens) for row in rows)
    labels = torch.full((len(rows), longest), IGNORED)
    decides = torch.zeros_like(labels, dtype=torch.bool)
    for n, row in enumerate(rows):
        tokens, length = torch.tensor(row.tokens), len(row.tokens)
        labels[n, length - row.n_answer : length] = tokens[length - row.n_answer :]
        if row.decision >= 0:
            decides[n, row.decision] = True
    return Padded(labels, decides)


class Sight(NamedTuple):
    """Where the tokens of B rows stand, filled up at their ends, and what each sees."""

    places: Tensor  # (B or 1, L)
    mask: Tensor | None  # (B, 1, L, L) bool; None where each sees all before it, which is quicker


def sight(rows: Sequence[Row]) -> Sight:
    """An aside sees what stands before its place, and itself."""
    longest = max(len(row.read) for row in rows)
    every = torch.arange(longest)
    if not any(row.asides for row in rows):
        return Sight(every.unsqueeze(0), None)
    places, mask = every.repeat(len(rows), 1), (every <= every[:, None]).repeat(len(rows), 1, 1)
    for n, row in enumerate(rows):
        mask[n, len(row.tokens) :] = False
        for at, aside in enumerate(row.asides, len(row.tokens)):
            places[n, at] = aside.place
            mask[n, at, : aside.place] = True
    return Sight(places, (mask | torch.eye(longest, dtype=torch.bool)).unsqueeze(1))


def batches(rows: Sequence[Row], size: int, seed: int) -> list[list[Row]]:
    """All rows in batches of similar length, which saves padding, in random order."""
    rng = Random(seed)
    order = rng.sample(range(len(rows)), len(rows))
    pools = [order[n : n + _POOL * size] for n in range(0, len(order), _POOL * size)]
    ordered = [row for pool in pools for row in sorted(pool, key=lambda n: len(rows[n].tokens))]
    made = [[rows[n] for n in ordered[start : start + size]] for start in range(0, len(ordered), size)]
    rng.shuffle(made)
    return made


def latest_that_fit(entries: Sequence[Sequence[int]], room: int) -> list[Sequence[int]]:
    """The last entries whose tokens fit into the room together: histories are cut at their old end.

    What follows a history, the target and the question, is never cut: its tokens are taken off the room before.
    """
    kept: list[Sequence[int]] = []
    for entry in reversed(entries):
        room -= len(entry)
        if room < 0:
            break
        kept.append(entry)
    return kept[::-1]
