"""Do the facts that are chosen name the planted reasons? No language model takes part.

    python -m benchmarks.selection

On the built-in world every consumer has planted likes and aversions, every product strengths and weaknesses. What
`select` chooses for and against each is compared with them, beside a floor: the aspects that reviews by or of the
entity mention most often, whatever the rating; and beside what is possible: as many planted ones, all right. The rule
was developed on worlds of the seeds `DEVELOPED_ON`; the worlds measured here have others, and none was looked at
before. Writes benchmarks/results/explanations/selection.json.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.record import write_result
from features.evidence import EvidenceWindow
from features.facts import consumer_facts, product_facts
from features.readers.world import World, WorldConfig, generate_world
from features.readers.world_aspects import aspects_named
from features.types import STANCES, EntityKind, Fact, Snapshot, Stance
from features.wording import Wording
from models.evaluate import mean_with_interval
from models.explanations.facets import FacetConfig, by_entity, select

WORLDS = {
    "300 x 200 x 6,000": ((300, 200, 6000), range(500, 510)),
    "1,000 x 300 x 30,000": ((1000, 300, 30000), range(600, 603)),
}
"""Consumers, products and interactions, and the seeds of the worlds of that size."""
DEVELOPED_ON = (0, 1, 2, *range(100, 104))
CHOSEN = (1, 2, 4)
"""Facts per side."""
FIGURES = ("precision", "recall", "f1")

Side = tuple[EntityKind, Stance]
Named = Mapping[Side, Mapping[str, Sequence[str]]]
"""Aspects by side and entity, those chosen first in front."""


@dataclass(frozen=True)
class Score:
    """How far what was named agrees with what was planted, over all entities of a world."""

    precision: float
    recall: float
    f1: float


def planted(world: World) -> dict[Side, dict[str, tuple[str, ...]]]:
    """The truth by side."""
    truth = world.truth
    return {
        (EntityKind.CONSUMER, Stance.FOR): truth.consumer_likes,
        (EntityKind.CONSUMER, Stance.AGAINST): truth.consumer_aversions,
        (EntityKind.PRODUCT, Stance.FOR): truth.product_strengths,
        (EntityKind.PRODUCT, Stance.AGAINST): truth.product_weaknesses,
    }


def gathered(snapshot: Snapshot) -> list[Fact]:
    """All facts of a world."""
    window, wording = EvidenceWindow(), Wording(many="headphones")
    return [*consumer_facts(snapshot, window, wording), *product_facts(snapshot, window, wording)]


def chosen_aspects(facts: Sequence[Fact], k: int) -> Named:
    """What the selection names: the aspects in the chosen facts' texts."""
    named: dict[Side, dict[str, list[str]]] = {(kind, stance): {} for kind in EntityKind for stance in STANCES}
    for (kind, entity), group in by_entity(facts).items():
        for stance, fact in select(group, FacetConfig(n_per_stance=k)):
            named[kind, stance].setdefault(entity, []).extend(sorted(aspects_named(fact.text)))
    return named


def frequent_aspects(snapshot: Snapshot, k: int) -> Named:
    """The floor: the aspects mentioned most often in the reviews by, or of, an entity; the same on both sides."""
    frame = snapshot.interactions.frame
    named: dict[Side, dict[str, list[str]]] = {}
    for kind in EntityKind:
        codes, ids = frame[f"{kind}_id"].factorize()
        inside = frame[EvidenceWindow().mask(codes.astype(np.int64))]
        counts: dict[str, Counter[str]] = {str(entity): Counter() for entity in ids}
        for entity, review in zip(inside[f"{kind}_id"], inside["review"], strict=True):
            counts[str(entity)].update(sorted(aspects_named(review or "")))
        most = {entity: [name for name, _ in counted.most_common(k)] for entity, counted in counts.items()}
        named |= {(kind, stance): most for stance in STANCES}
    return named


def possible(truth: Mapping[Side, Mapping[str, Sequence[str]]], k: int) -> Named:
    """What naming `k` per side can reach at most: planted ones only."""
    return {side: {entity: names[:k] for entity, names in of.items()} for side, of in truth.items()}


def score(named: Mapping[str, Sequence[str]], truth: Mapping[str, Sequence[str]]) -> Score:
    """Precision, recall and F1 over all entities that occur; naming nothing costs recall only."""
    said = {entity: set(names) for entity, names in named.items()}
    right = sum(len(names & set(truth[entity])) for entity, names in said.items())
    precision = right / max(1, sum(map(len, said.values())))
    recall = right / sum(map(len, truth.values()))
    return Score(precision, recall, 2 * precision * recall / max(1e-9, precision + recall))


Run = dict[int, dict[str, dict[str, Score]]]
"""Scores by number of facts per side, method and side."""


def measure(size: tuple[int, int, int], seed: int) -> Run:
    """Scores of the floor and the selection on one world."""
    n_consumers, n_products, n_interactions = size
    world = generate_world(
        WorldConfig(seed=seed, n_consumers=n_consumers, n_products=n_products, n_interactions=n_interactions)
    )
    data = world.dataset
    last = data.interactions.frame["timestamp"].max()
    snapshot = Snapshot(data.interactions, data.catalog, data.scale, last.to_pydatetime())
    truth, facts = planted(world), gathered(snapshot)
    named = {
        k: {
            "floor": frequent_aspects(snapshot, k),
            "selection": chosen_aspects(facts, k),
            "possible": possible(truth, k),
        }
        for k in CHOSEN
    }
    return {
        k: {
            method: {f"{kind} {stance}": score(by_side[kind, stance], truth[kind, stance]) for kind, stance in truth}
            for method, by_side in methods.items()
        }
        for k, methods in named.items()
    }


def summary(runs: Sequence[Run]) -> dict[str, Any]:
    """Means over the worlds with intervals, by number of facts, side and method; what selection adds to the floor."""
    return {
        f"{k} per side": {
            side: {
                **{name: _figures([run[k][name][side] for run in runs]) for name in methods},
                "selection minus floor": _over_worlds(
                    [run[k]["selection"][side].f1 - run[k]["floor"][side].f1 for run in runs]
                ),
            }
            for side in methods["floor"]
        }
        for k, methods in runs[0].items()
    }


def _figures(scores: Sequence[Score]) -> dict[str, Any]:
    return {figure: _over_worlds([getattr(one, figure) for one in scores]) for figure in FIGURES}


def _over_worlds(values: Sequence[float]) -> dict[str, float]:
    """The mean, and its 95 % interval by a bootstrap over worlds."""
    mean = mean_with_interval(np.array(values), np.arange(len(values)))
    return {name: round(value, 3) for name, value in asdict(mean).items()}


def main() -> None:
    """Measures all worlds and writes the result after each, so that a run that is stopped leaves what it has."""
    figures = {}
    for size, (shape, seeds) in WORLDS.items():
        runs: list[Run] = []
        for seed in seeds:
            runs.append(measure(shape, seed))
            figures[size] = {"seeds": list(seeds[: len(runs)]), **summary(runs)}
            content = {"developed_on": DEVELOPED_ON, "figure of the difference": "f1", "worlds": figures}
            print(write_result("explanations/selection", content), size, seed, flush=True)


if __name__ == "__main__":
    main()
