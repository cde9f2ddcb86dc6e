"""The model card: what a release ranks with, what it is for, how good it is and where it ends."""

from __future__ import annotations

from datetime import datetime

from models.cards.parts import Card, Part, table_by_name
from models.cards.run import RunCard
from models.evaluate import Interval

USES = (
    "It orders the products of this catalog for its consumers, estimates stars and the probability of liking, and "
    "says with each product what speaks for and against it."
)
NOT_FOR = (
    "It is not made for other catalogs or other consumers than those it was trained on, nor to decide anything about a "
    "person; a reason tells what the facts say, not why a person acted."
)


class DataCard(Part):
    """What the release knows of the world."""

    since: datetime
    """Time of the first interaction."""
    until: datetime
    """Every interaction is strictly earlier."""
    n_consumers: int
    n_products: int
    n_interactions: int
    n_quarantined: int


class ModelCard(Card):
    """One release's model. A refreshed release keeps the model, its run and its figures."""

    stem = "model_card"
    release_id: str
    created_at: datetime
    model_of: str
    """The release that was made with this model; empty if it is this one."""
    artifact_tag: str
    artifact_hash: str
    feature_service: str
    encoder: str
    data: DataCard
    known_consumers: float
    """Share of the test rows whose consumer was seen before the cut."""
    with_both_facets: float
    """Share of the test rows with facets on both sides."""
    features: dict[str, tuple[str, ...]]
    """What the model reads, by feature view."""
    fields: tuple[str, ...]
    """What the model made of it, as it names its fields; empty for a method without."""
    run: RunCard
    replaced: str
    """The release that was live before; empty if there was none."""
    over_live: dict[str, Interval]
    """This model minus the one that was live, paired on the same test rows; empty where none was compared."""

    def markdown(self) -> str:
        """The card for people."""
        parts = (self._identity(), self._use(), self._data(), self._inputs(), self._quality(), self._limits())
        return f"# Model card: release {self.release_id}\n\n" + "\n\n".join(parts) + "\n"

    def _identity(self) -> str:
        kept = f" Its model is that of the release {self.model_of}." if self.model_of else ""
        return (
            f"Method {self.run.method}, made live at {self.created_at:%Y-%m-%d %H:%M} UTC.{kept} Artifact "
            f"`{self.artifact_tag}` (`{self.artifact_hash[:16]}`), feature service `{self.feature_service}`, text "
            f"encoder `{self.encoder}`."
        )

    def _use(self) -> str:
        return f"## Use\n\n{USES}\n\n{NOT_FOR}"

    def _data(self) -> str:
        data = self.data
        return (
            f"## Data\n\n{self.run.dataset}: {data.n_interactions:,} interactions of {data.n_consumers:,} consumers "
            f"with {data.n_products:,} products, from {data.since:%Y-%m-%d} to {data.until:%Y-%m-%d}; "
            f"{data.n_quarantined:,} rows were set aside. The model learned from {self.run.split.n_train:,} of them, "
            f"all before {self.run.split.cut_valid:%Y-%m-%d %H:%M} UTC."
        )

    def _inputs(self) -> str:
        views = "\n".join(f"- {view}: {', '.join(names)}" for view, names in self.features.items())
        fields = f"\n\nFields of the network: {', '.join(self.fields)}." if self.fields else ""
        return f"## Inputs\n\n{views}{fields}"

    def _quality(self) -> str:
        text = (
            f"## Quality\n\nOn {self.run.split.n_test:,} held-out interactions of {self.run.split.test_consumers:,} "
            "consumers, with 95 % intervals of a bootstrap over consumers:\n\n"
            f"{table_by_name('metric', self.run.metrics)}"
        )
        if not self.over_live:
            return text
        difference = table_by_name("difference", {f"minus {self.replaced}": self.over_live})
        return f"{text}\n\nAgainst the model that was live before, paired on the same rows:\n\n{difference}"

    def _limits(self) -> str:
        return (
            "## Limits\n\n"
            f"- Of the test rows, {1 - self.known_consumers:.1%} were of consumers without a rating before the cut; "
            "for them it knows only the products' side.\n"
            f"- {1 - self.with_both_facets:.1%} of the test rows lacked facets of the consumer or of the product; "
            "there the ranking rests on ratings and content alone.\n"
            f"- Held-out rows were chosen by the split `{self.run.split.kind}`; how it does on later ones is not "
            "measured.\n"
            "- The figures order the products that consumers chose to rate, not the whole catalog."
        )
