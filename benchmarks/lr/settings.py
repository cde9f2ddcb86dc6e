"""Settings of the proof by dataset, chosen on validation rows, the same for the method and all controls."""

from __future__ import annotations

from benchmarks.lr.world import WORLD
from features.errors import SettingError
from models.methods.lr_recsys import LRRecsysConfig

SPLITS = {
    WORLD: ("seed-211", "seed-212", "seed-213"),
    "ml-100k": ("random-0", "random-1", "random-2", "u1"),
    "amazon-musical-instruments": ("random-0", "random-1", "random-2", "time", "cold-item-0"),
    "ml-latest-small": ("random-0", "random-1", "random-2"),
    "amazon-beauty": ("random-0", "random-1", "random-2"),
}
"""What is reported, by dataset."""


def splits_of(dataset: str) -> tuple[str, ...]:
    """The splits that are reported. Raises SettingError for a dataset that is not."""
    if dataset not in SPLITS:
        raise SettingError(f"There is no proof on {dataset!r}.", f"There is on: {', '.join(SPLITS)}.")
    return SPLITS[dataset]


def config_of(dataset: str) -> LRRecsysConfig:
    """The settings for a dataset.

    The built-in world has so few rows that a large batch would leave no steps to take.
    """
    splits_of(dataset)
    if dataset == WORLD:
        return LRRecsysConfig(epochs=30, patience=4, batch_size=256)
    return LRRecsysConfig(epochs=8, patience=2)
