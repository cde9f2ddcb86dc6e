"""The explanation card: who wrote the reasons of a release, from what, how much was refused, and how good they are."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from features.settings import HostSettings
from models.cards.parts import Card, Part, table, table_by_name
from models.evaluate import Interval

INTENT = (
    "It tells a consumer what speaks for and what speaks against a product. Every text cites the facts it is about, "
    "which are shown with it; where nothing is known, it says so."
)


class SideCard(Part):
    """The facets of consumers or of products."""

    entities: int
    """All there are."""
    with_facets: int
    facets: dict[str, int]
    """By stance."""

    @property
    def per_entity(self) -> float:
        """Facets of an entity that has any, on average."""
        return sum(self.facets.values()) / self.with_facets if self.with_facets else 0.0


class JudgedCard(Part):
    """What `counterpoint evaluate-explanations` found of these texts."""

    release_id: str
    """The release that was live then."""
    pairs: int
    texts: int
    silent: float
    """Share of the sides on which nothing was known to say."""
    metrics: dict[str, Interval]
    """Of the published texts."""


class ExplanationCard(Card):
    """One text set."""

    stem = "explanation_card"
    release_id: str
    text_set_hash: str
    language_model: str
    prompt_hash: str
    prompts: tuple[str, ...]
    """Kinds of requests; the artifact holds their words."""
    evidence_share: float
    entailment: str
    """The model that judged whether claims follow from their facts, besides the gates; empty for none."""
    n_facts: int
    consumers: SideCard
    products: SideCard
    n_pairs: int
    n_pair_texts: int
    written_by_model: float
    """Share of the facets that are the language model's own words; a template worded the others."""
    refused: dict[str, int]
    """Lines that failed a gate, by reason."""
    retried: int
    recovered: int
    requests: int
    unasked: int
    evidence_until: datetime | None
    """The newest evidence that a facet rests on."""
    judged: JudgedCard | None
    """None where these texts were not judged yet."""

    def markdown(self) -> str:
        """The card for people."""
        parts = (self._source(), self._amount(), self._refusals(), self._quality(), self._limits())
        return f"# Explanation card: release {self.release_id}\n\n" + "\n\n".join(parts) + "\n"

    def _source(self) -> str:
        judge = f" Claims were also judged by `{self.entailment}`." if self.entailment else ""
        return (
            f"Text set `{self.text_set_hash[:16]}`, worded by `{self.language_model}` from {self.n_facts:,} facts, "
            f"with the prompts {', '.join(self.prompts)} (`{self.prompt_hash[:16]}`).{judge}\n\n## Use\n\n{INTENT}"
        )

    def _amount(self) -> str:
        sides = {"consumers": self.consumers, "products": self.products}
        stances = dict.fromkeys(stance for side in sides.values() for stance in side.facets)
        rows = []
        for kind, side in sides.items():
            counts = [f"{side.facets.get(stance, 0):,}" for stance in stances]
            rows.append([kind, f"{side.entities:,}", f"{side.with_facets:,}", *counts, f"{side.per_entity:.2f}"])
        facets = table(["about", "all", "with facets", *stances, "facets each"], rows)
        pairs = f"\n\nFor {self.n_pairs:,} pairs texts of their own were asked; {self.n_pair_texts:,} passed."
        return f"## Facets\n\n{facets}{pairs if self.n_pairs else ''}"

    def _refusals(self) -> str:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in self.refused.items()) or "none"
        waiting = f" {self.unasked:,} requests wait for a budget." if self.unasked else ""
        return (
            f"## Gates\n\n{self.written_by_model:.1%} of the facets are the language model's own words; a template "
            f"worded the others. Of {self.requests:,} requests, lines were refused for: {reasons}. "
            f"{self.retried:,} were asked for again with the reason, {self.recovered:,} lines passed then.{waiting}"
        )

    def _quality(self) -> str:
        judged = self.judged
        if judged is None:
            return "## Quality\n\nThese texts were not judged yet (`counterpoint evaluate-explanations`)."
        return (
            f"## Quality\n\n{judged.texts:,} texts of {judged.pairs:,} held-out pairs were judged, as published with "
            f"{judged.release_id}; on {judged.silent:.1%} of the sides nothing was known to say.\n\n"
            f"{table_by_name('measure', {'published texts': judged.metrics})}"
        )

    def _limits(self) -> str:
        newest = f"{self.evidence_until:%Y-%m-%d}" if self.evidence_until else "none"
        return (
            f"## Limits\n\n- Facts rest on the earlier {self.evidence_share:.0%} of each one's training interactions; "
            f"the newest evidence is of {newest}.\n"
            f"- {self._silent(self.consumers)} consumers and {self._silent(self.products)} products have no facet."
        )

    def _silent(self, side: SideCard) -> str:
        return f"{side.entities - side.with_facets:,} of {side.entities:,}"


def judged_file(settings: HostSettings, text_set_hash: str) -> Path:
    """Where the judgement of a text set lies: a text set may be judged long after its release was signed."""
    return settings.reports / "judged" / f"{text_set_hash[:16]}.json"


def read_judged(settings: HostSettings, text_set_hash: str) -> JudgedCard | None:
    """What was found of a text set, or None if it was not judged yet."""
    path = judged_file(settings, text_set_hash)
    return JudgedCard.model_validate_json(path.read_bytes()) if path.exists() else None
