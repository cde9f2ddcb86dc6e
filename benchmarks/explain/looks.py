"""ML latest-small: what looks of new films are worth, and whether it is their looks.

The fixed split `cold-item-0`: test films have no training event, so a score rests on text and looks. Looks are seven
features of trailers that half of the films have. Controls: no vision, the same vectors given to other films, and looks
taken away from more and more of the test films.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.explain.parts import LIGHT, SHARE
from benchmarks.explain.students import rounded
from benchmarks.lr.examples import examples
from benchmarks.lr.splits import load_split
from features.errors import InputError
from features.settings import HostSettings
from features.visuals import VisualTable
from models.base import RunContext
from models.evaluate import auc_difference, auc_interval
from models.methods.explain_rec import ExplainRec, ExplainRecConfig

FULL = ExplainRecConfig(collaborative=LIGHT, knowledge_base=False, epochs=8, patience=2)
"""Without prototypes: consumers are known here."""
LEFT = (0.5, 0.0)
"""Shares of the test films' looks that are left."""


def measured(seeds: int) -> dict[str, Any]:
    """AUC on films that training never saw, and on those of them that have looks."""
    split = load_split("ml-latest-small", "cold-item-0").reduced(SHARE)
    looks = VisualTable.of(split.train.catalog.visuals)
    if looks is None:
        raise InputError("ml-latest-small has no visual features.", remedy="Put the trailers' file beside its ratings.")
    parts = examples(split, "none", HostSettings.from_environment())
    who, liked, what = parts.test.batch.consumers.consumer_ids, parts.test.liked, parts.test.batch.products.product_ids
    scores: dict[str, list[NDArray[np.float32]]] = {}
    ground: ExplainRec | None = None
    for seed in range(seeds):
        shown = {"vision": looks, "no-vision": None, "shuffled": looks.shuffled(seed)}
        for name, table in shown.items():
            method, test = ExplainRec(FULL, split.train.scale), parts.test
            method.fit_like(ground, parts.train, parts.valid, RunContext(seed=seed, visuals=table))
            ground = ground or method
            scores.setdefault(name, []).append(method.score(test.batch).click)
            if name == "vision":
                for left in LEFT:
                    scores.setdefault(f"vision, {left:.0%} left", []).append(
                        method.seeing(fewer(looks, what, left, seed)).score(test.batch).click
                    )
            typer.echo(f"{name} seed {seed}", err=True)
    seen = looks.of_products(what)[1]
    return {
        "dataset": split.dataset,
        "split": split.key,
        "seeds": seeds,
        "config": FULL.model_dump(mode="json"),
        "share_of_training_rows": SHARE,
        "rows": {"train": len(parts.train), "valid": len(parts.valid), "test": len(liked)},
        "test_rows_with_looks": round(float(seen.mean()), 4),
        "all_new_films": _table(scores, who, liked, np.ones(len(liked), bool)),
        "new_films_with_looks": _table(scores, who, liked, seen),
    }


def fewer(looks: VisualTable, tested: NDArray[np.object_], left: float, seed: int) -> VisualTable:
    """The looks without some of those of the tested films."""
    films = np.unique(tested.astype(str))
    gone = set(np.random.default_rng(seed).permutation(films)[: round((1 - left) * len(films))])
    kept = [row for row, film in enumerate(looks.product_ids) if film not in gone]
    return VisualTable(tuple(looks.product_ids[row] for row in kept), looks.values[kept])


def _table(
    scores: dict[str, list[NDArray[np.float32]]], who: NDArray[Any], liked: NDArray[Any], rows: NDArray[np.bool_]
) -> dict[str, Any]:
    made = {name: np.stack(each)[:, rows] for name, each in scores.items()}
    who, liked = who[rows], liked[rows]
    return {
        name: {
            "auc": rounded(auc_interval(who, liked, each)),
            "minus_no_vision": rounded(auc_difference(who, liked, made["no-vision"], each)),
            "minus_shuffled": rounded(auc_difference(who, liked, made["shuffled"], each)),
        }
        for name, each in made.items()
    }
