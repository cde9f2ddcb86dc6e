"""What models are trained on and judged by: the rows of a fixed split with features and the texts of a set.

Splits at random: a training row sees all training rows but itself; rows that the texts rest on see no text (they train
the mask), the others and all held-out rows do. Splits by time: every row sees what was known strictly before it, and
held-out rows ask at the end of training. So no row's own rating is behind anything that it sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.lr.codes import text_tables
from benchmarks.lr.splits import BenchSplit, after, timeless
from benchmarks.lr.texts import text_set
from features.as_of import TextTables, point_in_time
from features.assemble import labelled
from features.batch import TrainingSet
from features.lake import Lake
from features.leave_one_out import leave_one_out
from features.rows import JoinedRows
from features.settings import HostSettings
from features.types import Interactions
from models.base import Progress, silent


class Examples(NamedTuple):
    """The three parts of a split."""

    train: TrainingSet
    valid: TrainingSet
    test: TrainingSet


def examples(
    split: BenchSplit,
    texts: str = "none",
    settings: HostSettings | None = None,
    seed: int = 0,
    share: float = 1.0,
    progress: Progress = silent,
) -> Examples:
    """The rows of a split with the texts of a set.

    Args:
        split: whole, or with a share of its training rows (`BenchSplit.reduced`). The features of a reduced split
            rest on the rows that are left, and so do its texts.
        texts: one of `TEXT_SETS`; what the model wrote must have been generated (`benchmarks/lr/generate.py`).
        settings: the home that holds texts and vectors; by default the environment's.
        seed: of the order in which random splits' rows see others.
        share: of the others that their training rows see (`features/leave_one_out.py`).
        progress: sees texts being encoded.

    Raises:
        InputError: the set's texts are not there.
    """
    settings = settings or HostSettings.from_environment()
    tables = text_tables(split, texts, settings, progress)
    parts = (split.train.interactions.frame, split.valid, split.test)
    if split.by_time:
        joined = _by_time(split, parts, tables)
    else:
        told = text_set(split, texts, Lake(settings.lake)).from_ratings
        joined = _at_random(split, parts, tables, told, seed, share)
    return Examples(*(labelled(rows, part, split.train.scale) for rows, part in zip(joined, parts, strict=True)))


def _by_time(split: BenchSplit, parts: Sequence[pd.DataFrame], tables: TextTables) -> list[JoinedRows]:
    """Training rows as of their own times, held-out rows as of the end of training."""
    train, *held_out = parts
    at_cut = (rows.assign(timestamp=pd.Timestamp(split.train.as_of)) for rows in held_out)
    return [point_in_time(split.train, rows, tables) for rows in (train, *at_cut)]


def _at_random(
    split: BenchSplit, parts: Sequence[pd.DataFrame], tables: TextTables, told: bool, seed: int, share: float
) -> list[JoinedRows]:
    """Each row from all training rows but itself.

    Args:
        told: whether training ratings are behind the texts, which are then hidden from the rows that are evidence.
    """
    train, *held_out = parts
    hidden = [split.evidence & told, *(np.zeros(len(rows), bool) for rows in held_out)]
    return [
        leave_one_out(split.train, rows, tables, mask, seed, share)
        for rows, mask in zip((train, *held_out), hidden, strict=True)
    ]


class Together(NamedTuple):
    """Training and validation rows as one, and the test rows beside them."""

    train: TrainingSet
    test: TrainingSet


def together(split: BenchSplit, texts: str = "none", settings: HostSettings | None = None, seed: int = 0) -> Together:
    """As `examples`, for fitting again on training and validation rows once everything is chosen.

    Every row sees all the others of both parts; the texts stay as they were written, from training rows alone.

    Args:
        split: at random; by time, validation rows have no time of their own to be seen at.
        texts: as for `examples`.
        settings: as for `examples`.
        seed: as for `examples`.
    """
    settings = settings or HostSettings.from_environment()
    tables = text_tables(split, texts, settings)
    told = text_set(split, texts, Lake(settings.lake)).from_ratings
    frame = split.train.interactions.frame
    both = timeless(pd.concat([frame, split.valid.assign(timestamp=frame["timestamp"].iloc[0], review=None)]))
    # What is left of a reduced split keeps its times, so that texts may be later than the last of as few rows.
    now = max(after(both), split.train.as_of)
    snapshot = replace(split.train, interactions=Interactions(both), as_of=now)
    behind = both["row"].isin(frame["row"][split.evidence]).to_numpy()
    rows = [
        leave_one_out(snapshot, part, tables, hidden, seed)
        for part, hidden in ((both, behind & told), (split.test, np.zeros(len(split.test), bool)))
    ]
    return Together(
        *(labelled(each, part, snapshot.scale) for each, part in zip(rows, (both, split.test), strict=True))
    )
