"""Entity against pair granularity: how many texts of pairs are worth buying, beside those of consumers and products.

    python -m benchmarks.lr.generate world/seed-211 --pairs
    python -m benchmarks.lr_granularity

Each arm trains the same network on the same rows. `composed` has texts of consumers and products alone, U + I requests;
`pairs@S` adds two texts for each of a share S of the training pairs that may see any, towards which the composer is
trained, and composes held-out pairs; `pairs_all` has texts of held-out pairs too; `pairs_alone` has nothing else, as
published. Runs are kept in COUNTERPOINT_HOME, so a stopped comparison goes on. Writes
`benchmarks/results/lr_recsys/granularity-<dataset>.json` and a picture of cost against quality.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.lr.figures import draw_costs
from benchmarks.lr.judge import Scorer, scorer
from benchmarks.lr.pair_texts import PairCost, pair_cost
from benchmarks.lr.runs import Run, run_variant
from benchmarks.lr.settings import config_of
from benchmarks.lr.splits import BenchSplit
from benchmarks.lr.texts import BOUGHT_SHARES, PAIR_SETS
from benchmarks.lr.variants import VARIANTS, Variant
from benchmarks.lr.wording import read_facets
from benchmarks.lr.world import WORLD, split_of
from benchmarks.record import RESULTS, write_result
from features.lake import Lake
from features.settings import BenchFolders, HostSettings
from models.base import RunContext
from models.methods.lr_recsys import LRRecsysConfig

COMPOSED = "composed"
ARMS = {
    "no texts": VARIANTS["no_expl"],
    COMPOSED: VARIANTS["full"],
    **{name: Variant(name, name) for name in PAIR_SETS},
}
"""What is trained, by name."""


def main(
    dataset: Annotated[str, typer.Option(help="A folder of the benchmark's splits, or the built-in world.")] = WORLD,
    split: Annotated[str, typer.Option(help="One of its splits at random.")] = "seed-211",
    seeds: Annotated[int, typer.Option(help="Members trained together.")] = 5,
) -> None:
    """Runs what was not run yet, writes the figures and prints them."""
    settings = HostSettings.from_environment()
    folders = None if dataset == WORLD else BenchFolders.from_environment()
    loaded, config = split_of(dataset, split, folders), config_of(dataset).model_copy(update={"members": seeds})
    figures = compared(loaded, config, settings, scorer(loaded, folders))
    path = write_result(f"lr_recsys/granularity-{dataset}", figures)
    draw_costs(figures, path.with_suffix(".png"))
    typer.echo(table(figures))
    typer.echo(f"written to {path.relative_to(Path(RESULTS).parent.parent)}")


def compared(split: BenchSplit, config: LRRecsysConfig, settings: HostSettings, score: Scorer) -> dict[str, Any]:
    """Cost and quality of every arm, and each against the composed one. Raises InputError if texts are missing."""
    lake, runs = Lake(settings.lake), dict[str, Run]()
    costs = {name: arm_cost(split, lake, name) for name in ARMS}
    for number, (name, variant) in enumerate(ARMS.items(), 1):
        sys.stderr.write(f"{split.key}: {name} ({number} of {len(ARMS)})\n")
        runs[name] = run_variant(split, variant, config, settings, RunContext())
    arms = {name: {**costs[name], **_quality(name, runs, score)} for name in ARMS}
    return {"split": split.key, "config": config.model_dump(mode="json"), "arms": arms}


def arm_cost(split: BenchSplit, lake: Lake, name: str) -> dict[str, Any]:
    """Requests of an arm: one per consumer and product with facts where it has facets, two per pair with texts."""
    pairs = _pair_cost(split, lake, name)
    facets = read_facets(split, lake).groupby(["entity_kind", "entity_id"]).ngroups
    entities = 0 if name in ("no texts", "pairs_alone") else facets
    cost = {"entity_requests": entities, "requests": entities + (pairs.requests if pairs else 0)}
    return {**cost, "pairs": asdict(pairs) if pairs else None}


def _pair_cost(split: BenchSplit, lake: Lake, name: str) -> PairCost | None:
    shares = {f"pairs@{share:g}": share for share in BOUGHT_SHARES}
    if name in shares:
        return pair_cost(split, lake, shares[name], held_out=False)
    return pair_cost(split, lake) if name in PAIR_SETS else None


def _quality(name: str, runs: dict[str, Run], score: Scorer) -> dict[str, Any]:
    """Figures of an arm's run, and its paired difference to the composed one."""
    run, base = runs[name], runs[COMPOSED]
    against = {} if name == COMPOSED else {"against_composed": score([base.file, run.file])["compare"]}
    found = {"mean": score([run.file]), "rmse_of_seeds": run.rmse, "valid_rmse": run.valid_rmse, "epochs": run.epochs}
    return {**found, "commit": run.commit, **against}


def table(figures: dict[str, Any]) -> str:
    """The figures for a terminal."""
    lines = [f"{figures['split']:<20}{'requests':>9}{'bought lines':>13}{'rmse':>9}{'auc':>8}   minus composed, rmse"]
    for name, arm in figures["arms"].items():
        bought = arm["pairs"]["lines"] if arm["pairs"] else 0
        line = f"  {name:<18}{arm['requests']:>9}{bought:>13}{arm['mean']['rmse']:>9.4f}{arm['mean']['auc']:>8.4f}"
        if gap := arm.get("against_composed", {}).get("rmse"):
            low, high = gap["interval95"]
            line += f"   {gap['b_minus_a']:+.4f} ({low:+.4f} to {high:+.4f})"
        lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
