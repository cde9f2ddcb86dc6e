"""Stage 4: the method, its control without explanations and the baseline, on point-in-time features."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import TypeAdapter, ValidationError

from features.contracts.numbers import check_training_set
from features.errors import SettingError
from features.prompt_texts import prompt_texts
from features.splits import SplitRule, split
from features.types import Interactions, content_hash
from features.visuals import VisualTable
from flows.artifacts import attach_plot, attach_table, in_run
from flows.curves import draw_curves
from flows.ingest import IngestResult, ingest_data
from flows.materialize import materialize_features
from flows.quality import enforce
from flows.recipe import Recipe
from flows.stage import StageResult, code_commit
from flows.workspace import Workspace
from models.base import FitReport, MethodConfig, Recommender, RunContext, TextGround, find_method

if TYPE_CHECKING:
    from features.batch import TrainingSet

CONTROL = "no_explanations"
BASELINE = "bias"
FIT = "fit.json"
"""File beside a fitted model with how the fitting went, epoch by epoch."""


class TrainResult(StageResult):
    """What was learned."""

    method: str
    n_train: int
    n_valid: int
    with_consumer_facets: float
    """Share of the training rows whose consumer had facets at the time; the others train the mask."""
    with_product_facets: float
    fits: dict[str, dict[str, float]]
    """By fitted model: epochs, seconds, best validation loss, parameters."""
    trained_hash: str


@flow(name="train")
def train(recipe: Recipe) -> TrainResult:
    """Fits the method, the control and the baseline. Raises CheckError, TrainingError."""
    return train_models(Workspace.open(), recipe)


def train_models(workspace: Workspace, recipe: Recipe) -> TrainResult:
    """The work of the flow, callable without Prefect."""
    ingested, made = ingest_data(workspace, recipe), materialize_features(workspace, recipe)
    return workspace.stages.run(
        "train",
        [ingested.data_hash, made.features_hash, recipe.method.learns(), *named_files(recipe)],
        TrainResult,
        lambda made_from: _train(workspace, recipe, ingested, made_from),
        [model_folder(workspace, name) / FIT for name in variants(recipe)],
    )


def named_files(recipe: Recipe) -> list[str]:
    """Hashes of the files that the models' settings name. Raises SettingError if settings or files do not fit."""
    return [it for _, config in variants(recipe).values() for it in config.rests_on]


def config_of(method: type[Recommender], given: dict[str, Any], section: str) -> MethodConfig:
    """A method's config with what a section of the recipe changes. Raises SettingError naming the key."""
    try:
        return method.config_type.model_validate(given)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise SettingError(f"The recipe's [method.{section}] does not fit {method.name}: {problems}.") from error


def model_folder(workspace: Workspace, name: str) -> Path:
    """Where a fitted model lies between the stages."""
    return workspace.settings.home / "trained" / name


def load_trained(workspace: Workspace, recipe: Recipe, ingested: IngestResult, name: str) -> Recommender:
    """A model that this stage fitted: the method itself, `CONTROL` or `BASELINE`."""
    method, config = variants(recipe)[name]
    return method.load(model_folder(workspace, name), config, ingested.scale)


def read_fit(workspace: Workspace, name: str) -> FitReport:
    """How the fitting of a model went."""
    return TypeAdapter(FitReport).validate_json((model_folder(workspace, name) / FIT).read_bytes())


def part_set(workspace: Workspace, ingested: IngestResult, part: str) -> TrainingSet:
    """The rows of one part with their point-in-time features.

    A training row sees what was known strictly before it; validation and test rows see what was known before the
    first of them, so that no held-out rating reaches a feature.
    """
    from features.assemble import training_set
    from features.store import FeatureRows

    frame = workspace.lake.read("interactions")
    rows = frame[split(Interactions(frame), SplitRule()) == part]
    if part != "train":
        cut = pd.Timestamp(ingested.cut_valid if part == "valid" else ingested.cut_test)
        rows = rows.assign(timestamp=cut)
    return training_set(FeatureRows(workspace.settings), rows, ingested.scale)


def variants(recipe: Recipe) -> dict[str, tuple[type[Recommender], MethodConfig]]:
    """What is fitted: the method, the same network with its explanation fields always missing, the baseline.

    Raises SettingError if the recipe's settings do not fit.
    """
    section, method, baseline = recipe.method, find_method(recipe.method.name), find_method(BASELINE)
    fitted = {section.name: (method, config_of(method, section.config, "config"))}
    if "explanations" in method.config_type.model_fields:
        without = {**section.config, **section.control, "explanations": "none"}
        fitted[CONTROL] = (method, config_of(method, without, "control"))
    return {**fitted, BASELINE: (baseline, config_of(baseline, section.baseline, "baseline"))}


@task(name="fit", cache_policy=NO_CACHE)
def fit_model(
    recommender: Recommender, like: Recommender | None, train: TrainingSet, valid: TrainingSet, run: RunContext
) -> FitReport:
    """Fits one model; a task, so that the run's page shows how long each took."""
    return recommender.fit_like(like, train, valid, run)


def text_ground(workspace: Workspace) -> TextGround:
    """The lake's texts, and the embedded model, for methods that tune a language model while they are fitted."""
    from models.llm.gguf import converted

    products, facets, pair_texts = (workspace.lake.read(name) for name in ("products", "facets", "pair_texts"))
    settings = workspace.settings
    return TextGround(
        prompt_texts(products, facets, pair_texts),
        lambda: converted(settings.models),
        settings.home / "trained" / "student",
    )


def half_done(workspace: Workspace, made_from: str) -> Path:
    """Where a killed run's trainings are kept until all are done; what other inputs or other code left there goes."""
    folder = workspace.settings.home / "trained" / "half-done"
    state = folder / content_hash(made_from, code_commit())[:16]
    for other in folder.glob("*"):
        if other != state:
            shutil.rmtree(other)
    return state


def _train(workspace: Workspace, recipe: Recipe, ingested: IngestResult, made_from: str) -> TrainResult:
    train, valid = part_set(workspace, ingested, "train"), part_set(workspace, ingested, "valid")
    enforce(check_training_set(train, ingested.cut_valid), workspace)
    state = half_done(workspace, made_from)
    run = RunContext(
        recipe.method.seed,
        recipe.method.device,
        workspace.progress,
        text_ground(workspace),
        VisualTable.of(workspace.lake.read("visuals")),
        save_seconds=60 * recipe.method.save_minutes,
    )
    fits, like = {}, None
    fit = fit_model if in_run() else fit_model.fn
    for name, (method, config) in variants(recipe).items():
        recommender = method(config, ingested.scale)
        report = fit(recommender, like, train, valid, replace(run, state=state / name))
        like = recommender
        folder = model_folder(workspace, name)
        folder.mkdir(parents=True, exist_ok=True)
        recommender.save(folder)
        (folder / FIT).write_bytes(TypeAdapter(FitReport).dump_json(report))
        fits[name] = {
            "epochs": float(report.epochs),
            "best_epoch": float(report.best_epoch),
            "valid_loss": round(min(report.valid_loss, default=float("nan")), 5),
            "seconds": round(report.seconds, 1),
            "parameters": float(report.n_parameters),
        }
    _attach_fits(workspace, fits)
    shutil.rmtree(state, ignore_errors=True)
    return TrainResult(
        method=recipe.method.name,
        n_train=len(train),
        n_valid=len(valid),
        with_consumer_facets=round(float((train.batch.consumers.facet_codes.index >= 0).mean()), 4),
        with_product_facets=round(float((train.batch.products.facet_codes.index >= 0).mean()), 4),
        fits=fits,
        trained_hash=made_from,
    )


def _attach_fits(workspace: Workspace, fits: dict[str, dict[str, float]]) -> None:
    """Attaches to the run what fitting took, and the losses by epoch."""
    attach_table("fits", [{"model": name, **fit} for name, fit in fits.items()])
    plot = workspace.settings.reports / "curves.png"
    plot.parent.mkdir(parents=True, exist_ok=True)
    plot.write_bytes(draw_curves({name: read_fit(workspace, name) for name in fits}))
    attach_plot("curves", plot)
