"""How well the embedded model words facts, tuned and as it comes: share that passes the gates, variety, speed.

    python -m benchmarks.wording --ml-100k DIR --musical-instruments DIR

The same facts of the same entities are worded by both: of the built-in world, which tuning never saw, and of real
catalogs. Writes benchmarks/results/explanations/wording.json, and with `--texts FILE` a sample of the texts to be read;
those of real catalogs quote people's reviews and are no part of a result.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.record import write_result
from features.evidence import EvidenceWindow
from features.facts import consumer_facts, product_facts
from features.readers.registry import read_dataset
from features.readers.world import WorldConfig, generate_world
from features.settings import HostSettings
from features.types import Completion, EntityKind, Fact, Snapshot, TextRequest
from features.wording import Wording
from models.explanations.facets import FacetConfig, Parsed, by_entity, facet_requests, parse_facets
from models.explanations.gates import TEMPLATE
from models.explanations.pairs import Pair, ParsedPairs, pair_requests, parse_pairs
from models.explanations.selection import choose_pairs
from models.llm.client import TextEngine
from models.metrics.explanation import has_common_opening

SEED = 0
SAMPLE = 100
"""Texts for reading, of facets and of pairs."""


@dataclass(frozen=True)
class Material:
    """What is worded of one dataset."""

    facts: list[Fact]
    pairs: list[Pair]
    wording: Wording


def material(snapshot: Snapshot, wording: Wording, n_entities: int, n_pairs: int) -> Material:
    """The facts of some entities, and some pairs, drawn by a fixed seed."""
    window, rng = EvidenceWindow(), random.Random(SEED)
    facts = [*consumer_facts(snapshot, window, wording), *product_facts(snapshot, window, wording)]
    groups = by_entity(facts)
    chosen = [
        entity
        for kind in EntityKind
        for entity in rng.sample(sorted(key for key in groups if key[0] is kind), n_entities)
    ]
    pairs = [pair for pair in choose_pairs(snapshot, facts, 10 * n_pairs) if rng.random() < 0.1]
    return Material([fact for entity in chosen for fact in groups[entity]], pairs, wording)


def datasets(
    world: bool, ml_100k: Path | None, instruments: Path | None, n_entities: int, n_pairs: int
) -> Iterator[tuple[str, Material]]:
    """The built-in world, and the real catalogs that are at hand: entities of each kind, and pairs, of each."""
    sources = [("world", None, "headphones"), ("ml-100k", ml_100k, "movies")]
    for name, folder, many in [*sources, ("musical-instruments", instruments, "products")]:
        if folder or (world and name == "world"):
            data = read_dataset("", folder) if folder else generate_world(WorldConfig()).dataset
            yield name, material(_snapshot(data), Wording(many=many), n_entities, n_pairs)


def _snapshot(data: Any) -> Snapshot:
    last = data.interactions.frame["timestamp"].max()
    return Snapshot(data.interactions, data.catalog, data.scale, last.to_pydatetime())


def measure(engine: TextEngine, of: Material) -> tuple[dict[str, Any], list[str]]:
    """What one model makes of one dataset: figures, and texts to be read."""
    config = FacetConfig(n_per_stance=1, wording=of.wording)
    requests = facet_requests(of.facts, engine.identity, config)
    answers, seconds = _ask(engine, requests)
    parsed = parse_facets(of.facts, answers, engine.identity, config)
    asked = [request for pair in of.pairs for request in pair_requests(pair, engine.identity)]
    pair_answers, pair_seconds = _ask(engine, asked)
    pairs = parse_pairs(of.pairs, pair_answers, engine.identity)
    figures = {
        "facets": _of_facets(parsed, answers, seconds),
        "pairs": _of_pairs(pairs, len(of.pairs), len(asked) // 2, pair_seconds),
    }
    worded, refused = [*_sample(parsed.facets), *_sample(pairs.texts)], _sample([*parsed.rejected, *pairs.rejected])
    texts = [f"{text.model} {text.stance}: {text.text}" for text in worded]
    return figures, texts + [f"refused, {', '.join(line.failures)}: {line.text}" for line in refused]


def _ask(engine: TextEngine, requests: Sequence[TextRequest]) -> tuple[dict[str, Completion], float]:
    distinct, started = list({request.key: request for request in requests}.values()), time.perf_counter()
    answers = {answer.request_key: answer for answer in engine.complete(distinct)}
    return answers, time.perf_counter() - started


def _of_facets(parsed: Parsed, answers: dict[str, Completion], seconds: float) -> dict[str, Any]:
    texts = [facet.text for facet in parsed.facets if facet.model != TEMPLATE]
    tokens = sum(answer.completion_tokens for answer in answers.values())
    return {
        "lines": len(parsed.facets),
        "passed": round(parsed.model_share, 4),
        "refused": dict(Counter(str(why) for line in parsed.rejected for why in line.failures).most_common()),
        "commonest_openings": round(float(has_common_opening(texts).mean()), 4) if texts else 0.0,
        "seconds": round(seconds, 1),
        "texts_per_second": round(len(parsed.facets) / seconds, 2),
        "tokens_per_second": round(tokens / seconds, 1),
    }


def _of_pairs(parsed: ParsedPairs, n_pairs: int, n_asked: int, seconds: float) -> dict[str, Any]:
    """A pair is asked about if both of its sides have a fact to argue from."""
    return {
        "pairs": n_pairs,
        "asked": n_asked,
        "with_both_texts": len(parsed.texts) // 2,
        "refused": dict(Counter(str(why) for line in parsed.rejected for why in line.failures).most_common()),
        "seconds": round(seconds, 1),
    }


def _sample(items: Sequence[Any]) -> list[Any]:
    return random.Random(SEED).sample(items, min(SAMPLE, len(items)))


def main() -> None:
    """Measures both models and writes the result."""
    from models.llm.adapter import find_adapter
    from models.llm.local import EmbeddedEngine

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--world", action=argparse.BooleanOptionalAction, default=True, help="also the built-in one")
    parser.add_argument("--models", nargs="+", choices=("untuned", "tuned"), default=("untuned", "tuned"))
    parser.add_argument("--ml-100k", type=Path)
    parser.add_argument("--musical-instruments", type=Path)
    parser.add_argument("--texts", type=Path, help="file for a sample of the texts")
    parser.add_argument("--entities", type=int, default=75, help="of each kind and dataset")
    parser.add_argument("--pairs", type=int, default=40, help="that came after the evidence about both sides")
    given = parser.parse_args()
    folder = HostSettings.from_environment().models
    engines = {"untuned": EmbeddedEngine(folder), "tuned": EmbeddedEngine(folder, adapter=find_adapter(""))}
    figures: dict[str, dict[str, Any]] = {}
    for name, of in datasets(given.world, given.ml_100k, given.musical_instruments, given.entities, given.pairs):
        for model in given.models:
            figures.setdefault(name, {})[model], texts = measure(engines[model], of)
            if given.texts:
                with given.texts.open("a", encoding="utf-8") as file:
                    file.writelines(f"{name} {line}\n" for line in texts)
            print(write_result("explanations/wording", {"entities_per_kind": given.entities, "datasets": figures}))


if __name__ == "__main__":
    main()
