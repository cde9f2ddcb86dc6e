"""The ground of a split, made once for all variants: what its training ratings alone say."""

from __future__ import annotations

from pathlib import Path

from features.batch import TrainingSet
from features.types import RatingScale, content_hash
from models.backbones.ground import Ground, kept_ground
from models.base import RunContext
from models.methods.lr_recsys import LRRecsys, LRRecsysConfig

VERSION = 4
"""Changes when grounds of older code must not be taken for grounds of this."""


def ground_of(rows: TrainingSet, config: LRRecsysConfig, scale: RatingScale, folder: Path, run: RunContext) -> Ground:
    """The ground of training rows, kept in a folder by what it was made from."""
    made_from = content_hash(
        VERSION, config.collaborative.model_dump(), run.seed, rows.row.tolist(), rows.rating.tolist(),
        rows.batch.consumers.consumer_ids.tolist(), rows.batch.products.product_ids.tolist(),
        rows.batch.consumers.attributes.tolist(), rows.batch.products.attributes.tolist(),
    )  # fmt: skip
    method = LRRecsys(config, scale)
    return kept_ground(folder / made_from[:16], lambda: method.ground(rows, run), rows, config.collaborative)
