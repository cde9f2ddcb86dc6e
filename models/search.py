"""Hyper-parameter search by Optuna.

The sampler is seeded anew for each trial by the trial's number, and a trial that was cut off is done again with the
settings it had. So a stopped search that goes on tries what it would have tried without the stop.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.errors import SettingError, TrainingError
from models.base import Progress, silent
from models.spaces import Choice, Space, Span

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

logger = logging.getLogger(__name__)

SECONDS = "seconds/"
"""Prefix of a study's notes of what each trial took: the library's own times would span a stop."""

Settings = dict[str, Any]


@dataclass(frozen=True)
class SearchBudget:
    """How long a search may go on: until either is used up, over all runs of it together."""

    trials: int
    seconds: float = float("inf")
    """Of trials; one that has begun is finished."""

    def __post_init__(self) -> None:
        """Raises SettingError unless both are above 0."""
        if self.trials < 1 or not self.seconds > 0:
            raise SettingError(
                f"A search of {self.trials} trials within {self.seconds:g} seconds finds nothing.",
                "Both must be above 0.",
            )


@dataclass(frozen=True)
class Study:
    """What is searched, and where it is remembered."""

    store: Path
    """SQLite file of all studies."""
    name: str
    """Must change with whatever the objective depends on."""
    space: Space
    start: Settings
    """Settings that are tried first, if they lie in the space; others than those of the space are ignored."""
    seed: int = 0

    @property
    def given(self) -> Settings | None:
        """The start within the space, or None if it lies outside."""
        given = {name: self.start.get(name) for name in self.space}
        return given if all(part.holds(given[name]) for name, part in self.space.items()) else None


@dataclass(frozen=True)
class Found:
    """What a search came to."""

    trials: int
    failed: int
    """Trials without a value, such as a loss that was not finite; they count in the budget."""
    seconds: float
    start: float | None
    """Value of the settings that were given; None if they lie outside the space or failed."""
    best: float
    settings: Settings


def search(
    study: Study,
    objective: Callable[[Settings], float],
    budget: SearchBudget,
    progress: Progress = silent,
    label: str = "search",
) -> Found:
    """Looks for the settings of the lowest objective; goes on where the study was stopped.

    Args:
        study: what is searched.
        objective: value of settings; a TrainingError makes the trial a failed one.
        budget: how long to go on.
        progress: told of finished trials.
        label: what progress is reported as.

    Raises:
        SettingError: Optuna is not installed.
        TrainingError: no trial gave a value.
    """
    kept = _open(study)
    while (trial := _next(study, kept, budget)) is not None:
        _do(kept, *trial, objective)
        progress(label, len(_finished(kept)), budget.trials)
    return _found(study, kept)


def _open(study: Study) -> optuna.Study:
    """The library's study, made if it is new, with the given settings waiting to be tried."""
    try:
        import optuna
    except ImportError as error:
        raise SettingError(
            "Optuna, which does the search, is not installed.", remedy="Install the extra: pip install -e '.[search]'."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it logs every trial; the caller shows progress
    study.store.parent.mkdir(parents=True, exist_ok=True)
    kept = optuna.create_study(storage=f"sqlite:///{study.store}", study_name=study.name, load_if_exists=True)
    if study.given is not None:
        kept.enqueue_trial(study.given, skip_if_exists=True)
    return kept


def _next(study: Study, kept: optuna.Study, budget: SearchBudget) -> tuple[int, Settings] | None:
    """Number and settings of the trial that was cut off, or of a new one; None when the budget is used up."""
    from optuna.samplers import TPESampler
    from optuna.trial import TrialState

    for trial in kept.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        return trial.number, trial.params
    n_finished = len(_finished(kept))
    if n_finished >= budget.trials or _seconds(kept) >= budget.seconds:
        return None
    kept.sampler = TPESampler(seed=int(np.random.SeedSequence([study.seed, n_finished]).generate_state(1)[0]))
    asked = kept.ask({name: _distribution(part) for name, part in study.space.items()})
    return asked.number, asked.params


def _do(kept: optuna.Study, number: int, settings: Settings, objective: Callable[[Settings], float]) -> None:
    """Finishes a trial. What it took is noted first, since a trial that ended without it would be free."""
    from optuna.trial import TrialState

    started, value = time.monotonic(), float("nan")
    try:
        value = objective(settings)
    except TrainingError as error:
        logger.warning("trial %d of %s failed: %s", number, kept.study_name, error)
    kept.set_user_attr(f"{SECONDS}{number}", time.monotonic() - started)
    if np.isfinite(value):
        kept.tell(number, value)
    else:
        kept.tell(number, state=TrialState.FAIL)


def _found(study: Study, kept: optuna.Study) -> Found:
    trials = _finished(kept)
    values = {trial.number: trial.value for trial in trials if trial.value is not None}
    if not values:
        raise TrainingError(
            f"None of {len(trials)} trials gave a value.",
            remedy="The log says why; narrow the space in models/spaces.py.",
        )
    best = min(values, key=lambda number: (values[number], number))
    settings = {trial.number: trial.params for trial in trials}
    start = [values[number] for number in values if settings[number] == study.given]
    return Found(
        trials=len(trials),
        failed=len(trials) - len(values),
        seconds=round(_seconds(kept), 1),
        start=start[0] if start else None,
        best=values[best],
        settings=settings[best],
    )


def _finished(kept: optuna.Study) -> list[FrozenTrial]:
    return [trial for trial in kept.get_trials(deepcopy=False) if trial.state.is_finished()]


def _seconds(kept: optuna.Study) -> float:
    notes: Mapping[str, float] = kept.user_attrs
    return sum(seconds for key, seconds in notes.items() if key.startswith(SECONDS))


def _distribution(part: Span | Choice) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(part, Choice):
        return CategoricalDistribution(part.values)
    if isinstance(part.low, int) and isinstance(part.high, int):
        return IntDistribution(part.low, part.high, log=part.log)
    return FloatDistribution(part.low, part.high, log=part.log)
