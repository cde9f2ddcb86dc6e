"""The commands. Each is a thin shell around a flow, the service or a store; heavy imports happen inside.

Exit codes: 0 done, 1 something failed, 2 the input or a setting cannot be used. Errors raised on purpose are
printed as their message, without a traceback.
"""

from __future__ import annotations

import atexit
import errno
import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from counterpoint.keys import app as keys_app
from features.errors import CounterpointError
from features.settings import HostSettings

if TYPE_CHECKING:
    from pydantic import BaseModel

    from flows.recipe import Recipe

app = typer.Typer(
    name="counterpoint",
    help="Recommendations that argue both sides.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(keys_app)

UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}
WHERE = "Correct its permissions or free space, or let COUNTERPOINT_HOME name another folder."

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
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        typer.secho(
            f"{error.filename or 'A file'} cannot be written or read: {error.strerror}.\n{WHERE}",
            err=True,
            fg=typer.colors.RED,
        )
        sys.exit(1)
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


def open_settings(make_folders: bool = True) -> HostSettings:
    """Reads the host settings and prepares the environment of the libraries."""
    from flows.workspace import prepare_environment

    settings = HostSettings.from_environment()
    prepare_environment(settings, make_folders)
    return settings


def open_to_write() -> HostSettings:
    """As `open_settings`, for what runs a flow. Raises StoreError on a full disk."""
    from flows.workspace import require_room

    settings = open_settings()
    require_room(settings)
    return settings


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
    settings = open_to_write()  # before the flow's libraries are imported: they read their environment then
    from flows.recipe import choose_recipe

    flow = getattr(import_module(f"flows.{stage}"), stage)
    chosen = choose_recipe(settings.home, recipe, data, interactions, catalog, mapping)
    show(flow(chosen.within(max_calls, max_tokens)), as_json)


def look_only(recipe: str, data: str) -> tuple[HostSettings, Recipe]:
    """The settings and the recipe of a command that runs no flow; nothing is made or remembered."""
    settings = open_settings(make_folders=False)
    from flows.recipe import choose_recipe

    return settings, choose_recipe(settings.home, recipe, data, "", "", "", remember=False)


def show(result: BaseModel, as_json: bool) -> None:
    """Prints what was done."""
    if as_json:
        typer.echo(result.model_dump_json(indent=1))
    else:
        from counterpoint.show import show_result

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

    plan = read_plan(settings, chosen.within(max_calls, max_tokens))
    return typer.echo(plan.model_dump_json(indent=1)) if as_json else show_plan(plan)


@app.command()
def export_requests(
    file: Annotated[Path, typer.Argument(help="Where to write them, one JSON object a line.")],
    model: Annotated[str, typer.Option(help="The model that will answer them elsewhere.")],
    revision: Annotated[str, typer.Option(help="Its revision; another one asks everything again.")] = "unknown",
    batch: Annotated[bool, typer.Option("--batch", help="Write the lines of an OpenAI or vLLM batch job.")] = False,
    recipe: RecipeOption = "",
    data: DataOption = "",
    as_json: JsonOption = False,
) -> None:
    """Write the requests that have no answer yet, to be answered on another machine."""
    settings, chosen = look_only(recipe, data)
    from counterpoint.elsewhere import export_requests as export

    show(export(settings, chosen, file, model, revision, batch), as_json)


@app.command()
def import_texts(
    file: Annotated[Path, typer.Argument(help="Answers, one JSON object a line.")],
    recipe: RecipeOption = "",
    data: DataOption = "",
    as_json: JsonOption = False,
) -> None:
    """Check texts that were generated elsewhere and keep them in the ledger."""
    settings, chosen = look_only(recipe, data)
    from counterpoint.elsewhere import import_texts as take_in

    show(take_in(settings, chosen, file), as_json)


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
    settings = open_to_write()
    from counterpoint.show import show_quality
    from flows.evaluate_explanations import evaluate_explanations as flow
    from flows.recipe import choose_recipe

    judged = flow(choose_recipe(settings.home, recipe, data, "", "", ""), pairs)
    if as_json:
        typer.echo(judged.model_dump_json(indent=1))
    else:
        show_quality(judged)


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
    settings = open_to_write()
    from counterpoint.show import show_search
    from flows.recipe import choose_recipe
    from flows.search import search_settings

    found = search_settings(choose_recipe(settings.home, recipe, data, "", "", ""), trials, seconds, out)
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
    else:
        show_search(found)


@app.command()
def release(recipe: RecipeOption = "", data: DataOption = "", as_json: JsonOption = False) -> None:
    """Pass the gate, bind model, features and texts into a release and make it live."""
    do_stage("release", as_json, recipe, data)


@app.command()
def refresh(recipe: RecipeOption = "", data: DataOption = "", as_json: JsonOption = False) -> None:
    """Read the source again and remake only what changed: texts, features, online rows; the model stays."""
    do_stage("refresh", as_json, recipe, data)


@app.command()
def rollback(as_json: JsonOption = False) -> None:
    """Make the previous release live again."""
    from models.release import ReleaseStore

    live = ReleaseStore(open_settings(make_folders=False).releases).rollback()
    typer.echo(live.model_dump_json(indent=1) if as_json else f"Release {live.release_id} is live.")


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 3000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    workers: Annotated[int, typer.Option(min=1, help="Processes that answer, each with the products in memory.")] = 1,
) -> None:
    """Serve the live release over HTTP; on other than loopback addresses only once there are API keys."""
    from counterpoint.server import serve_here

    serve_here(open_settings(), host, port, workers)


@app.command()
def recommend(
    consumer_id: Annotated[str, typer.Argument(help="Whom to recommend to; an unknown id is a cold consumer.")],
    k: Annotated[int, typer.Option("-k", help="How many products.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Recommend from the live release in this process, with the reasons for and against."""
    open_settings(make_folders=False)
    from counterpoint.recommend import recommend_here
    from counterpoint.show import show_answer

    answer = recommend_here(consumer_id, k)
    if as_json:
        typer.echo(answer.model_dump_json(indent=1))
    else:
        show_answer(answer)


@app.command()
def replay(
    recommendation_id: Annotated[str, typer.Argument(help="Of an answer that was recorded (COUNTERPOINT_AUDIT).")],
    as_json: JsonOption = False,
) -> None:
    """Make a recorded answer again from its features and its release; fails if it is not the same byte for byte."""
    settings = open_settings(make_folders=False)
    from services.replay import replay_here

    replayed = replay_here(settings, recommendation_id)
    show(replayed, as_json)
    if not replayed.identical:
        raise typer.Exit(1)


@app.command()
def score(
    consumers: Annotated[str, typer.Option(help="`all`, or a file of ids: CSV, Parquet, or one per line.")],
    out: Annotated[Path, typer.Option(help="Where the scores go: .parquet or .csv.")],
    products: Annotated[str, typer.Option(help="`all`, or a file of ids like that of consumers.")] = "all",
    k: Annotated[int, typer.Option("-k", "--k", help="How many products to keep of each consumer; 0 is all.")] = 0,
    exclude_seen: Annotated[bool, typer.Option("--exclude-seen", help="Leave out what a consumer had lately.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Score a consumer set with the live release, as the endpoint would; goes on where it was stopped."""
    settings = open_settings(make_folders=False)
    from counterpoint.score import score_here

    show(score_here(settings, consumers, products, out, k, exclude_seen), as_json)


@app.command()
def status(as_json: JsonOption = False) -> None:
    """What was done, what it cost, and which release is live."""
    from counterpoint.status import show_status
    from models.status import read_status

    settings = open_settings(make_folders=False)
    state = read_status(settings)
    if as_json:
        typer.echo(state.model_dump_json(indent=1))
    else:
        show_status(state, settings.home)


@app.command()
def card(
    release_id: Annotated[str, typer.Argument(metavar="RELEASE", help="A release; by default the live one.")] = "",
    as_json: JsonOption = False,
) -> None:
    """What a release is for, what it rests on, how good it is and what its explanations are: its two cards."""
    from counterpoint.card import read_cards, show_cards

    cards = read_cards(open_settings(make_folders=False), release_id)
    if as_json:
        typer.echo(cards.model_dump_json(indent=1))
    else:
        show_cards(cards)


@app.command()
def propose_attributes(
    file: Annotated[Path, typer.Argument(help="Where the list goes: a new file that ends in .toml.")],
    n: Annotated[int, typer.Option("-n", "--n", help="How many attributes at most.", min=2, max=16)] = 12,
    recipe: RecipeOption = "",
    data: DataOption = "",
    as_json: JsonOption = False,
) -> None:
    """Have the language model propose attributes for guided refinement from the catalog, for a person to edit."""
    settings = open_settings()
    from counterpoint.attributes import propose_attributes as propose
    from flows.recipe import choose_recipe

    chosen = choose_recipe(settings.home, recipe, data, "", "", "", remember=False)
    show(propose(settings, chosen, file, n), as_json)


@app.command()
def tune_explainer(
    out: Annotated[Path, typer.Option(help="Folder the adapter goes to.")],
    seed: Annotated[int, typer.Option(help="Of the examples and of the training.")] = 0,
    examples: Annotated[
        int, typer.Option(help="To learn from at most; 0 is 1200 sentences, or all instructions.", min=0)
    ] = 0,
    instructions: Annotated[
        Path | None, typer.Option(help="JSON lines of instruction, input and output to learn from instead.")
    ] = None,
) -> None:
    """Tune the embedded language model to word facts or follow instructions. Goes on where it stopped."""
    from counterpoint.tune import instruct_here, tune_here

    if instructions is None:
        tune_here(open_settings(), out, seed, examples)
    else:
        instruct_here(open_settings(), out, seed, instructions, examples)


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
