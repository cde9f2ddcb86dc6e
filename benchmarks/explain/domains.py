"""ExplainRec trained on some domains and asked in another: no consumer, no product and no event is shared.

Ids begin with the name of their domain, so that none can be the same, and that none is is checked; from films to films
the same film stands under two ids, with the same title. What is left to carry over are texts of products, what is told
of consumers, and how ratings of any domain behave. Test rows are asked as they are (`known`: consumers with a history
in the target, which the method reads by the texts of the target's catalog) and as those of consumers of whom there is
no history, number or id (`strangers`). Prototypes are those of the sources; the target is left out of them by name. No
student takes part: heads are compared, with all parts and in TALLRec's mode, beside the target's own popularity, which
a method that never saw the target does not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.explain.parts import LIGHT, OFF
from benchmarks.explain.students import rounded
from benchmarks.lr.examples import Examples, examples
from benchmarks.lr.splits import load_split
from features.batch import ConsumerBlock, FeatureBatch, Ids, ProductBlock, TrainingSet
from features.errors import InputError
from features.settings import HostSettings
from features.types import RatingScale
from models.base import RunContext
from models.evaluate import auc_difference, auc_interval
from models.explain_rec.inputs import as_strangers
from models.explain_rec.knowledge import KnowledgeConfig
from models.methods.explain_rec import ExplainRec, ExplainRecConfig

MARK = "/"
FULL = ExplainRecConfig(
    collaborative=LIGHT, epochs=8, patience=2, vision=False, knowledge=KnowledgeConfig(domain_mark=MARK)
)
VARIANTS: dict[str, dict[str, Any]] = {"full": {}, "text-only": OFF, "no-knowledge-base": {"knowledge_base": False}}
SHARES = {"ml-100k": 0.25, "ml-latest-small": 0.25}
"""Of the training rows of larger datasets; in a target they are what features are made of."""


class Case(NamedTuple):
    """Where a method is trained and where it is asked."""

    sources: tuple[str, ...]
    target: str


CASES = {
    "films-to-films": Case(("ml-100k",), "ml-latest-small"),
    "films-to-instruments": Case(("ml-100k",), "amazon-musical-instruments"),
    "instruments-to-beauty": Case(("amazon-musical-instruments",), "amazon-beauty"),
    "films-and-instruments-to-beauty": Case(("ml-100k", "amazon-musical-instruments"), "amazon-beauty"),
}


class Domain(NamedTuple):
    """A dataset's rows on its own scale, with the name of its domain in all ids."""

    parts: Examples
    scale: RatingScale


def measured(cases: Sequence[str], seeds: int) -> dict[str, Any]:
    """Each case on so many seeds. Raises InputError on a case that is not known."""
    if unknown := [name for name in cases if name not in CASES]:
        raise InputError(f"There is no case {unknown[0]!r}.", f"There are {', '.join(CASES)}.")
    names = sorted({name for case in cases for name in (*CASES[case].sources, CASES[case].target)})
    domains = {name: _domain(name) for name in names}
    return {
        "split": "random-0",
        "seeds": seeds,
        "config": FULL.model_dump(mode="json"),
        "shares_of_training_rows": SHARES,
        "cases": {name: _case(name, CASES[name], domains, seeds) for name in cases},
    }


def _domain(name: str) -> Domain:
    split = load_split(name, "random-0").reduced(SHARES.get(name, 1.0))
    parts = examples(split, "none", HostSettings.from_environment())
    return Domain(Examples(*(named(part, name) for part in parts)), split.train.scale)


def named(rows: TrainingSet, domain: str) -> TrainingSet:
    """The rows with the domain's name before every id."""
    who, what = rows.batch.consumers, rows.batch.products
    consumers = replace(who, consumer_ids=_named(who.consumer_ids, domain), history_ids=_named(who.history_ids, domain))
    products = replace(what, product_ids=_named(what.product_ids, domain))
    return replace(rows, batch=replace(rows.batch, consumers=consumers, products=products))


def _named(ids: Ids, domain: str) -> Ids:
    """An absent id stays empty."""
    distinct, place = np.unique(ids.astype(str), return_inverse=True)
    whole = np.array([f"{domain}{MARK}{it}" if it else "" for it in distinct], object)
    return whole[place].reshape(ids.shape)


def rescaled(rows: TrainingSet, own: RatingScale, other: RatingScale) -> TrainingSet:
    """Stars as on another scale, in outcomes and features; what is liked stays what it was."""
    width = (other.high - other.low) / (own.high - own.low)

    def stars(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return (other.low + (values - own.low) * width).astype(np.float32)

    def numbers(block: ConsumerBlock | ProductBlock) -> NDArray[np.float32]:
        """Column 1 is a mean in stars, 2 a deviation, and a product's 4 its consumers' mean."""
        changed = block.numeric.copy()
        means = [1, 4] if isinstance(block, ProductBlock) else [1]
        changed[:, means], changed[:, 2] = stars(changed[:, means]), changed[:, 2] * width
        return changed

    who, what = rows.batch.consumers, rows.batch.products
    consumers = replace(who, numeric=numbers(who), history_ratings=stars(who.history_ratings))
    batch = replace(rows.batch, consumers=consumers, products=replace(what, numeric=numbers(what)))
    return replace(rows, batch=batch, rating=stars(rows.rating))


def disjoint(sources: Sequence[TrainingSet], target: FeatureBatch) -> None:
    """Raises InputError where a source's row names a consumer or a product that the target names."""
    for part in sources:
        if shared := _ids(part.batch) & _ids(target):
            raise InputError(f"{len(shared)} ids are in source and target, as {min(shared)!r}.")


def _ids(batch: FeatureBatch) -> set[str]:
    who, what = batch.consumers, batch.products
    return {*who.consumer_ids, *who.history_ids.ravel(), *what.product_ids} - {""}


def _case(name: str, case: Case, domains: dict[str, Domain], seeds: int) -> dict[str, Any]:
    scale = domains[case.sources[0]].scale
    train, valid = (
        TrainingSet.joined([rescaled(domains[it].parts[part], domains[it].scale, scale) for it in case.sources])
        for part in (0, 1)
    )
    target = domains[case.target]
    test = rescaled(target.parts.test, target.scale, scale)
    disjoint([train, valid], test.batch)
    catalog = ProductBlock.joined([part.batch.products for part in target.parts])
    asked = {"known": test.batch, "strangers": as_strangers(test.batch, np.ones(len(test), bool))}
    scores: dict[str, dict[str, list[NDArray[np.float32]]]] = {it: {} for it in asked}
    notes: dict[str, Any] = {}
    for seed in range(seeds):
        like: ExplainRec | None = None
        for variant, change in VARIANTS.items():
            method = ExplainRec(_config(case, change), scale)
            method.fit_like(like, train, valid, RunContext(seed=seed))
            like = like or method
            wider = method.among(catalog)
            for setting, batch in asked.items():
                scores[setting].setdefault(variant, []).append(wider.score(batch).click)
            unread = scores["known"].setdefault(f"{variant}, histories not read", [])
            unread.append(method.score(test.batch).click)
            if method.knowledge is not None and seed == 0:
                notes = _noted(method)
            typer.echo(f"{name} {variant} seed {seed}", err=True)
    return {
        "sources": case.sources,
        "target": case.target,
        "rows": {"train": len(train), "valid": len(valid), "test": len(test)},
        "shared_ids": 0,
        "test_liked": round(float(test.liked.mean()), 4),
        "auc": {setting: _table(made, test) for setting, made in scores.items()},
        "notes": notes,
    }


def _config(case: Case, change: dict[str, Any]) -> ExplainRecConfig:
    knowledge = FULL.knowledge.model_copy(update={"left_out": (case.target,)})
    return FULL.model_copy(update={"knowledge": knowledge, **change})


def _noted(method: ExplainRec) -> dict[str, Any]:
    knowledge = method.knowledge
    assert knowledge is not None
    of_several = sum(len(domains) > 1 for domains in knowledge.domains)
    return {
        "prototypes": len(knowledge),
        "prototypes_of_several_domains": of_several,
        "patterns": knowledge.patterns[:3],
    }


def _table(scores: dict[str, list[NDArray[np.float32]]], test: TrainingSet) -> dict[str, Any]:
    """AUCs with differences from TALLRec's mode and from the target's own popularity; chance is 0.5."""
    who, liked = test.batch.consumers.consumer_ids, test.liked
    popularity = np.nan_to_num(test.batch.products.numeric[:, 0])
    own = np.nan_to_num(test.batch.products.numeric[:, 3], nan=0.5)
    made = {name: np.stack(each) for name, each in scores.items()}
    table: dict[str, Any] = {
        name: {
            "auc": rounded(auc_interval(who, liked, each)),
            "minus_text_only": rounded(auc_difference(who, liked, made["text-only"], each)),
            "minus_popularity": rounded(auc_difference(who, liked, popularity, each)),
        }
        for name, each in made.items()
    }
    table["target popularity"] = {"auc": rounded(auc_interval(who, liked, popularity))}
    table["target liked share of the product"] = {"auc": rounded(auc_interval(who, liked, own))}
    return table
