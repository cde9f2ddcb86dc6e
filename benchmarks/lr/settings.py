"""The proof by dataset: what is run, and with which settings.

Settings were chosen on validation rows and are the same for the method and all controls.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.lr.splits import RANKING
from benchmarks.lr.variants import QUICK, SHARES, VARIANTS
from benchmarks.lr.world import WORLD
from features.errors import SettingError
from models.methods.lr_recsys import LRRecsysConfig

WHOLE, BRIEF = 5, 3
"""Members trained together on a split with all variants, and on one with few."""


@dataclass(frozen=True)
class Plan:
    """What the proof runs on a dataset unless it is told otherwise."""

    whole: tuple[str, ...] = ()
    """Splits on which every variant is run."""
    brief: tuple[str, ...] = ()
    """Splits on which only the method is run, and what a gain is claimed over."""
    curve: str = ""
    """The split on which variants with a share of the training rows are run: each share needs texts of its own."""

    @property
    def splits(self) -> tuple[str, ...]:
        """All whose ratings are predicted."""
        return (*self.whole, *self.brief)

    def members_of(self, split: str) -> int:
        """How many are trained together on a split."""
        return WHOLE if split in self.whole else BRIEF

    def variants_of(self, split: str) -> list[str]:
        """What is run on a split."""
        if split not in self.whole:
            return list(QUICK)
        return [name for name, variant in VARIANTS.items() if split == self.curve or variant.fraction == 1]

    def text_sets_of(self, split: str, share: float = 1) -> list[str]:
        """The sets of texts that its variants with that share of the training rows read."""
        variants = [VARIANTS[name] for name in self.variants_of(split)]
        return list(dict.fromkeys(variant.texts for variant in variants if variant.fraction == share))


AT_RANDOM = ("random-0", "random-1", "random-2")
_FURTHER = ("random-3", "random-4")
PLANS = {
    WORLD: Plan(("seed-211", "seed-212", "seed-213"), curve="seed-211"),
    "ml-100k": Plan((*AT_RANDOM, "u1"), ("cold-item-0", "time", "u2", "u3", "u4", "u5", *_FURTHER), "random-0"),
    "amazon-musical-instruments": Plan((*AT_RANDOM, "time", "cold-item-0"), _FURTHER, "random-0"),
    "ml-latest-small": Plan(brief=(*AT_RANDOM, "cold-item-0", "time", *_FURTHER)),
    "amazon-beauty": Plan(brief=(*AT_RANDOM, "cold-item-0", "time", *_FURTHER)),
}


def plan_of(dataset: str) -> Plan:
    """What is run on a dataset. Raises SettingError for one that is not reported."""
    if dataset not in PLANS:
        raise SettingError(f"There is no proof on {dataset!r}.", f"There is on: {', '.join(PLANS)}.")
    return PLANS[dataset]


def texts_of(dataset: str) -> list[str]:
    """What must be written for the proof, as `benchmarks.lr.generate` names it. Raises SettingError."""
    plan = plan_of(dataset)
    shares = [f"{dataset}/{plan.curve}@{share:g}" for share in SHARES] if plan.curve else []
    ranking = [] if dataset == WORLD else [f"{dataset}/{RANKING}"]
    return [*(f"{dataset}/{split}" for split in plan.splits), *shares, *ranking]


def config_of(dataset: str) -> LRRecsysConfig:
    """The settings for a dataset. Raises SettingError.

    The built-in world has so few rows that a large batch would leave no steps to take.
    """
    plan_of(dataset)
    if dataset == WORLD:
        return LRRecsysConfig(epochs=30, patience=4, batch_size=256)
    return LRRecsysConfig(epochs=8, patience=2)
