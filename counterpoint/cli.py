"""The commands. Each is a thin shell around a flow, the service or a store; heavy imports happen inside.

Exit codes: 0 done, 1 something failed, 2 the input or a setting cannot be used. Errors raised on purpose are
printed as their message, without a traceback.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.errors import CounterpointError
from features.settings import HostSettings

if TYPE_CHECKING:
    from flows.recipe import Recipe
    from flows.stage import StageResult

app = typer.Typer(
    name="counterpoint",
    help="Recommendations that argue both sides.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

RecipeOption = Annotated[str, typer.Option("--recipe", help="A recipe's name (ml-100k/lr_recsys) or its path.")]
DataOption = Annotated[str, typer.Option("--data", help="Folder with the data, in the recipe's layout.")]
InteractionsOption = Annotated[str, typer.Option("--interactions", help="Own interactions: CSV, Parquet, JSON lines.")]
CatalogOption = Annotated[str, typer.Option("--catalog", help="Own catalog: CSV, Parquet, JSON lines.")]
MappingOption = Annotated[str, typer.Option("--mapping", help="TOML or JSON file that names their columns.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def main() -> None:
    """Entry point of the `counterpoint` command."""
    atexit.register(_end_quietly)
    try:
        app()
    except CounterpointError as error:
        typer.secho(str(error), fg=typer.colors.RED, err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.secho("Stopped. What was received is kept; the same command goes on from here.", err=True)
        sys.exit(1)


def _end_quietly() -> None:
    """Drops what libraries write while the interpreter ends.

    DuckDB lists "leaked" functions and Prefect's temporary server what it no longer flushed; neither means anything
    to the reader. Registered first, so this runs last, when all of our own output is out.
    """
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def open_settings() -> HostSettings:
    """Reads the host settings and prepares the environment of the libraries."""
    from flows.workspace import prepare_environment

    settings = HostSettings.from_environment()
    prepare_environment(settings)
    return settings


def choose_recipe(recipe: str, data: str = "", interactions: str = "", catalog: str = "", mapping: str = "") -> Recipe:
    """The recipe of the arguments, or the one this home was last run with."""
    from flows.recipe import choose_recipe as choose

    return choose(HostSettings.from_environment().home, recipe, data, interactions, catalog, mapping)


def report(result: StageResult, as_json: bool) -> None:
    """Prints what a stage returned."""
    from counterpoint.show import show_result

    if as_json:
        typer.echo(result.model_dump_json(indent=1))
    else:
        show_result(result)


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
    open_settings()
    chosen = choose_recipe(recipe, data, interactions, catalog, mapping)
    from flows.run import run as run_flow

    report(run_flow(chosen), as_json)


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
    open_settings()
    chosen = choose_recipe(recipe, data, interactions, catalog, mapping)
    from flows.ingest import ingest as flow

    report(flow(chosen), as_json)


@app.command()
def explain(recipe: RecipeOption = "", data: DataOption = "", as_json: JsonOption = False) -> None:
    """Gather facts and have the language model argue for and against."""
    open_settings()
    chosen = choose_recipe(recipe, data)
    from flows.explain import explain as flow

    report(flow(chosen), as_json)


@app.command()
def materialize(recipe: RecipeOption = "", data: DataOption = "", as_json: JsonOption = False) -> None:
    """Embed the texts, build the feature tables and fill the online store."""
    open_settings()
    chosen = choose_recipe(recipe, data)
    from flows.materialize import materialize as flow

    report(flow(chosen), as_json)


@app.command()
def train(recipe: RecipeOption = "", data: DataOption = "", as_json: JsonOption = False) -> None:
    """Fit the method, its control without explanations and the baseline on point-in-time features."""
    open_settings()
    chosen = choose_recipe(recipe, data)
    from flows.train import train as flow

    report(flow(chosen), as_json)


@app.command()
def evaluate(recipe: RecipeOption = "", data: DataOption = "", as_json: JsonOption = False) -> None:
    """Score the held-out interactions, with and without explanations."""
    open_settings()
    chosen = choose_recipe(recipe, data)
    from flows.evaluate import evaluate as flow

    report(flow(chosen), as_json)


@app.command()
def evaluate_explanations(
    recipe: RecipeOption = "",
    data: DataOption = "",
    pairs: Annotated[int, typer.Option(help="How many held-out pairs are judged.")] = 300,
    as_json: JsonOption = False,
) -> None:
    """Judge the published texts: grounded, recognisable, faithful, varied; beside texts that know nothing."""
    open_settings()
    chosen = choose_recipe(recipe, data)
    from counterpoint.show import show_quality
    from flows.evaluate_explanations import evaluate_explanations as flow

    judged = flow(chosen, pairs)
    if as_json:
        typer.echo(judged.model_dump_json(indent=1))
    else:
        show_quality(judged)


@app.command()
def release(recipe: RecipeOption = "", data: DataOption = "", as_json: JsonOption = False) -> None:
    """Pass the gate, bind model, features and texts into a release and make it live."""
    open_settings()
    chosen = choose_recipe(recipe, data)
    from flows.release import release as flow

    report(flow(chosen), as_json)


@app.command()
def rollback(as_json: JsonOption = False) -> None:
    """Make the previous release live again."""
    from models.release import ReleaseStore

    live = ReleaseStore(open_settings().releases).rollback()
    typer.echo(live.model_dump_json(indent=1) if as_json else f"Release {live.release_id} is live.")


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 3000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve the live release over HTTP."""
    from counterpoint.server import serve_here

    serve_here(open_settings(), host, port)


@app.command()
def recommend(
    consumer_id: Annotated[str, typer.Argument(help="Whom to recommend to; an unknown id is a cold consumer.")],
    k: Annotated[int, typer.Option("-k", help="How many products.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Recommend from the live release in this process, with the reasons for and against."""
    open_settings()
    from counterpoint.show import show_answer
    from services.recommend import open_live

    answer = open_live().recommend(consumer_id, history=None, k=k, exclude_ids=(), exclude_seen=True)
    if as_json:
        typer.echo(answer.model_dump_json(indent=1))
    else:
        show_answer(answer)


@app.command()
def status(as_json: JsonOption = False) -> None:
    """What was done, what it cost, and which release is live."""
    from counterpoint.status import read_status, show_status

    state = read_status(open_settings())
    if as_json:
        typer.echo(state.model_dump_json(indent=1))
    else:
        show_status(state)


@app.command()
def tune_explainer(
    out: Annotated[Path, typer.Option(help="Folder the adapter goes to.")],
    seed: Annotated[int, typer.Option(help="Of the examples and of the training.")] = 0,
    examples: Annotated[int, typer.Option(help="Sentences to learn from.")] = 1200,
) -> None:
    """Tune the embedded language model to word facts (needs the extra `tune`). Goes on where it stopped."""
    from counterpoint.tune import tune_here

    tune_here(open_settings(), out, seed, examples)


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """What is installed, which stores and models are in use, what is missing and how to get it."""
    from rich.console import Console

    from counterpoint.doctor import as_json as to_json
    from counterpoint.doctor import diagnose, render

    diagnoses = diagnose(HostSettings.from_environment())
    if as_json:
        typer.echo(json.dumps(to_json(diagnoses), indent=1))
    else:
        Console().print(render(diagnoses))
    if any(item.status == "missing" for item in diagnoses):
        raise typer.Exit(1)
