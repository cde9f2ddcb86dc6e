"""Decisions read from a language model: the tokens of Yes and No, and the probability at their place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.errors import GenerationError

Encode = Callable[[str], list[int]]


@dataclass(frozen=True)
class Labels:
    """How an answer begins: a lead that both labels share, then the token that decides, then the rest of the label."""

    lead: tuple[int, ...]
    yes: int
    no: int
    yes_rest: tuple[int, ...] = ()
    """What some tokenizers need to write the label out."""
    no_rest: tuple[int, ...] = ()

    @classmethod
    def find(cls, encode: Encode, lead: str = "Prediction:", yes: str = " Yes", no: str = " No") -> Labels:
        """The first token in which the two answers differ, whatever tokenizer it is.

        Raises GenerationError if they differ in none, because one begins with the other.
        """
        for_yes, for_no = encode(lead + yes), encode(lead + no)
        shared = next((n for n, both in enumerate(zip(for_yes, for_no, strict=False)) if both[0] != both[1]), -1)
        if shared < 0:
            raise GenerationError(f"The answers {lead + yes!r} and {lead + no!r} do not differ in a token.")
        rests = tuple(for_yes[shared + 1 :]), tuple(for_no[shared + 1 :])
        return cls(tuple(for_yes[:shared]), for_yes[shared], for_no[shared], *rests)

    def of(self, liked: bool) -> tuple[int, ...]:
        """The label's tokens; the first one decides."""
        return (self.yes, *self.yes_rest) if liked else (self.no, *self.no_rest)


class Decisions(NamedTuple):
    """What a model decides of N pairs. Report both: a hard score has an AUC that is balanced accuracy."""

    soft: NDArray[np.float64]  # (N,) probability of Yes between the two labels
    hard: NDArray[np.float64]  # (N,) 1 where that is at least one half


def decisions(logits: ArrayLike) -> Decisions:
    """Softmax over the scores of Yes and No alone.

    Args:
        logits: (N, 2) Yes, No, at the place of the label.
    """
    values = np.asarray(logits, np.float64)
    soft = 1 / (1 + np.exp(np.clip(values[:, 1] - values[:, 0], -500, 500)))
    return Decisions(soft, (soft >= 0.5).astype(np.float64))


def with_prior(soft: ArrayLike, prior: float) -> NDArray[np.float64]:
    """Probabilities of a model that was tuned on halves, where in truth a share `prior` is liked.

    Adds log(pi / (1 - pi)) to the logits; the order stays.
    """
    chance = np.clip(np.asarray(soft, np.float64), 1e-9, 1 - 1e-9)
    pi = min(max(prior, 1e-6), 1 - 1e-6)
    return np.asarray(1 / (1 + (1 - chance) / chance * (1 - pi) / pi), np.float64)


class Prompt(NamedTuple):
    """A prompt in two parts: what many rows begin with, and the rest. A row is scored after both."""

    shared: tuple[int, ...]
    own: tuple[int, ...]

    @property
    def tokens(self) -> list[int]:
        """The whole."""
        return [*self.shared, *self.own]


def by_shared(prompts: Sequence[Prompt]) -> dict[tuple[int, ...], list[int]]:
    """The rows that share a beginning, so that it is read once."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, prompt in enumerate(prompts):
        groups.setdefault(prompt.shared, []).append(row)
    return groups
