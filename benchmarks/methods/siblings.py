"""The other methods' preferences as experts on the next product, with the settings that were chosen for them.

What an expert said is kept (`benchmarks/kept_expert.py`), since a fit takes minutes and the same one stands in many
blends.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.kept_expert import Kept
from benchmarks.lr.splits import load_split
from benchmarks.methods.guided_bench import CHOSEN as REFINED
from benchmarks.methods.guided_scores import read_catalogue, scores_of
from benchmarks.methods.lane import SETTINGS, M
from benchmarks.methods.preference_sets import kept_preferences
from benchmarks.methods.sequences import CHOSEN as BACKBONES
from benchmarks.ranking import SPLITS, Events
from features.settings import BenchFolders, HostSettings
from features.types import content_hash
from models.backbones.attention import Alignment
from models.backbones.experts import Expert
from models.backbones.sequences.expert import AlignedSequence, RefinedSequence, Sequence, SequenceConfig
from models.base import RunContext
from models.text import TextEncoder

SPLIT = SPLITS["ranking"]


def siblings(
    dataset: str, events: Events, folders: BenchFolders, run: RunContext, names: tuple[str, ...]
) -> dict[str, Expert]:
    """The named ones of `MADE`, unfitted."""
    home = HostSettings.from_environment().home / "siblings" / dataset
    return {name: MADE[name](dataset, events, folders, run, home) for name in names}


def _sequence(dataset: str, events: Events, folders: BenchFolders, run: RunContext, home: Path) -> Expert:
    """SASRec with the settings that were tuned for it as a baseline."""
    config = BACKBONES[dataset]["sasrec"]
    made_from = content_hash("sequence", config.model_dump(), run.seed)
    return Kept(home, made_from, partial(Sequence, config, run))


def _refined(dataset: str, events: Events, folders: BenchFolders, run: RunContext, home: Path) -> Expert:
    """SASRec refined by attribute scores from facts; statistics of the scores are those of training products."""
    setting = REFINED[dataset]
    base = SequenceConfig(**setting.widths.model_dump(), **setting.base.model_dump())

    def make() -> Expert:
        catalogue = read_catalogue(dataset, folders.data, [str(it) for it in events.products], home)
        known = np.flatnonzero(events.histories("train").counts > 0)
        guided = scores_of("facts", catalogue, known, run.seed)
        return RefinedSequence(base, setting.refined, setting.refinement, guided, run)

    told = [it.model_dump() for it in (base, setting.refined, setting.refinement)]
    return Kept(home, content_hash("refined", told, run.seed), make)


def _lane(dataset: str, events: Events, folders: BenchFolders, run: RunContext, home: Path) -> Expert:
    """LANE: titles in the product table, states aligned with texts that rest on earlier training events alone."""
    config, settings = BACKBONES[dataset]["sasrec"], SETTINGS[dataset]

    def make() -> Expert:
        split, encoder = load_split(dataset, SPLIT, folders), TextEncoder()
        named = split.train.catalog.products.set_index("product_id")["title"]
        titles = encoder.encode([str(named.get(product, "")) for product in events.products])
        known = kept_preferences(split, events, titles, encoder, M).known
        alignment = partial(Alignment, config.embedding_size, titles.shape[1], settings.heads, settings.dropout)
        return AlignedSequence(config, alignment, known, titles, run)

    return Kept(home, content_hash("lane", config.model_dump(), settings.model_dump(), M, run.seed), make)


MADE: dict[str, Callable[[str, Events, BenchFolders, RunContext, Path], Expert]] = {
    "sequence": _sequence,
    "refined": _refined,
    "lane": _lane,
}
"""By name."""
