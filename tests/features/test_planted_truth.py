"""In the built-in world, where likes are planted, facts name the right ones; with uninformative texts they cannot."""

from __future__ import annotations

import numpy as np

from features.facts import EvidenceWindow, consumer_facts
from features.readers.world import World, WorldConfig, generate_world
from features.types import Snapshot


def agreement(world: World) -> tuple[float, float]:
    """How often a fact about a feature agrees with the planted taste, and contradicts it."""
    dataset = world.dataset
    as_of = dataset.interactions.frame["timestamp"].max().to_pydatetime()
    snapshot = Snapshot(dataset.interactions, dataset.catalog, dataset.scale, as_of)
    right, wrong = [], []
    for fact in consumer_facts(snapshot, EvidenceWindow(share=1.0)):
        name, _, aspect = fact.aspect.partition("=")
        if name == "feature" and fact.polarity:
            likes, aversions = (
                world.truth.consumer_likes[fact.entity_id],
                world.truth.consumer_aversions[fact.entity_id],
            )
            said, other = (likes, aversions) if fact.polarity > 0 else (aversions, likes)
            right.append(aspect in said)
            wrong.append(aspect in other)
    return float(np.mean(right)), float(np.mean(wrong))


def test_facts_about_features_follow_the_planted_tastes() -> None:
    right, wrong = agreement(generate_world(WorldConfig(n_consumers=200, n_products=150, n_interactions=8000)))
    assert right > 2 * wrong


def test_with_uninformative_attributes_agreement_is_chance() -> None:
    sizes = {"n_consumers": 200, "n_products": 150, "n_interactions": 8000}
    right, wrong = agreement(generate_world(WorldConfig(**sizes, informative=False)))
    assert abs(right - wrong) < 0.06
