"""In the built-in world, where likes are planted, facts name the right ones; with uninformative texts they cannot."""

from __future__ import annotations

import numpy as np

from features.facts import EvidenceWindow, consumer_facts
from features.readers.world import World, WorldConfig, generate_world
from features.readers.world_aspects import aspects_named
from features.types import Fact, Interactions, Snapshot


def facts_of(world: World, with_reviews: bool) -> list[Fact]:
    dataset = world.dataset
    frame = dataset.interactions.frame if with_reviews else dataset.interactions.frame.assign(review=None)
    as_of = frame["timestamp"].max().to_pydatetime()
    snapshot = Snapshot(Interactions(frame), dataset.catalog, dataset.scale, as_of)
    return consumer_facts(snapshot, EvidenceWindow(share=1.0))


def agreement(world: World) -> tuple[float, float]:
    """How often a fact about a feature, made of ratings alone, agrees with the planted taste, and contradicts it."""
    right, wrong = [], []
    for fact in facts_of(world, with_reviews=False):
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


def test_quotations_name_planted_likes_and_aversions() -> None:
    world = generate_world(WorldConfig(n_consumers=60, n_products=50, n_interactions=1200))
    truth = {1: world.truth.consumer_likes, -1: world.truth.consumer_aversions}
    quoted = [fact for fact in facts_of(world, with_reviews=True) if fact.source == "review"]
    for polarity, planted in truth.items():
        said = [
            aspects_named(fact.text) <= set(planted[fact.entity_id]) for fact in quoted if fact.polarity == polarity
        ]
        assert len(said) > 30
        assert np.mean(said) > 0.9
