"""What is live: serving it, asking it, looking at it and at what it stands on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from counterpoint.options import JsonOption, open_settings, show, tell
from features.settings import HostSettings

app = typer.Typer()


@app.command()
def rollback(as_json: JsonOption = False) -> None:
    """Make the previous release live again."""
    from models.release import ReleaseStore

    live = ReleaseStore(open_settings(make_folders=False).releases).rollback()
    tell(live, as_json, lambda it: typer.echo(f"Release {it.release_id} is live."))


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

    tell(recommend_here(consumer_id, k), as_json, show_answer)


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
    tell(read_status(settings), as_json, lambda state: show_status(state, settings.home))


@app.command()
def card(
    release_id: Annotated[str, typer.Argument(metavar="RELEASE", help="A release; by default the live one.")] = "",
    as_json: JsonOption = False,
) -> None:
    """What a release is for, what it rests on, how good it is and what its explanations are: its two cards."""
    from counterpoint.card import read_cards, show_cards

    tell(read_cards(open_settings(make_folders=False), release_id), as_json, show_cards)


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
