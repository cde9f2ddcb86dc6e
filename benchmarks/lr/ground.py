"""The ground of a split, made once for all variants: what its training ratings alone say."""

from __future__ import annotations

from pathlib import Path

from features.batch import TrainingSet
from features.types import RatingScale, content_hash
from models.backbones.collaborative import Collaborative
from models.backbones.factorization import Belief
from models.base import RunContext
from models.methods.lr_recsys import Ground, LRRecsys, LRRecsysConfig

_HELD_OUT = "held-out.safetensors"


def ground_of(rows: TrainingSet, config: LRRecsysConfig, scale: RatingScale, folder: Path, run: RunContext) -> Ground:
    """The ground of training rows, kept in a folder by what it was made from."""
    from safetensors.torch import load_file, save_file

    made_from = content_hash(
        config.collaborative.model_dump(), run.seed, rows.row.tolist(), rows.rating.tolist(),
        rows.batch.consumers.consumer_ids.tolist(), rows.batch.products.product_ids.tolist(),
        rows.batch.consumers.attributes.tolist(), rows.batch.products.attributes.tolist(),
    )  # fmt: skip
    path = folder / made_from[:16]
    if not path.exists():
        ground = LRRecsys(config, scale).ground(rows, run)
        half = path.with_suffix(".half")
        half.mkdir(parents=True, exist_ok=True)
        ground.model.save(half)
        belief = ground.held_out
        tensors = {"mean": belief.mean, "deviation": belief.deviation, "noise": belief.noise}
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, half / _HELD_OUT)
        half.rename(path)
    return Ground(Collaborative.load(path), Belief(**load_file(path / _HELD_OUT)), config.collaborative, rows)
