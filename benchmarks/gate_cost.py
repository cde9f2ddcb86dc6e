"""What the gates cost: microseconds per claim, beside what a model needs to write it (`benchmarks/explanations.py`)."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

from features.facts import consumer_facts, product_facts
from features.readers.world import WorldConfig, generate_world
from features.types import Claim, Fact, ModelIdentity, Snapshot, TextRequest
from models.explanations.facets import FacetConfig, by_entity, read_line, request_for, select
from models.explanations.fewshot import template
from models.explanations.support import support

ROUNDS = 5


def gate_cost(n: int = 400) -> dict[str, Any]:
    """Microseconds per claim on `n` claims of the built-in world, each worded by its template.

    Returns:
        `first`: with evidence never seen before, as in a run; `again`: with the evidence taken apart already, as for a
        second answer; both are processor time, so that other work on the machine does not count.
    """
    claims = _claims(n)
    cold, warm = [], []
    for _ in range(ROUNDS):
        support.cache_clear()
        cold.append(_seconds(claims))
        warm.append(_seconds(claims))
    return {
        "claims": len(claims),
        "microseconds_per_claim": round(1e6 * median(cold) / len(claims), 1),
        "microseconds_per_claim_again": round(1e6 * median(warm) / len(claims), 1),
    }


def _claims(n: int) -> list[tuple[TextRequest, int, Claim, Fact]]:
    dataset = generate_world(WorldConfig(0, 150, 100, 2000)).dataset
    as_of = dataset.interactions.frame["timestamp"].max().to_pydatetime()
    snapshot = Snapshot(dataset.interactions, dataset.catalog, dataset.scale, as_of)
    config, model = FacetConfig(), ModelIdentity("none", "1")
    made = []
    for group in by_entity([*consumer_facts(snapshot), *product_facts(snapshot)]).values():
        chosen = select(group, config)
        request = request_for(chosen, model, config)
        for place, ((stance, fact), slot) in enumerate(zip(chosen, request.slots, strict=True)):
            made.append((request, place, Claim(template(fact, config.wording), stance, 1.0, slot.cites), fact))
    return made[:: max(len(made) // n, 1)][:n]


def _seconds(claims: list[tuple[TextRequest, int, Claim, Fact]]) -> float:
    started = time.process_time()
    for request, place, claim, fact in claims:
        read_line(request, place, claim, fact)
    return time.process_time() - started
