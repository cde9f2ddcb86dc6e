"""The tables of `docs/methods/lr_recsys.md`, from the result files of its proof."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.comparison.markdown import as_table, signed
from benchmarks.comparison.readers import most_compared
from benchmarks.lr.settings import AT_RANDOM, PLANS
from benchmarks.lr.variants import QUICK, SHARES, VARIANTS
from benchmarks.lr.world import WORLD

_REAL = [name for name in PLANS if name != WORLD]
_CONTROLS = {
    "no_expl": "without texts",
    "shuffled": "shuffled texts",
    "random": "random words",
    "product_text": "product text",
    "summary": "summaries",
    "pos_only": "for alone",
    "neg_only": "against alone",
}
_ARMS = {
    "no texts": "none",
    "composed": "of consumers and products, composed",
    "pairs_all": "and those of every pair that is scored",
    "pairs_alone": "of pairs alone, as published",
}
_RANKED = {name: told for name, told in _CONTROLS.items() if name in QUICK}
Splits = dict[str, dict[str, Any]]
"""Contents of the result files of a dataset, by split in the plan's order."""


def tables(results: Path) -> dict[str, str]:
    """Every table by its name in the document."""
    splits = {dataset: _splits(results / "lr_recsys" / "variants", dataset) for dataset in PLANS}
    made: dict[str, Callable[[], str]] = {
        "worlds": lambda: _gains([WORLD], splits),
        "gains": lambda: _gains(_REAL, splits),
        "peers": lambda: _peers(splits),
        "ground": lambda: _ground(results),
        "variants": lambda: _variants(splits),
        "curves": lambda: _curves(splits),
        "granularity": lambda: _granularity(results),
        "ranked": lambda: _ranked(results),
    }
    return {name: make() for name, make in made.items()}


def _splits(folder: Path, dataset: str) -> Splits:
    """What the files of a dataset hold, where there are any."""
    files = {name: folder / dataset / f"{name}.json" for name in PLANS[dataset].splits}
    return {name: _read(file) for name, file in files.items() if file.exists()}


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def _gains(datasets: Sequence[str], splits: Mapping[str, Splits]) -> str:
    """RMSE of the full method, and how much it differs from each control: below 0 is better."""
    rows = []
    for dataset in datasets:
        for split, found in splits[dataset].items():
            gaps = [_gap(found["against_controls"], name, "rmse") for name in _CONTROLS]
            rows.append([_linked(dataset, split), _metric(found, "full", "rmse"), *gaps])
    return as_table(["split", "full", *(f"less {told}" for told in _CONTROLS.values())], rows)


def _peers(splits: Mapping[str, Splits]) -> str:
    """The full method against the peer that it is least ahead of, and how far its chances can be trusted."""
    head = ["split", "RMSE", "without texts", "AUC", "hardest peer", "full less it, RMSE", "AUC", "ECE (by chance)"]
    rows = []
    for dataset in _REAL:
        rows += [_peer_cells(dataset, split, found) for split, found in splits[dataset].items()]
        at_random = [found for split, found in splits[dataset].items() if split in AT_RANDOM]
        if len(at_random) == len(AT_RANDOM):
            rows.append(_mean_cells(dataset, at_random))
    return as_table(head, rows)


def _peer_cells(dataset: str, split: str, found: dict[str, Any]) -> list[str]:
    full = found["variants"]["full"]
    ece = f"{full['mean']['ece']:.3f} ({full['ece_by_chance']:.3f})"
    own = [_metric(found, *it) for it in (("full", "rmse"), ("no_expl", "rmse"), ("full", "auc"))]
    return [_linked(dataset, split), *own, *_hardest_cells(found["against_peers"]), ece]


def _mean_cells(dataset: str, at_random: Sequence[dict[str, Any]]) -> list[str]:
    """Means over the splits at random; of the peers that were run on all, the best one's."""
    own = [
        f"**{mean(it['variants'][name]['mean'][metric] for it in at_random):.4f}**"
        for name, metric in (("full", "rmse"), ("no_expl", "rmse"), ("full", "auc"))
    ]
    everywhere = set.intersection(*(set(it["against_peers"]) for it in at_random))
    by_peer = {peer: mean(it["against_peers"][peer]["rmse"]["a"] for it in at_random) for peer in everywhere}
    best = min(by_peer, key=by_peer.__getitem__, default="")
    return [f"{dataset}, mean at random", *own, f"{best} {by_peer[best]:.4f}" if best else "", "", "", ""]


def _hardest_cells(against: Mapping[str, Any]) -> list[str]:
    """The hardest peer, and the differences to it in RMSE and AUC."""
    name, gaps = hardest(against)
    return [name, *(_told(gaps[metric]) for metric in ("rmse", "auc"))] if name else ["none was run", "", ""]


def hardest(against: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The peer with the least error, and what it is compared by; nothing where no peer was run."""
    name = min(against, key=lambda peer: against[peer]["rmse"]["a"], default="")
    return name, against.get(name, {})


def _ground(results: Path) -> str:
    """What ratings alone say, one member: biases, the belief, the network, and the hardest peer."""
    rows = []
    for dataset in _REAL:
        for split, found in _splits(results / "lr_recsys" / "ground", dataset).items():
            fitted = [f"{found['fitted'][it]['test']['rmse']:.4f}" for it in ("bias", "ground", "network")]
            minus = found["network_minus"]
            peers = {name: it for name, it in minus.items() if name not in found["fitted"]}
            over = [_gap(minus, "bias", metric) for metric in ("rmse", "auc")]
            rows.append([f"{dataset}, `{split}`", *fitted, *over, *_hardest_cells(peers)])
    head = ["split", "biases", "belief alone", "network", "network less biases, RMSE", "AUC", "hardest peer",
            "network less it, RMSE", "AUC"]  # fmt: skip
    return as_table(head, rows)


def _variants(splits: Mapping[str, Splits]) -> str:
    """Test RMSE of every variant on all rows: the mean over those splits of a dataset on which most were run."""
    whole = {
        dataset: most_compared([found[split] for split in PLANS[dataset].whole if split in found])
        for dataset, found in splits.items()
        if PLANS[dataset].whole
    }
    rows = []
    for name, variant in VARIANTS.items():
        if variant.fraction == 1:
            found = [[it["variants"][name]["mean"]["rmse"] for it in runs if name in it["variants"]]
                     for runs in whole.values()]  # fmt: skip
            full = zip(found, whole.values(), strict=True)
            rows.append([f"`{name}`", *(f"{mean(it):.4f}" if it and len(it) == len(runs) else "" for it, runs in full)])
    return as_table(["variant", *(f"{dataset} ({len(runs)})" for dataset, runs in whole.items())], rows)


def _curves(splits: Mapping[str, Splits]) -> str:
    """Test RMSE by the share of the training rows, with texts and without."""
    curves = {
        f"{dataset} `{plan.curve}`": splits[dataset][plan.curve]
        for dataset, plan in PLANS.items()
        if plan.curve in splits[dataset]
    }
    rows = []
    for share in (*SHARES, 1):
        names = [f"{name}@{share:g}" if share < 1 else name for name in ("full", "no_expl")]
        told = [_metric(found, name, "rmse") for found in curves.values() for name in names]
        rows.append([f"{share:.1%}".replace(".0%", "%").replace("%", " %"), *told])
    head = [f"{where}, {what}" for where in curves for what in ("full", "without texts")]
    return as_table(["share of the training rows", *head], rows)


def _granularity(results: Path) -> str:
    """Texts of entities, of some pairs beside them, and of pairs alone: what they cost and what they gain."""
    rows = []
    for file in sorted((results / "lr_recsys").glob("granularity-*.json")):
        content = _read(file)
        for name, arm in content["arms"].items():
            told = _ARMS.get(name) or f"and {float(name.partition('@')[2]):.0%} of the pairs".replace("%", " %")
            pairs = arm["pairs"] or {"lines": 0}
            gap = _gap({name: arm.get("against_composed", {})}, name, "rmse")
            cells = [told, f"{arm['requests']:,}", f"{pairs['lines']:,}", f"{arm['mean']['rmse']:.4f}", gap]
            rows.append([content["split"], *cells])
    return as_table(["split", "texts", "requests", "lines bought for pairs", "RMSE", "less composed"], rows)


def _ranked(results: Path) -> str:
    """NDCG@10 over the whole catalogue with reasons as experts, by seed of the blend against each control."""
    files = [results / "lr_recsys" / "ranked" / f"{dataset}.json" for dataset in _REAL]
    metric, rows = "ndcg@10/full", []
    for content in (_read(file) for file in files if file.exists()):
        minus = [", ".join(_told(it[metric]) for it in content["full_minus"][name]) for name in _RANKED]
        peers = {name: it[metric] for name, it in content["minus_peers"]["full"].items()}
        least = min(peers, key=lambda name: peers[name]["b_minus_a"], default="")
        peer = f"{least} {_told(peers[least])}" if least else "none was run"
        own = [f"{content['means'][name][metric]:.4f}" for name in ("full", "no_expl")]
        rows.append([f"{content['dataset']}, `{content['split']}`", *own, *minus, peer])
    head = ["split", "NDCG@10", "without texts", *(f"over {told}, by seed" for told in _RANKED.values())]
    return as_table([*head, "over the hardest peer, first seed"], rows)


def _linked(dataset: str, split: str) -> str:
    return f"{dataset} [`{split}`](../../benchmarks/results/lr_recsys/variants/{dataset}/{split}.json)"


def _metric(found: dict[str, Any], variant: str, metric: str) -> str:
    told = found["variants"].get(variant)
    return f"{told['mean'][metric]:.4f}" if told else ""


def _gap(against: Mapping[str, Any], name: str, metric: str) -> str:
    """The difference to one of several, if it was made."""
    found = against.get(name, {}).get(metric)
    if not found:
        return ""
    return _told(found)


def _told(found: Mapping[str, Any]) -> str:
    """A difference of the benchmark's script, in bold where its interval leaves out 0."""
    low, high = found["interval95"]
    told = signed(found["b_minus_a"], low, high)
    return f"**{told}**" if low > 0 or high < 0 else told
