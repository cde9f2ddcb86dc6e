"""What guided refinement is measured on: settings, variants, and one dataset and task with its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.methods.guided_scores import Catalogue, Source, read_catalogue
from benchmarks.methods.sequences import wanted
from benchmarks.ranking import SPLITS, Events, read_events
from models.backbones.histories import Histories, Scores
from models.backbones.next_product import already_had
from models.backbones.refined import RefinedConfig
from models.backbones.sequences.encoders import EncoderConfig
from models.backbones.sequences.network import SequenceNetwork
from models.backbones.sequences.ranking import HeldOut
from models.backbones.sequences.training import Judge, TrainingConfig


@dataclass(frozen=True)
class Setting:
    """How base and refined model of a dataset are trained; chosen on valid."""

    widths: EncoderConfig
    base: TrainingConfig
    refined: TrainingConfig
    refinement: RefinedConfig


@dataclass(frozen=True)
class Variant:
    """What takes the place of the last m coordinates, and what of it is learned."""

    source: Source
    config: dict[str, Any]


REFINED = TrainingConfig(epochs=8, patience=8, batch_size=128, learning_rate=3e-3)
CHOSEN = {
    "ml-100k": Setting(
        EncoderConfig(embedding_size=64, n_layers=1, length=30, dropout=0.2),
        TrainingConfig(epochs=12, patience=12, batch_size=128, learning_rate=5e-3, max_candidates=512),
        REFINED.model_copy(update={"epochs": 6, "max_candidates": 512}),
        RefinedConfig(),
    ),
    "amazon-musical-instruments": Setting(
        EncoderConfig(embedding_size=64, n_layers=2, length=50, dropout=0.3),
        TrainingConfig(epochs=20, patience=20, batch_size=128, learning_rate=3e-3),
        REFINED,
        RefinedConfig(),
    ),
}
"""By dataset; the same for every encoder."""
TRIED = {
    "ml-100k": "none: as on amazon-musical-instruments, with fewer epochs and a sampled softmax to save time",
    "amazon-musical-instruments": "8 settings of the refined stage and 2 of the base, sasrec, seed 0, by hand",
}
VARIANTS = {
    "guided": Variant("facts", {}),
    "guided_language_model": Variant("language_model", {}),
    "random_columns": Variant("random", {}),
    "text_columns": Variant("text", {}),
    "products_only": Variant("facts", {"consumers": "absent"}),
    "consumers_only": Variant("facts", {"products": "absent"}),
    "products_trained": Variant("facts", {"products": "trained"}),
    "consumers_fixed": Variant("facts", {"consumers": "frozen"}),
    "linear_reduction": Variant("facts", {"reduction": "linear"}),
    "guided_untuned": Variant("untuned", {}),
    "guided_tuned": Variant("tuned", {}),
    "guided_tuned_rec": Variant("tuned_rec", {}),
    "guided_tuned_format": Variant("tuned_format", {}),
}
"""All go on from the same base model; `base_longer` is the base itself, trained on as long as they are."""
BASE, LONGER, POPULARITY = "base", "base_longer", "popularity"
CONTRASTS = (
    ("guided", BASE), ("guided", LONGER), ("guided", "random_columns"), ("guided", "text_columns"),
    ("guided_tuned", "guided_untuned"), ("guided_tuned", "random_columns"), ("guided_tuned", "guided"),
    ("guided_tuned_rec", "guided_untuned"), ("guided_tuned_format", "guided_untuned"),
)  # fmt: skip
METRICS = ("mrr", "hr@10", "ndcg@10")


@dataclass(frozen=True, eq=False)
class Bench:
    """One dataset and task: who had what, what products are, and where files lie."""

    dataset: str
    task: str
    bench: Path
    data: Path
    events: Events
    catalogue: Catalogue
    folder: Path

    @classmethod
    def open(cls, dataset: str, task: str, bench: Path, data: Path, output: Path) -> Bench:
        """Reads the split and the catalogue."""
        events = read_events(bench, data, dataset, SPLITS[task])
        catalogue = read_catalogue(dataset, data, [str(it) for it in events.products], output / dataset)
        folder = output / dataset / task
        folder.mkdir(parents=True, exist_ok=True)
        return cls(dataset, task, bench, data, events, catalogue, folder)

    @property
    def setting(self) -> Setting:
        """The one chosen for the dataset."""
        return CHOSEN[self.dataset]

    def judge(self, network: SequenceNetwork, length: int) -> Judge | None:
        """NDCG@10 on valid; None for cold products."""
        if self.task == "cold":
            return None
        held_out = HeldOut(self.events.histories("train"), wanted(self.events, "valid"))
        return lambda: held_out.ndcg(network, length)

    def shown(self, scores: Scores, known: Histories, part: str) -> Scores:
        """Scores (U, P) with -inf for what may not be listed: what was had, or, of cold ones, all others."""
        if self.task == "cold":
            outside = np.setdiff1d(np.arange(known.n_products), self.events.targets(part)["product"])
            scores = scores.copy()
            scores[:, outside] = -np.inf
            return scores
        return np.where(already_had(known), -np.inf, scores)
