"""The other methods' preferences as experts on the next product, with the settings that were chosen for them.

What an expert said is kept, since a fit takes minutes and the same one stands in many blends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

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
from models.backbones.histories import Histories, Scores
from models.backbones.sequences.expert import AlignedSequence, RefinedSequence, Sequence, SequenceConfig
from models.base import RunContext
from models.text import TextEncoder

SPLIT = SPLITS["ranking"]


class Kept(Expert):
    """An expert whose scores are kept on disk, by what it was fitted on and asked; fitted only for an unknown question.

    Args:
        folder: where scores go.
        made_from: hash of the expert's settings.
        make: makes the expert, unfitted.
    """

    def __init__(self, folder: Path, made_from: str, make: Callable[[], Expert]) -> None:
        self.folder, self.made_from, self.make = folder, made_from, make
        self._fitted: Expert | None = None
        self._learned_from: Histories | None = None

    def fit(self, histories: Histories) -> None:
        """Notes what is learned from; learning waits for a question that is not answered yet."""
        self._fitted, self._learned_from = None, histories

    def score(self, histories: Histories) -> Scores:
        if self._learned_from is None:
            raise ValueError("The expert was asked before it was fitted.")
        key = content_hash(self.made_from, _content(self._learned_from), _content(histories))
        path = self.folder / f"{key[:24]}.npy"
        if not path.exists():
            if self._fitted is None:
                self._fitted = self.make()
                self._fitted.fit(self._learned_from)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, self._fitted.score(histories))
        scores: Scores = np.load(path)
        return scores


def _content(histories: Histories) -> str:
    """Hash of who had what, when."""
    parts = (histories.who, histories.start, histories.product, histories.time)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


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
