"""The run card: what one training rested on, how it went, what it reached and what it cost."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from models.cards.parts import Card, Part, table, table_by_name
from models.evaluate import Interval


class SplitCard(Part):
    """Which interactions were learned from, chosen with and judged by."""

    kind: str
    """Name of the rule (`features/splits.py`)."""
    cut_valid: datetime
    cut_test: datetime
    n_train: int
    n_valid: int
    n_test: int
    test_consumers: int


class FitCard(Part):
    """One fitted model: its settings, its way and what it reached."""

    config: dict[str, Any]
    epochs: int
    best_epoch: int
    """The epoch whose weights were kept."""
    n_parameters: int
    seconds: float
    train_loss: tuple[float, ...]
    """By epoch; empty for a method that learns in closed form."""
    valid_loss: tuple[float, ...]
    metrics: dict[str, Interval]
    """On the test part."""


class Spend(Part):
    """What a language model was asked for and what that took; seconds are of the model, summed over answers."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float


class CostCard(Part):
    """What the training cost, texts included."""

    texts: Spend
    """The answers that the published texts rest on, whenever they were bought."""
    ledger: Spend
    """All that the ledger has bought until the card was made: also refused answers, and those of other runs."""
    training_seconds: float
    peak_memory_mb: float
    """Peak resident memory of the process, up to the end of the training."""


class RunCard(Card):
    """One training; written when it was evaluated."""

    stem = "run_card"
    dataset: str
    method: str
    data_hash: str
    features_hash: str
    text_set_hash: str
    split: SplitCard
    scale: tuple[float, float, float]
    """Least and most stars, and from which rating on a product counts as liked."""
    seed: int
    device: str
    fits: dict[str, FitCard]
    """By fitted model: the method, its control, the baseline."""
    gain: dict[str, Interval]
    """The method minus its control, paired, on the test part."""
    over_baseline: dict[str, Interval]
    """The method minus the bias baseline, paired."""
    cost: CostCard
    trained_at: datetime
    commit: str
    """Of the code; a `+` says that it was changed since, empty that it is unknown."""
    versions: dict[str, str]

    @property
    def metrics(self) -> dict[str, dict[str, Interval]]:
        """Test metrics by fitted model."""
        return {name: fit.metrics for name, fit in self.fits.items()}

    def markdown(self) -> str:
        """The card for people; the loss of every epoch is in the JSON alone."""
        parts = (self._inputs(), self._ways(), self._results(), self._costs(), self._versions())
        return f"# Run card: {self.method} on {self.dataset}\n\n" + "\n\n".join(parts) + "\n"

    def _inputs(self) -> str:
        split, (low, high, liked) = self.split, self.scale
        return (
            f"Trained at {self.trained_at:%Y-%m-%d %H:%M} UTC on {self.device} with seed {self.seed}.\n\n"
            f"- Data `{self.data_hash[:16]}`, features `{self.features_hash[:16]}`, texts "
            f"`{self.text_set_hash[:16]}`.\n"
            f"- Split `{split.kind}`: {split.n_train:,} interactions to learn from, {split.n_valid:,} to choose with "
            f"(from {split.cut_valid:%Y-%m-%d %H:%M} UTC), {split.n_test:,} of {split.test_consumers:,} consumers to "
            f"judge by (from {split.cut_test:%Y-%m-%d %H:%M} UTC).\n"
            f"- Ratings from {low:g} to {high:g}; {liked:g} and more counts as liked."
        )

    def _ways(self) -> str:
        rows = [
            [name, f"{f.n_parameters:,}", f.epochs, f.best_epoch, _best(f.valid_loss), f"{f.seconds:,.1f}"]
            for name, f in self.fits.items()
        ]
        headings = ["model", "parameters", "epochs", "best epoch", "lowest validation loss", "seconds"]
        settings = table_by_name("setting", {name: fit.config for name, fit in self.fits.items()})
        return f"## Training\n\n{table(headings, rows)}\n\n{settings}"

    def _results(self) -> str:
        against = {"minus its control": self.gain, "minus the bias baseline": self.over_baseline}
        return (
            "## Test metrics\n\nWith 95 % intervals of a bootstrap over consumers:\n\n"
            f"{table_by_name('metric', self.metrics)}\n\n{self.method} against the others, paired on the same rows and "
            f"resamples:\n\n{table_by_name('difference', against)}"
        )

    def _costs(self) -> str:
        rows = [
            [title, f"{s.calls:,}", f"{s.prompt_tokens:,}", f"{s.completion_tokens:,}", f"{s.seconds:,.1f}"]
            for title, s in (("answers behind the texts", self.cost.texts), ("all of the ledger", self.cost.ledger))
        ]
        spent = table(["language model", "calls", "tokens read", "tokens written", "seconds"], rows)
        return (
            f"## Cost\n\n{spent}\n\nTraining took {self.cost.training_seconds:,.1f} seconds; the process held "
            f"{self.cost.peak_memory_mb:,.0f} MB at most."
        )

    def _versions(self) -> str:
        code = f"`{self.commit}`" if self.commit else "of an unknown commit"
        return f"## Versions\n\nCode {code}; " + ", ".join(f"{name} {it}" for name, it in self.versions.items()) + "."


def _best(losses: tuple[float, ...]) -> str:
    return f"{min(losses):.5f}" if losses else ""
