"""What the commands share: their options, the home they open, and how a result is printed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from features.settings import HostSettings

if TYPE_CHECKING:
    from pydantic import BaseModel

    from flows.recipe import Recipe

Result = TypeVar("Result", bound="BaseModel")

RecipeOption = Annotated[str, typer.Option("--recipe", help="A recipe's name (ml-100k/lr_recsys) or its path.")]
DataOption = Annotated[str, typer.Option("--data", help="Folder with the data, in the recipe's layout.")]
InteractionsOption = Annotated[str, typer.Option("--interactions", help="Own interactions: CSV, Parquet, JSON lines.")]
CatalogOption = Annotated[str, typer.Option("--catalog", help="Own catalog: CSV, Parquet, JSON lines.")]
MappingOption = Annotated[str, typer.Option("--mapping", help="TOML or JSON file that names their columns.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


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


def look_only(recipe: str, data: str) -> tuple[HostSettings, Recipe]:
    """The settings and the recipe of a command that runs no flow; nothing is made or remembered."""
    settings = open_settings(make_folders=False)
    from flows.recipe import choose_recipe

    return settings, choose_recipe(settings.home, recipe, data, "", "", "", remember=False)


def show(result: BaseModel, as_json: bool) -> None:
    """Prints what was done."""
    from counterpoint.show import show_result

    tell(result, as_json, show_result)


def tell(result: Result, as_json: bool, in_words: Callable[[Result], None]) -> None:
    """Prints a result as JSON, or as what is made for people to read."""
    if as_json:
        typer.echo(result.model_dump_json(indent=1))
    else:
        in_words(result)
