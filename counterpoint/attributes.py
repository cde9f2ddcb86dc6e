"""`counterpoint propose-attributes`: a list for guided refinement from the language model, for a person to edit."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from features.errors import InputError
from features.settings import HostSettings
from flows.recipe import Recipe


class Proposed(BaseModel):
    """What was written."""

    file: str
    """To edit, and then to name in a recipe: `attributes = "FILE"` under `[method.config]`."""
    model: str
    attributes: int
    left_out: dict[str, int]
    """Proposals that failed a gate, by which."""


def propose_attributes(settings: HostSettings, recipe: Recipe, file: Path, n: int) -> Proposed:
    """Has the host's language model asked, through the ledger, and writes what passes the gates.

    Args:
        settings: of the home.
        recipe: whose catalog and noun are meant.
        file: a new one that ends in `.toml`.
        n: how many attributes at most.

    Raises:
        InputError: the file cannot be written.
        GenerationError: too few attributes were usable.
    """
    from collections import Counter

    from features.ledger import Ledger
    from flows.ingest import preview
    from models.attributes.proposed import listed_text, propose
    from models.llm.engines import open_engine
    from models.llm.generate import generate

    if file.suffix != ".toml" or file.exists():
        raise InputError(f"The list cannot go to {file}.", "It is a new file that ends in .toml.", "Name another one.")
    _, world = preview(recipe)
    engine, many = open_engine(settings), recipe.explain.wording.many
    with Ledger(settings.ledger_url) as ledger:
        found = propose(world.catalog, many, n, engine.identity, lambda it: generate(it, engine, ledger).completions)
    try:
        file.write_text(listed_text(found, many), encoding="utf-8")
    except OSError as error:
        raise InputError(f"The list could not be written to {file}: {error}.") from error
    left_out = Counter(why.value for _, why in found.refused)
    return Proposed(file=str(file), model=found.model.name, attributes=len(found.attributes), left_out=left_out)
