"""The language model's side: requests answered elsewhere, attributes proposed, the model tuned."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from counterpoint.options import DataOption, JsonOption, RecipeOption, look_only, open_settings, show

app = typer.Typer()


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
