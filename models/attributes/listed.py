"""A domain's attributes: named, described, and with the ends of their scale in words.

Source: the attribute lists of Jia, Yuan, Wu, Zheng, "Improving LLM Interpretability and Performance via Guided
Embedding Refinement for Sequential Recommendation", arXiv 2504.11658. The paper's lists are not published; ours are
hand-written, one TOML file per domain in `lists/`. A recipe names a domain, a file of the same form (`proposed.py`
writes one for a person to edit), or lists its own.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from features.errors import SettingError

LOW, HIGH = 1, 10
"""The scale of every attribute."""
MIDDLE = (LOW + HIGH) / 2
_LISTS = Path(__file__).parent / "lists"


class Attribute(BaseModel):
    """One thing products differ in and consumers care about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    description: str
    """One line, after "how": for people and for the language model."""
    high: str = ""
    """What a product at the upper end is like; its text vector shows which way texts point upwards."""
    low: str = ""
    """What one at the lower end is like."""
    told_by: tuple[str, ...] = ()
    """Values of the catalog, as `name=value`, that speak for much of it."""
    told_against: tuple[str, ...] = ()
    """Values that speak for little of it."""
    number: str = ""
    """Name of an attribute of the catalog whose value is a number that grows with it, such as `year`."""


def read_list(named: str) -> tuple[Attribute, ...]:
    """The list of a domain, or of a file whose name ends in `.toml`. Raises SettingError if there is none."""
    path = Path(named) if named.endswith(".toml") else _LISTS / f"{named}.toml"
    if not path.is_file():
        known = ", ".join(sorted(it.stem for it in _LISTS.glob("*.toml")))
        raise SettingError(f"There is no list of attributes {named!r}.", f"There are: {known}.", "Or list your own.")
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
        return tuple(Attribute.model_validate(it) for it in told["attribute"])
    except (tomllib.TOMLDecodeError, KeyError, ValidationError) as error:
        raise SettingError(
            f"{path} is no list of attributes: {error}.", "It holds an [[attribute]] table for each.", "Mend the file."
        ) from error


def _listed(given: Any) -> Any:
    """A domain's name becomes its list, so that a saved config says all that it means."""
    return read_list(given) if isinstance(given, str) else given


Attributes = Annotated[tuple[Attribute, ...], BeforeValidator(_listed)]
"""A field of a config: a list of attributes, or the name of a domain or of a file that has one."""
