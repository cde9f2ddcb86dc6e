"""Hyper-parameters chosen on the validation part, for the method, its control and the baseline under one budget.

The test part is never read. Every model is searched by itself, from the same seed, with the same number of trials and
seconds, so that none of them is favoured; a method and its control also share their space.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import flow

from features.errors import InputError, SettingError
from features.types import RatingScale, content_hash
from flows.artifacts import attach_table, attach_text
from flows.ingest import ingest_data
from flows.materialize import materialize_features
from flows.recipe import Recipe
from flows.stage import StageResult, code_commit
from flows.train import BASELINE, CONTROL, part_set, variants
from flows.workspace import Workspace
from models.base import MethodConfig, Recommender, RunContext
from models.metrics.rating import rmse
from models.search import Found, SearchBudget, Settings, Study, search
from models.spaces import SPACES

if TYPE_CHECKING:
    from features.batch import TrainingSet

METRIC = "RMSE in stars on the validation part"


class Searched(StageResult):
    """One model's search."""

    trials: int
    failed: int
    seconds: float
    """Of all trials so far, those of stopped runs included."""
    start: float | None
    """The metric with the recipe's settings; None if they lie outside what is searched."""
    best: float
    settings: dict[str, Any]
    """What reached it; the other settings stay as the recipe has them."""


class SearchResult(StageResult):
    """What was found, and the recipe that uses it."""

    metric: str
    searched: dict[str, Searched]
    out: str
    """File that the recipe was written to; empty if none was named."""
    recipe: str
    """The recipe with the best settings, as TOML."""


@flow(name="search")
def search_settings(recipe: Recipe, trials: int, seconds: float = 0.0, out: str = "") -> SearchResult:
    """Searches and, if a file is named, writes the recipe. Raises InputError, SettingError, TrainingError."""
    workspace = Workspace.open()
    with workspace.alone():
        return search_recipe(workspace, recipe, trials, seconds, out)


def search_recipe(
    workspace: Workspace, recipe: Recipe, trials: int, seconds: float = 0.0, out: str = ""
) -> SearchResult:
    """The work of the flow, callable without Prefect.

    Args:
        workspace: the home; its features are made first, if they are not there.
        recipe: what is trained; its settings are tried first.
        trials: of each model.
        seconds: of each model's trials together; 0 is no limit.
        out: file the recipe goes to.
    """
    found = search_models(workspace, recipe, SearchBudget(trials, seconds or float("inf")))
    text = as_toml(with_settings(recipe, {name: it.settings for name, it in found.items()}))
    if out:
        _write(Path(out), text)
    searched = {name: Searched(**vars(it)) for name, it in found.items()}
    attach_table("search", [{"model": name, **it.model_dump()} for name, it in searched.items()])
    attach_text("found-recipe", f"```toml\n{text}```")
    return SearchResult(metric=METRIC, searched=searched, out=out, recipe=text)


def search_models(workspace: Workspace, recipe: Recipe, budget: SearchBudget) -> dict[str, Found]:
    """Searches each model that has a space. Raises SettingError if none has."""
    ingested, made = ingest_data(workspace, recipe), materialize_features(workspace, recipe)
    train, valid = part_set(workspace, ingested, "train"), part_set(workspace, ingested, "valid")
    run, found = RunContext(seed=recipe.method.seed, device=recipe.method.device), {}
    for name, (method, config) in variants(recipe).items():
        if space := SPACES.get(method.name):
            rests_on = (ingested.data_hash, made.features_hash, config.model_dump(), run.seed, repr(space))
            study = Study(
                store=workspace.settings.home / "search" / "studies.sqlite",
                name=f"{name} {content_hash(*rests_on, code_commit())}",
                space=space,
                start=config.model_dump(),
                seed=run.seed,
            )
            objective = _objective(method, config, ingested.scale, train, valid, run)
            found[name] = search(study, objective, budget, workspace.progress, f"search {name}")
    if not found:
        raise SettingError(f"There is nothing to search: {recipe.method.name} declares no space (models/spaces.py).")
    return found


def with_settings(recipe: Recipe, found: dict[str, Settings]) -> Recipe:
    """The recipe with settings by model; those it had stay where nothing was found."""
    section = recipe.method
    changed = {
        "config": {**section.config, **found.get(section.name, {})},
        "control": {**section.control, **found.get(CONTROL, {})},
        "baseline": {**section.baseline, **found.get(BASELINE, {})},
    }
    return recipe.model_copy(update={"method": section.model_copy(update=changed)})


def as_toml(recipe: Recipe) -> str:
    """The recipe as its file: what differs from the defaults."""
    import tomli_w

    return tomli_w.dumps(recipe.model_dump(mode="json", exclude_defaults=True))


def _objective(
    method: type[Recommender],
    config: MethodConfig,
    scale: RatingScale,
    train: TrainingSet,
    valid: TrainingSet,
    run: RunContext,
) -> Callable[[Settings], float]:
    """The metric as a function of settings; what no setting changes is learned once."""
    first: list[Recommender] = []

    def measure(settings: Settings) -> float:
        recommender = method(type(config).model_validate({**config.model_dump(), **settings}), scale)
        recommender.fit_like(first[0] if first else None, train, valid, run)
        first[:] = first or [recommender]
        return rmse(valid.rating, recommender.score(valid.batch).rating)

    return measure


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"The recipe could not be written to {path}: {error}.", remedy="Give another --out."
        ) from error
