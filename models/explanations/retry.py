"""A refused line's second and last chance: it is asked for once more, and the request says why it was refused.

Nothing here calls a model. A second request follows from the first one and the failures alone, so its answer is found
in the ledger like any other: parse, ask what `second_requests` names, parse again with both sets of answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from features.types import TextRequest
from models.explanations.gates import REASONS, Failure

AGAIN = "_again"
"""Ends the kind of every second request."""
REASON = (
    "{shown}\nA first sentence was refused: {reason}. Write it again, with the words and numbers of the facts only."
)
UNFIXABLE = frozenset({Failure.CONTRAST, Failure.ONE_SIDED})
"""What a line fails for because of another line."""


@dataclass(frozen=True)
class Rejected:
    """A line that failed: what it was, where it stood and why."""

    request: TextRequest
    place: int
    """Which of the request's slots it was for."""
    text: str
    failures: tuple[Failure, ...]
    recovered: bool = False
    """Whether the second answer passed."""

    @property
    def second(self) -> TextRequest | None:
        """The request for the same line that states the reason; None if asking again cannot help."""
        if self.request.kind.endswith(AGAIN) or set(self.failures) <= UNFIXABLE:
            return None
        slot, reason = self.request.slots[self.place], REASONS[self.failures[0]]
        kind = self.request.kind + AGAIN
        if slot.about:
            alone = replace(slot, about=REASON.format(shown=slot.about, reason=reason))
            return replace(self.request, kind=kind, slots=(alone,))
        prompt = REASON.format(shown=self.request.prompt, reason=reason)
        return replace(self.request, kind=kind, slots=(slot,), prompt=prompt)


def second_requests(rejected: Iterable[Rejected]) -> list[TextRequest]:
    """The requests to make after the first parse, each once."""
    seconds = (line.second for line in rejected)
    return list({request.key: request for request in seconds if request is not None}.values())
