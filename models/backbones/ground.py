"""What the ratings of some training rows say: the part of a fit that no text and no variant changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from features.batch import TrainingSet
from models.backbones.collaborative import Collaborative, CollaborativeConfig
from models.backbones.factorization import Belief

_HELD_OUT = "held-out.safetensors"


class Ground(NamedTuple):
    """A model of ratings, and what models of other folds believe of the rows."""

    model: Collaborative
    held_out: Belief
    config: CollaborativeConfig
    rows: TrainingSet


def kept_ground(folder: Path, make: Callable[[], Ground], rows: TrainingSet, config: CollaborativeConfig) -> Ground:
    """The ground of rows and config that a folder holds; made and written as a whole where there is no such folder.

    Raises ReleaseError if it is damaged.
    """
    from safetensors.torch import load_file

    if not folder.exists():
        half = folder.with_suffix(".half")
        half.mkdir(parents=True, exist_ok=True)
        _save(make(), half)
        half.rename(folder)
    return Ground(Collaborative.load(folder), Belief(**load_file(folder / _HELD_OUT)), config, rows)


def _save(ground: Ground, folder: Path) -> None:
    from safetensors.torch import save_file

    ground.model.save(folder)
    belief = ground.held_out
    tensors = {"levels": belief.levels, "above": belief.above, "deviation": belief.deviation}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / _HELD_OUT)
