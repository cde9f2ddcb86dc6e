"""`counterpoint keys`: API keys of the service, made, listed and revoked; a running service follows within a second."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from features.settings import ServeSettings

if TYPE_CHECKING:
    from services.keys import KeyFile

app = typer.Typer(name="keys", help="API keys of the service: new, list, revoke.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="What the key is called; it stands in the service's answers.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def open_keys() -> KeyFile:
    """The key file of this host."""
    from services.keys import KeyFile

    return KeyFile(ServeSettings.from_environment().keys)


@app.command()
def new(
    name: NameArgument,
    role: Annotated[list[str], typer.Option(help="serve, feedback, erase or admin; give it once for each.")],
    rate: Annotated[float, typer.Option(help="Requests a second; 0 is COUNTERPOINT_RATE of the service.")] = 0.0,
) -> None:
    """Make a key and print it, this once: only its hash is kept."""
    from features.errors import InputError
    from services.keys import Role

    try:
        roles = tuple(Role(it) for it in dict.fromkeys(role))
    except ValueError as error:
        raise InputError(f"{error}.", f"The roles are {', '.join(Role)}.") from error
    keys = open_keys()
    typer.echo(keys.new(name, roles, rate or None))
    typer.echo(f"Kept as a hash in {keys.path}. The key itself is not to be had again.", err=True)


@app.command(name="list")
def list_keys(as_json: JsonOption = False) -> None:
    """Print every key's name, roles, rate and day of making."""
    file = open_keys()
    keys = file.keys()
    if as_json:
        typer.echo(json.dumps([key.model_dump(mode="json", exclude={"sha256"}) for key in keys], indent=1))
        return
    for key in keys:
        rate = f"{key.rate:g}/s" if key.rate else "-"
        typer.echo(f"{key.name:24} {','.join(key.roles):24} {rate:8} {key.created_at:%Y-%m-%d}")
    if not keys:
        who = "nobody may call" if file.exists else "the service answers callers on its own machine only"
        typer.echo(f"There are no keys: {who}.")


@app.command()
def revoke(name: NameArgument) -> None:
    """Take a key away; nobody is let in by it a second later."""
    open_keys().revoke(name)
    typer.echo(f"The key {name} is revoked.")
