"""Profile, history and target of an example never overlap, and what is tested is in no prompt of what is learned."""

from __future__ import annotations

import pytest

from features.errors import SettingError
from models.reasoning.windows import PARTS, windows


def test_a_consumer_of_eight_events() -> None:
    made = windows(8)
    assert {part: (list(w.profile), list(w.history), w.target) for part, w in made.items()} == {
        "train": ([0], [1, 2, 3, 4], 5),
        "valid": ([0], [2, 3, 4, 5], 6),
        "test": ([0], [3, 4, 5, 6], 7),
    }


@pytest.mark.parametrize("n_events", [4, 5, 7, 8, 40])
def test_nothing_overlaps_and_the_future_is_never_seen(n_events: int) -> None:
    made = windows(n_events)
    for part, window in made.items():
        assert not {*window.profile} & {*window.history, window.target}
        assert window.target not in window.history
        assert max(window.history) < window.target
        later = {made[name].target for name in PARTS[PARTS.index(part) + 1 :] if name in made}
        assert not later & {*window.profile, *window.history, window.target}


def test_a_consumer_of_few_events_has_few_windows() -> None:
    assert windows(2) == {"test": windows(2)["test"]}
    assert windows(1) == {}


def test_the_profile_is_of_the_latest_events_before_all_histories() -> None:
    assert list(windows(40)["test"].profile) == list(range(18, 33))


def test_a_window_of_nothing_is_an_error() -> None:
    with pytest.raises(SettingError, match="window of 0 events"):
        windows(8, history=0)
