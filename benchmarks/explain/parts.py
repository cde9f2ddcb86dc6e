"""ML-100K: ExplainRec with all parts, none, and one left out, where each part claims to help.

- `strangers`: a block of consumers is taken out of training altogether; all their rows are predicted as those of
  consumers without id, history or number, of whom the catalog tells what is not protected.
- `new-products`: the fixed split `cold-item-0`.
- `everybody`: the fixed split `random-0`.

The head's seeds differ; what ratings alone say is fitted once for each, on a share of the training rows, since variants
must not differ by it. No student takes part: the heads are compared.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray

from benchmarks.explain.students import rounded
from benchmarks.lr.examples import Examples, examples
from benchmarks.lr.splits import HELD_OUT_COLUMNS, BenchSplit, load_split
from features.settings import HostSettings
from features.types import Interactions
from models.backbones.collaborative import CollaborativeConfig
from models.base import RunContext
from models.evaluate import auc_difference, auc_interval
from models.explain_rec.deletion import deletion_effects
from models.methods.explain_rec import ExplainRec, ExplainRecConfig

SHARE = 0.25
"""Of the training rows."""
HIDDEN, HIDDEN_SEED = 0.15, 17
LIGHT = CollaborativeConfig(chains=1, sweeps=60, burn_in=20, samples=12, folds=3, starts=(0.1,))
FULL = ExplainRecConfig(collaborative=LIGHT, epochs=8, patience=2)
OFF = {"attribution": False, "knowledge_base": False, "vision": False, "multi_task": False}
VARIANTS: dict[str, dict[str, Any]] = {
    "full": {},
    "none": OFF,
    "no-attribution": {"attribution": False},
    "no-knowledge-base": {"knowledge_base": False},
    "no-multi-task": {"multi_task": False},
}
ASKED = {
    "strangers": ("full", "none", "no-knowledge-base"),
    "new-products": ("full", "none"),
    "everybody": ("full", "none", "no-attribution", "no-multi-task"),
}
N_DELETED = 1500
"""Test rows of which evidence is deleted."""


def measured(setting: str, seeds: int) -> dict[str, Any]:
    """All variants of a setting, each on so many seeds."""
    split = load_split("ml-100k", "cold-item-0" if setting == "new-products" else "random-0")
    split = (with_strangers(split) if setting == "strangers" else split).reduced(SHARE)
    parts = examples(split, "none", HostSettings.from_environment())
    return {
        "dataset": "ml-100k",
        "split": split.key,
        "seeds": seeds,
        "config": FULL.model_dump(mode="json"),
        "share_of_training_rows": SHARE,
        **_compared(setting, split, parts, seeds),
    }


def with_strangers(split: BenchSplit) -> BenchSplit:
    """The split with a block of consumers in test alone, with all their rows."""
    frame = split.train.interactions.frame
    consumers = np.sort(frame["consumer_id"].unique())
    hidden = np.random.default_rng(HIDDEN_SEED).permutation(consumers)[: int(HIDDEN * len(consumers))]
    rows = pd.concat([part[HELD_OUT_COLUMNS] for part in (frame, split.valid, split.test)])
    test = rows[rows["consumer_id"].isin(hidden)].sort_values("row").reset_index(drop=True)
    kept = frame[~frame["consumer_id"].isin(hidden)].reset_index(drop=True)
    valid = split.valid[~split.valid["consumer_id"].isin(hidden)].reset_index(drop=True)
    train = replace(split.train, interactions=Interactions(kept))
    return replace(split, name=f"{split.name}-strangers", train=train, valid=valid, test=test)


def _compared(name: str, split: BenchSplit, parts: Examples, seeds: int) -> dict[str, Any]:
    """AUC on test rows by variant, with differences from all parts."""
    who, liked = parts.test.batch.consumers.consumer_ids, parts.test.liked
    scores: dict[str, list[NDArray[np.float32]]] = {variant: [] for variant in ASKED[name]}
    grounds, notes = dict[str, ExplainRec](), dict[str, Any]()
    for seed in range(seeds):
        for variant in ASKED[name]:
            method = ExplainRec(FULL.model_copy(update=VARIANTS[variant]), split.train.scale)
            method.fit_like(grounds.get(variant, grounds.get("full")), parts.train, parts.valid, RunContext(seed=seed))
            grounds.setdefault(variant, method)
            scores[variant].append(method.score(parts.test.batch).click)
            typer.echo(f"{name} {variant} seed {seed}", err=True)
            if seed == 0:
                notes[variant] = _noted(method, parts)
    stacked = {variant: np.stack(made) for variant, made in scores.items()}
    popularity = np.nan_to_num(parts.test.batch.products.numeric[:, 0])
    means = np.nan_to_num(parts.test.batch.products.numeric[:, 3], nan=float(parts.train.liked.mean()))
    return {
        "rows": {"train": len(parts.train), "valid": len(parts.valid), "test": len(parts.test)},
        "test_consumers": len(np.unique(who)),
        "auc": {
            variant: {
                "auc": rounded(auc_interval(who, liked, made)),
                "minus_full": rounded(auc_difference(who, liked, stacked["full"], made)),
                "minus_popularity": rounded(auc_difference(who, liked, popularity, made)),
            }
            for variant, made in stacked.items()
        },
        "popularity": rounded(auc_interval(who, liked, popularity)),
        "product_liked_share": rounded(auc_interval(who, liked, means)),
        "notes": notes,
    }


def _noted(method: ExplainRec, parts: Examples) -> dict[str, Any]:
    """What the record says, and of an attribution whether it agrees and what its evidence is worth."""
    record = method.record
    noted: dict[str, Any] = {
        "task_cosines": record.task_cosines,
        "prototypes": record.n_prototypes,
        "hidden_rows": record.n_hidden,
    }
    if method.knowledge is not None:
        noted["patterns"] = method.knowledge.patterns[:3]
    if method.config.attribution:
        some = parts.test.batch.take(np.arange(min(N_DELETED, len(parts.test))))
        made = method.attribute(some)
        noted["label_reason_agreement"] = round(float(np.mean([it.agrees for it in made])), 4)
        noted["contradictions"] = sum(not it.agrees for it in made)
        noted["deletion"] = deletion_effects(method, some, seed=0)
    return noted
