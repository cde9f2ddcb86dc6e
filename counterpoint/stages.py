"""From files to a release: the commands that run flows, each by itself or all of them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from counterpoint.options import (
    CatalogOption,
    DataOption,
    InteractionsOption,
    JsonOption,
    MappingOption,
    RecipeOption,
    look_only,
    open_to_write,
    show,
    tell,
)

if TYPE_CHECKING:
    from flows.recipe import Recipe

app = typer.Typer()


def do_stage(
    stage: str,
    as_json: bool,
    recipe: str,
    data: str,
    interactions: str = "",
    catalog: str = "",
    mapping: str = "",
    max_calls: int | None = None,
    max_tokens: int | None = None,
) -> None:
    """Runs the flow `flows.<stage>.<stage>` and prints its result.

    The recipe is the one of the arguments, or the one this home was last run with; a budget holds for this run alone.
    """
    chosen = choose(recipe, data, interactions, catalog, mapping)
    show(ready_flow(stage, stage)(chosen.within(max_calls, max_tokens)), as_json)


def choose(recipe: str, data: str, interactions: str = "", catalog: str = "", mapping: str = "") -> Recipe:
    """The recipe of a flow that is to run in this home, which remembers it."""
    settings = open_to_write()  # before the flow's libraries are imported: they read their environment then
    from flows.recipe import choose_recipe

    return choose_recipe(settings.home, recipe, data, interactions, catalog, mapping)


def ready_flow(module: str, name: str) -> Callable[..., Any]:
    """The flow `flows.<module>.<name>`, ready to run. It loads for ten seconds, so look at what was given first."""
    from flows.attended import start_server

    flow: Callable[..., Any] = getattr(import_module(f"flows.{module}"), name)
    start_server()
    return flow


@app.command()
def demo() -> None:
    """Run the whole job on the built-in world, then ask the service for one consumer's recommendations."""
    from counterpoint.demo import run_demo

    run_demo()


@app.command()
def run(
    recipe: RecipeOption = "",
    data: DataOption = "",
    interactions: InteractionsOption = "",
    catalog: CatalogOption = "",
    mapping: MappingOption = "",
    as_json: JsonOption = False,
) -> None:
    """Do the whole job: ingest, explain, materialize, train, evaluate, release. Resumes where it stopped."""
    do_stage("run", as_json, recipe, data, interactions, catalog, mapping)


@app.command()
def ingest(
    recipe: RecipeOption = "",
    data: DataOption = "",
    interactions: InteractionsOption = "",
    catalog: CatalogOption = "",
    mapping: MappingOption = "",
    as_json: JsonOption = False,
) -> None:
    """Read and check the interactions and the catalog."""
    do_stage("ingest", as_json, recipe, data, interactions, catalog, mapping)


@app.command()
def explain(
    recipe: RecipeOption = "",
    data: DataOption = "",
    max_calls: Annotated[int | None, typer.Option(help="Most model calls of this run; 0 is no limit.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Most tokens of this run; 0 is no limit.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and its cost; ask and write nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Gather facts and have the language model argue for and against, most valuable texts first."""
    if not dry_run:
        return do_stage("explain", as_json, recipe, data, max_calls=max_calls, max_tokens=max_tokens)
    settings, chosen = look_only(recipe, data)
    from counterpoint.plan import read_plan, show_plan

    return tell(read_plan(settings, chosen.within(max_calls, max_tokens)), as_json, show_plan)


@app.command()
def materialize(recipe: RecipeOption = "", data: DataOption = "", as_json: JsonOption = False) -> None:
    """Embed the texts, build the feature tables and fill the online store."""
    do_stage("materialize", as_json, recipe, data)


@app.command()
def train(recipe: RecipeOption = "", data: DataOption = "", as_json: JsonOption = False) -> None:
    """Fit the method, its control without explanations and the baseline on point-in-time features."""
    do_stage("train", as_json, recipe, data)


@app.command()
def evaluate(recipe: RecipeOption = "", data: DataOption = "", as_json: JsonOption = False) -> None:
    """Score the held-out interactions, with and without explanations."""
    do_stage("evaluate", as_json, recipe, data)


@app.command()
def evaluate_explanations(
    recipe: RecipeOption = "",
    data: DataOption = "",
    pairs: Annotated[int, typer.Option(help="How many held-out pairs are judged.")] = 300,
    as_json: JsonOption = False,
) -> None:
    """Judge the published texts: grounded, recognisable, faithful, varied; beside texts that know nothing."""
    chosen = choose(recipe, data)
    from counterpoint.show import show_quality

    judge = ready_flow("evaluate_explanations", "evaluate_explanations")
    tell(judge(chosen, pairs), as_json, show_quality)


@app.command()
def search(
    trials: Annotated[int, typer.Option(help="Most settings tried, of each model.")] = 30,
    seconds: Annotated[float, typer.Option(help="Most seconds of trials, of each model; 0 is no limit.")] = 0.0,
    out: Annotated[str, typer.Option(help="File the recipe with the best settings goes to.")] = "",
    recipe: RecipeOption = "",
    data: DataOption = "",
    as_json: JsonOption = False,
) -> None:
    """Choose settings on the validation part, for method, control and baseline under one budget; goes on if stopped."""
    chosen = choose(recipe, data)
    from counterpoint.show import show_search

    tell(ready_flow("search", "search_settings")(chosen, trials, seconds, out), as_json, show_search)


@app.command()
def release(recipe: RecipeOption = "", data: DataOption = "", as_json: JsonOption = False) -> None:
    """Pass the gate, bind model, features and texts into a release and make it live."""
    do_stage("release", as_json, recipe, data)


@app.command()
def refresh(recipe: RecipeOption = "", data: DataOption = "", as_json: JsonOption = False) -> None:
    """Read the source again and remake only what changed: texts, features, online rows; the model stays."""
    do_stage("refresh", as_json, recipe, data)
