"""Windows: which of a consumer's events are profile, history and target of an example; the three never overlap.

Source: ReasoningRec (Bismay, Dong, Caverlee, arXiv 2410.23180), authors' code. The last three events are the targets of
train, valid and test; each sees the events before it as history; what lies before the first history is the profile's.
"""

from __future__ import annotations

from dataclasses import dataclass

from features.errors import SettingError

PARTS = ("train", "valid", "test")
"""In order of time: their targets are the third last, second last and last event."""


@dataclass(frozen=True)
class Window:
    """Places of one example's events in a consumer's events, oldest first."""

    profile: range
    history: range
    target: int


def windows(n_events: int, history: int = 4, profile: int = 15) -> dict[str, Window]:
    """The windows of a consumer with so many events, by part; a part whose history would be empty is left out.

    All parts share one profile, of the events before all histories: neither a history nor a target of any part is in
    it.

    Args:
        n_events: of the consumer, in order of time.
        history: events before a target that are shown.
        profile: events before all histories that the profile is written from, at most.

    Raises:
        SettingError: a size is not positive.
    """
    if history < 1 or profile < 0:
        raise SettingError(f"A window of {history} events with a profile of {profile} has no sense.")
    targets = {part: n_events - len(PARTS) + place for place, part in enumerate(PARTS)}
    first = max(0, targets["train"] - history)  # of the earliest history
    told = range(max(0, first - profile), first)
    return {
        part: Window(told, range(max(first, target - history), target), target)
        for part, target in targets.items()
        if target > first
    }
