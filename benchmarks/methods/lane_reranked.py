"""LANE's lists with their first products ordered anew, against LANE's own, and the controls of what orders them.

    python -m benchmarks.methods --method lane_reranked --dataset amazon-musical-instruments [--valid]

Every variant of a seed rests on the same trained `lane`, which is read where a run of that method left it and trained
if there is none. Lists are with full trust, so that variants can be told apart; `trust` is what valid would choose, 0
for LANE's own lists.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from benchmarks.methods import lane
from benchmarks.methods.lists import SPLIT, Judge, Ranked, means, table
from benchmarks.methods.sequences import CHOSEN as BACKBONES
from benchmarks.methods.sequences import on_valid
from benchmarks.record import write_result
from features.settings import BenchFolders
from features.types import content_hash
from models.backbones.attention import TextSets
from models.backbones.sequences.aligned import KnownTexts
from models.backbones.sequences.reranking import TRUSTS, RerankConfig, RerankedNetwork, TargetAware, train_reranking
from models.base import RunContext
from models.training import seeded


@dataclass(frozen=True)
class Variant:
    """What orders the first products of `lane`."""

    preferences: str = "own"
    """`own`, `other` (another consumer's) or `none` (the same layers, whose texts are zero)."""
    uniform: bool = False
    """Every preference with the same weight, whatever the product."""


LANE, RERANKED = "lane", "reranked"
VARIANTS = {
    RERANKED: Variant(),
    "reranked_mean": Variant(uniform=True),
    "reranked_other": Variant("other"),
    "reranked_none": Variant("none"),
}
CONFIG = RerankConfig(n_first=50)


def run(dataset: str, folders: BenchFolders, seeds: int, variants: tuple[str, ...], valid: bool) -> str:
    """Trains each variant with each seed, and returns what was written or measured."""
    given = lane.read_given(dataset, folders)
    judge = Judge(dataset, "lane", folders, given.events)
    bases = [lane.kept_row(given, judge, LANE, lane.VARIANTS[LANE], seed) for seed in range(seeds)]
    chosen, fitted = {name: VARIANTS[name] for name in variants or VARIANTS}, partial(_fitted, given, dataset)
    if valid:
        made = (fitted(name, it, seed, judge.output) for seed in range(seeds) for name, it in chosen.items())
        return "\n".join(
            [*(f"{LANE:20} {row['seed']} {row['valid_ndcg@10/full']:.4f}" for row in bases), on_valid(made)]
        )
    rows = bases + [
        judge.kept(name, seed, _made_from(dataset, it), partial(fitted, name, it, seed, judge.output))
        for seed in range(seeds)
        for name, it in chosen.items()
    ]
    if variants:
        return table(rows)
    others = [name for name in (LANE, *chosen) if name != RERANKED]
    figures = {
        "dataset": dataset,
        "split": SPLIT,
        "fitted_on": "train",
        "config": {**CONFIG.model_dump(), "trusts": TRUSTS},
        "trust": {name: [trust(judge.output, name, seed) for seed in range(seeds)] for name in chosen},
        "means": means(rows),
        "rows": rows,
        "reranked_minus": {other: [judge.minus(RERANKED, other, seed) for seed in range(seeds)] for other in others},
    }
    return write_result(f"methods/lane-reranked-{dataset}", figures).read_text()


def _fitted(given: lane.Given, dataset: str, name: str, variant: Variant, seed: int, folder: Path) -> Ranked:
    """What orders the lists of the seed's `lane` in the folder, trained; it is left beside it."""
    config, settings = BACKBONES[dataset]["sasrec"], lane.SETTINGS[dataset]
    base = lane.read_lane(given, dataset, _weights(folder, LANE, seed))
    with seeded(seed):
        width = given.preferences.sets.keys.shape[-1]
        aware = TargetAware(config.embedding_size, width, settings.heads, settings.dropout, variant.uniform)
    network = RerankedNetwork(base, aware, CONFIG.n_first, _texts(given, variant, seed))
    histories = given.events.histories("train")
    fit = train_reranking(network, histories, config.length, CONFIG, RunContext(seed=seed), given.held_out)
    fit = replace(fit, valid_loss=fit.valid_loss[:-1])  # the last is that of the chosen trust
    kept = {part: value for part, value in network.state_dict().items() if part.startswith(("aware.", "trust"))}
    save_file(kept, _weights(folder, name, seed))
    network.trust.fill_(1)
    return Ranked(name, seed, lane.lists_of(given, network, config), fit)


def trust(folder: Path, name: str, seed: int) -> float:
    """What valid chose for a variant."""
    return float(load_file(_weights(folder, name, seed))["trust"])


def _texts(given: lane.Given, variant: Variant, seed: int) -> KnownTexts:
    """What orders the lists asks these."""
    known = given.preferences.known
    if variant.preferences == "other":
        return given.preferences.of_others(given.events.histories("train"), seed)
    if variant.preferences == "none":
        return replace(known, sets=TextSets(torch.zeros_like(known.sets.keys), known.sets.log_weights))
    return known


def _weights(folder: Path, name: str, seed: int) -> Path:
    return folder / f"{name}-{seed}.safetensors"


def _made_from(dataset: str, variant: Variant) -> str:
    """Hash of everything that a run was made from but its seed and the `lane` beneath."""
    beneath = lane.made_from(dataset, lane.VARIANTS[LANE])
    return content_hash(asdict(variant), CONFIG.model_dump(), TRUSTS, beneath)
