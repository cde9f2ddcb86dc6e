"""How facts name things, and which of an entity's facts are kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby

from pydantic import BaseModel, ConfigDict

from features.types import Fact, RatingScale

CATALOG_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""Evidence time of what the catalog alone says: true before any interaction, and of no age."""
FACTS_PER_POLARITY = 6
"""More than become facets: the others can still meet an attribute or a taste when a pair is composed."""
SAME_SOURCE = 4
"""At most this many of an entity's facts of one polarity come from the same source."""
NEUTRAL_FACTS = 8


def is_current(evidence_time: datetime | None, oldest: datetime | None) -> bool:
    """Whether a statement counts where evidence from before `oldest` (None: no limit) does not.

    What the catalog says never ages; what rests on nothing does not count under any limit.
    """
    return oldest is None or (evidence_time is not None and (evidence_time == CATALOG_TIME or evidence_time >= oldest))


class Wording(BaseModel):
    """The words a dataset's people use for its products; a recipe may set them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    many: str = "products"
    """Plural of a product, as in `drama movies`."""
    bare: tuple[str, ...] = ("category", "categories")
    """Attributes whose values are nouns of their own, so that no noun follows (`instrument cables`)."""
    names: tuple[str, ...] = ("brand",)
    """Attributes whose values are names and keep their capitals (`products by Ernie Ball`)."""
    terms: tuple[str, ...] = ("term",)
    """Aspect names whose values are words of reviews."""

    patterns: dict[str, str] = {
        "brand": "{many} by {value}",
        "feature": "{many} with {value}",
        "price_band": "{many} priced {value}",
    }
    """Attributes whose values say what a product has, with how that is said."""

    def phrase(self, aspect: str) -> str:
        """`genre=Film-Noir` as people say it: `film-noir movies`."""
        name, _, value = aspect.partition("=")
        kept = name in self.names or any(letter.isdigit() for letter in value)
        said = value if kept else value.lower()
        if name in self.patterns:
            return self.patterns[name].format(many=self.many, value=said)
        return said if name in self.bare or name in self.terms else f"{said} {self.many}"


def aspect_of(name: str, value: str) -> str:
    """The key two facts share when they are about the same thing."""
    return f"{name}={value}"


def part_of_id(text: str) -> str:
    """A value as a part of a fact's id: no spaces, no signs that could break a citation."""
    return re.sub(r"[^\w-]+", "_", text).strip("_")


def stars(value: float) -> str:
    """An average of ratings, with one decimal."""
    return f"{value:.1f}"


def whole_stars(value: float) -> str:
    """One rating, without a decimal where it has none."""
    return f"{value:g}"


def of_top(scale: RatingScale) -> str:
    """`of 5`, after a number of stars."""
    return f"of {whole_stars(scale.high)}"


def joined(names: Sequence[str]) -> str:
    """`Fargo and Casablanca`."""
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else "".join(names)


def choose(facts: Iterable[Fact]) -> list[Fact]:
    """The strongest facts per entity and polarity, each about another aspect, not all from one source."""
    ordered = sorted(facts, key=lambda fact: (fact.entity_id, fact.polarity, -fact.weight, fact.fact_id))
    kept: list[Fact] = []
    for (_, polarity), group in groupby(ordered, key=lambda fact: (fact.entity_id, fact.polarity)):
        kept += _choose_one(list(group), FACTS_PER_POLARITY if polarity else NEUTRAL_FACTS, bool(polarity))
    return kept


def _choose_one(facts: list[Fact], limit: int, varied: bool) -> list[Fact]:
    kept: list[Fact] = []
    for fact in facts:
        same_source = sum(other.source == fact.source for other in kept)
        taken = any(other.aspect == fact.aspect for other in kept)
        if not taken and not (varied and same_source >= SAME_SOURCE):
            kept.append(fact)
        if len(kept) == limit:
            break
    return kept
