"""A recipe: one run's choices, read from `deployments/recipes/<dataset>/<method>.toml`. Unknown keys are errors."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from features.batch import N_FACETS
from features.errors import InputError, SettingError
from features.freshness import DebounceRule
from features.wording import Wording
from models.explanations.entailment import EntailmentConfig
from models.llm.generate import Budget

if TYPE_CHECKING:
    from features.readers.dataset import Dataset

RECIPES = Path(__file__).resolve().parent.parent / "deployments" / "recipes"
REMEMBERED = "recipe.json"
"""File of a home with the recipe it was last run with."""
READ_AT_ONCE = 20_000_000
"""Bytes of files that are read when they are named: about two seconds, where a flow begins after ten or more."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSection(_Section):
    """Where the interactions and the catalog come from."""

    name: str
    """Name of the dataset in reports."""
    layout: str
    """One of the readers' layouts (`docs/data.md`), or `world` for the built-in one."""
    folder: str = ""
    """Folder of a known layout; usually given on the command line (`--data`)."""
    interactions: str = ""
    """Layout `tables`: the file of interactions."""
    catalog: str = ""
    """Layout `tables`: the file of products."""
    mapping: str = ""
    """Layout `tables`: TOML or JSON file that names the columns; guessed where empty."""
    images: str = ""
    """Folder of images named by product id, which COUNTERPOINT_IMAGE_MODEL then turns into what products look like, in
    the place of what the layout says of it; empty where there are none."""
    n_consumers: int = 300
    """Layout `world`: how many consumers."""
    n_products: int = 200
    """Layout `world`: how many products."""
    n_interactions: int = 6000
    """Layout `world`: how many interactions."""
    seed: int = 0
    """Layout `world`: its seed."""

    def files(self) -> list[Path]:
        """Those that it names and that are there, images aside; of a folder all that lie in it."""
        files = [Path(name) for name in (self.interactions, self.catalog, self.mapping) if name]
        if self.folder and Path(self.folder).is_dir():
            files += sorted(Path(self.folder).iterdir())
        return [path for path in files if path.is_file()]

    def read(self) -> Dataset:
        """What the files say. Raises InputError where they cannot be used, or none are named."""
        from features.readers.registry import read_dataset

        source = self.interactions or self.folder
        if not source:
            raise InputError(f"The recipe names no data for {self.name!r}.", remedy="Give --data DIR.")
        catalog, mapping = (Path(name) if name else None for name in (self.catalog, self.mapping))
        return read_dataset(self.layout, Path(source), catalog=catalog, mapping=mapping)


class ExplainSection(_Section):
    """What the language model is asked."""

    evidence_share: float = Field(default=0.6, gt=0, le=1)
    """Share of each entity's training interactions, in order of time, that its facts rest on; the later ones
    train the ranker on features that were known before them."""
    n_per_stance: int = Field(default=2, ge=1, le=4)
    """Facets asked per entity and stance."""
    n_pairs: int = Field(default=0, ge=0)
    """Training pairs for which both texts are bought from the model (pair granularity)."""
    n_preferences: int = Field(default=0, ge=0, le=N_FACETS)
    """Preferences that the model words from the titles each consumer liked (LANE's way), in the place of the facets
    that attract them; 0 leaves the facets. For a model that knows the things by their titles, not the embedded one."""
    wording: Wording = Wording()
    """What the dataset's people call its products (`movies`)."""
    entailment: EntailmentConfig = EntailmentConfig()
    """A model that judges whether claims follow from their facts, stricter than the gates; none by default."""
    debounce: DebounceRule = DebounceRule()
    """How much may happen to a consumer before their facts, and so their texts, are made again."""
    max_calls: int = Field(default=0, ge=0)
    """Budget of model calls for one run; 0 is no limit. The most valuable come first, the next run goes on."""
    max_tokens: int = Field(default=0, ge=0)
    """Budget of tokens (of prompts and answers) for one run; 0 is no limit."""
    shard_size: int = Field(default=2000, ge=1)
    """Requests per Prefect task."""

    @property
    def budget(self) -> Budget:
        """What one run may buy."""
        return Budget(calls=self.max_calls or None, tokens=self.max_tokens or None)

    def asks(self) -> dict[str, Any]:
        """The settings that decide what is asked; the others only say how much of it at once."""
        return self.model_dump(exclude={"max_calls", "max_tokens", "shard_size"})


class MethodSection(_Section):
    """The method and what differs from its config's defaults."""

    name: str = "lr_recsys"
    config: dict[str, Any] = Field(default_factory=dict)
    control: dict[str, Any] = Field(default_factory=dict)
    """What the control without explanations has other than the method, where it was searched by itself."""
    baseline: dict[str, Any] = Field(default_factory=dict)
    """The same for the bias baseline, other than its defaults."""
    seed: int = 0
    device: Literal["cpu", "cuda"] = "cpu"
    save_minutes: float = Field(default=5.0, ge=0)
    """Between two writes of a half-done training's state, from which a killed run goes on."""

    def learns(self) -> dict[str, Any]:
        """The settings that decide what is learned."""
        return self.model_dump(exclude={"save_minutes"})


class GateSection(_Section):
    """When a trained model may go live."""

    tolerance: float = 0.02
    """How much worse than the bias baseline or the live release (share of RMSE) is still accepted."""


class Recipe(_Section):
    """One run."""

    data: DataSection
    explain: ExplainSection = ExplainSection()
    method: MethodSection = MethodSection()
    gate: GateSection = GateSection()

    def within(self, max_calls: int | None, max_tokens: int | None) -> Recipe:
        """The recipe with another budget for its texts; None leaves the recipe's own. Raises SettingError."""
        given = {"max_calls": max_calls, "max_tokens": max_tokens}
        budget = {name: value for name, value in given.items() if value is not None}
        if negative := [name for name, value in budget.items() if value < 0]:
            raise SettingError(f"{negative[0]} is {budget[negative[0]]}.", "A budget is 0 (no limit) or more.")
        return self.model_copy(update={"explain": self.explain.model_copy(update=budget)})


def read_recipe(name: str) -> Recipe:
    """Reads a recipe by name (`ml-100k/lr_recsys`) or path. Raises SettingError."""
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    if not path.exists():
        known = sorted(str(p.relative_to(RECIPES).with_suffix("")) for p in RECIPES.glob("*/*.toml"))
        raise SettingError(
            f"There is no recipe {name!r}.", f"There are: {', '.join(known)}.", "Or give a path to a .toml."
        )
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"The recipe {path} is not valid TOML: {error}.") from error
    except ValidationError as error:
        raise SettingError(
            f"The recipe {path} does not fit: {_problems(error)}.", remedy="See docs/architecture.md for its keys."
        ) from error


def choose_recipe(
    home: Path, name: str, data: str, interactions: str, catalog: str, mapping: str, remember: bool = True
) -> Recipe:
    """The recipe the command line asks for, which the home then remembers; without arguments, the remembered one.

    Raises:
        InputError: a file or folder that was given is not there or cannot be used; nothing is remembered then. Files
            of more than `READ_AT_ONCE` are only looked at by the flow.
        SettingError: nothing was asked and nothing is remembered, or half of something was asked.
    """
    _stop_if_halved(name, data, interactions, catalog, mapping)
    if not name and not interactions and not data:
        return remembered_recipe(home)
    recipe = read_recipe(name or ("tables/lr_recsys" if interactions else _recipe_for(data)))
    given = {"folder": data, "interactions": interactions, "catalog": catalog, "mapping": mapping}
    paths = {key: _existing(value) for key, value in given.items() if value}
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update=paths)})
    _stop_if_unusable(recipe.data)
    if remember:
        home.mkdir(parents=True, exist_ok=True)
        (home / REMEMBERED).write_text(recipe.model_dump_json(indent=1), encoding="utf-8")
    return recipe


def remembered_recipe(home: Path) -> Recipe:
    """The recipe this home was last run with. Raises SettingError if it was not run before, or by another version."""
    remembered = home / REMEMBERED
    if not remembered.exists():
        raise SettingError(
            "No recipe was given, and this home was not run before.",
            remedy="Give --recipe NAME --data DIR, or --interactions FILE --catalog FILE.",
        )
    try:
        return Recipe.model_validate_json(remembered.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise SettingError(
            f"The recipe that {home} remembers does not fit: {_problems(error)}.", remedy="Give it again."
        ) from error


def _stop_if_halved(name: str, data: str, interactions: str, catalog: str, mapping: str) -> None:
    """Raises SettingError where options do not say together what to read; none of them is left unread."""
    if interactions and not catalog:
        raise SettingError("--interactions was given without --catalog.", remedy="Give both files.")
    if interactions and data:
        raise SettingError("Both --interactions and --data were given.", remedy="Give the files, or their folder.")
    if (catalog or mapping) and not (name or data or interactions):
        option = "--catalog" if catalog else "--mapping"
        raise SettingError(
            f"{option} was given without --interactions.", remedy="Give every file again: a home remembers the last."
        )


def _existing(path: str) -> str:
    """The whole path. Raises InputError if nothing is there."""
    whole = Path(path).expanduser().resolve()
    if not whole.exists():
        raise InputError(f"There is no file or folder {whole}.", remedy="Check the path.")
    return str(whole)


def _stop_if_unusable(data: DataSection) -> None:
    """Raises InputError for what is wrong with files, as long as reading them is quicker than loading a flow."""
    size = sum(path.stat().st_size for path in data.files())
    if data.layout != "world" and (data.folder or data.interactions) and size <= READ_AT_ONCE:
        data.read()


def _problems(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in error.errors())


def _recipe_for(folder: str) -> str:
    """The shipped recipe whose layout is that of the folder."""
    from features.readers.registry import detect_layout

    layout = detect_layout(Path(folder))
    for path in sorted(RECIPES.glob("*/lr_recsys.toml")):
        name = str(path.relative_to(RECIPES).with_suffix(""))
        if read_recipe(name).data.layout == layout:
            return name
    raise SettingError(f"{folder} has the layout {layout!r}, for which there is no recipe.", remedy="Give --recipe.")
