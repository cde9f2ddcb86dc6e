"""A search keeps to its budget, tries the given settings first, and goes on after a stop as if there had been none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from features.errors import SettingError, TrainingError
from models.base import find_method
from models.search import SearchBudget, Settings, Study, search
from models.spaces import SPACES, Choice, Span

pytest.importorskip("optuna")

SPACE = {"x": Span(-4.0, 4.0), "n": Span(1, 5), "kind": Choice(("flat", "steep"))}


class Valley:
    """Lowest at x = 1 and n = 2; notes what it was asked. May be stopped, or fail for some settings."""

    def __init__(self, stop_at: int = 0, failing: bool = False) -> None:
        self.asked: list[Settings] = []
        self.stop_at, self.failing = stop_at, failing

    def __call__(self, settings: Settings) -> float:
        self.asked.append(settings)
        if len(self.asked) == self.stop_at:
            raise KeyboardInterrupt
        if self.failing and settings["kind"] == "steep":
            raise TrainingError("The loss became nan.")
        return (settings["x"] - 1) ** 2 + abs(settings["n"] - 2)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path / "new" / "studies.sqlite", "valley", SPACE, {"x": 3.0, "n": 4, "kind": "flat", "other": 1})


def test_the_given_settings_come_first_and_the_best_is_never_worse(study: Study) -> None:
    valley = Valley()
    found = search(study, valley, SearchBudget(8))
    assert valley.asked[0] == {"x": 3.0, "n": 4, "kind": "flat"}
    assert found.start == 6.0
    assert found.best == min(Valley()(settings) for settings in valley.asked) < found.start
    assert Valley()(found.settings) == found.best
    assert (found.trials, found.failed, len(valley.asked)) == (8, 0, 8)
    for settings in valley.asked:
        assert all(part.holds(settings[name]) for name, part in SPACE.items())
        assert isinstance(settings["n"], int)


def test_a_start_outside_the_space_is_not_tried(study: Study) -> None:
    valley = Valley()
    found = search(replace(study, start={"x": 99.0, "n": 4, "kind": "flat"}), valley, SearchBudget(2))
    assert found.start is None
    assert 99.0 not in [settings["x"] for settings in valley.asked]


@pytest.mark.slow
def test_a_stopped_search_goes_on_as_if_it_had_not_been_stopped(study: Study, tmp_path: Path) -> None:
    whole, first, second = Valley(), Valley(stop_at=7), Valley()
    expected = search(study, whole, SearchBudget(14))
    elsewhere = replace(study, store=tmp_path / "stopped.sqlite")
    with pytest.raises(KeyboardInterrupt):
        search(elsewhere, first, SearchBudget(14))
    found = search(elsewhere, second, SearchBudget(14))
    assert [*first.asked[:6], *second.asked] == whole.asked  # the seventh, which was cut off, is done again
    assert replace(found, seconds=0.0) == replace(expected, seconds=0.0)


def test_a_finished_search_tries_nothing_more_until_its_budget_grows(study: Study) -> None:
    search(study, Valley(), SearchBudget(2))
    again, more = Valley(), Valley()
    assert search(study, again, SearchBudget(2)).trials == 2
    assert search(study, more, SearchBudget(4)).trials == 4
    assert (len(again.asked), len(more.asked)) == (0, 2)


def test_seconds_are_counted_over_all_runs(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr("models.search.time.monotonic", lambda: next(clock))
    assert search(study, Valley(), SearchBudget(100, seconds=25)).trials == 3  # 10 s each: the third has begun in time
    assert search(study, Valley(), SearchBudget(100, seconds=40)).trials == 4


def test_a_trial_that_fails_counts_and_is_not_chosen(study: Study) -> None:
    valley = Valley(failing=True)
    found = search(study, valley, SearchBudget(7))
    assert found.failed == sum(settings["kind"] == "steep" for settings in valley.asked) > 0
    assert found.settings["kind"] == "flat"
    assert found.trials == 7


def test_a_search_in_which_all_fails_says_so(study: Study) -> None:
    only = replace(study, space={"kind": Choice(("steep",))})
    with pytest.raises(TrainingError, match="None of 2 trials"):
        search(only, Valley(failing=True), SearchBudget(2))


def test_two_models_get_the_same_draws_of_the_same_space(study: Study) -> None:
    """The method and its control: until the sampler learns from values, both try the same settings."""
    mine, other = Valley(), Valley()
    search(study, mine, SearchBudget(4))
    search(replace(study, name="control"), lambda settings: -other(settings), SearchBudget(4))
    assert mine.asked == other.asked


def test_progress_is_told(study: Study) -> None:
    told: list[tuple[str, int, int]] = []
    search(study, Valley(), SearchBudget(3), lambda *it: told.append(it), "search valley")
    assert told == [("search valley", n, 3) for n in (1, 2, 3)]


@pytest.mark.parametrize(("trials", "seconds"), [(0, 1.0), (3, 0.0), (3, -1.0), (3, float("nan"))])
def test_a_budget_of_nothing_is_refused(trials: int, seconds: float) -> None:
    with pytest.raises(SettingError, match="Both must be above 0"):
        SearchBudget(trials, seconds)


@pytest.mark.parametrize("name", SPACES)
def test_a_space_is_of_settings_the_method_has_and_holds_its_defaults(name: str) -> None:
    config = find_method(name).config_type
    defaults = config().model_dump()
    for setting, part in SPACES[name].items():
        assert setting in config.model_fields
        assert part.holds(defaults[setting])
        ends = part.values if isinstance(part, Choice) else (part.low, part.high)
        for value in ends:
            assert getattr(config.model_validate({setting: value}), setting) == value
