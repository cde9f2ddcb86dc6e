"""The blend trusts who was right on events that nobody had seen, ranks a shortlist first, and survives saving."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from features.errors import ReleaseError, SettingError, TrainingError
from models.backbones.blend import Blend, BlendConfig
from models.backbones.experts import Expert
from models.backbones.histories import Histories, Scores
from models.backbones.next_product import NextProduct, NextProductConfig, already_had, standard_experts
from models.backbones.sequences.expert import SequenceConfig
from models.base import RunContext

SMALL = NextProductConfig(
    experts=("popularity", "unseen", "ease", "next", "alike", "content", "sequence"),
    sequence=SequenceConfig(embedding_size=8, n_layers=1, epochs=3),
    blend=BlendConfig(steps=60, n_models=2, shortlist=6),
)


def ring(n_consumers: int = 30, n_products: int = 12) -> Histories:
    """Everyone walks round the products in order, from another start."""
    consumer, step = (axis.ravel() for axis in np.meshgrid(np.arange(n_consumers), np.arange(5), indexing="ij"))
    return Histories.of(consumer, (consumer + step) % n_products, step.astype(float), n_consumers, n_products)


def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(12, 16)).astype(np.float32)


class Memory(Expert):
    """Knows by heart whatever it was fitted on, and nothing else."""

    def fit(self, histories: Histories) -> None:
        self.known = already_had(histories)

    def score(self, histories: Histories) -> Scores:
        return self.known.astype(np.float32)


def test_the_right_expert_is_found_among_noise() -> None:
    random = np.random.default_rng(0)
    target = random.integers(0, 30, 200)
    lists = random.normal(size=(200, 30, 3)).astype(np.float32)
    lists[np.arange(200), target, 1] += 3
    seen = np.zeros((200, 30), bool)
    blend = Blend(BlendConfig(steps=100, n_models=1, shortlist=30))
    blend.fit(lists[:100], seen[:100], target[:100], RunContext())
    right = blend.score(lists[100:], seen[100:]).argmax(1) == target[100:]
    alone = lists[100:, :, 1].argmax(1) == target[100:]
    assert right.mean() >= alone.mean() - 0.05


def test_what_was_had_is_last_and_the_shortlist_first() -> None:
    ranker = NextProduct(SMALL, standard_experts(SMALL, RunContext(), vectors()))
    histories = ring()
    ranker.fit(histories, RunContext())
    scores = ranker.score(histories)
    assert np.array_equal(np.isneginf(scores), already_had(histories))
    assert ((scores > 0).sum(1) <= SMALL.blend.shortlist).all()
    assert (scores.argmax(1) == (np.arange(30) + 5) % 12).mean() > 0.9


def test_an_expert_that_only_remembers_is_not_believed() -> None:
    """Fitted on the answers it would be perfect; the blend sees it on events that it was not fitted on."""
    config = SMALL.model_copy(update={"experts": ("next",)})
    standard = standard_experts(config, RunContext())
    ranker = NextProduct(config, standard | {"memory": Memory()})
    ranker.fit(ring(), RunContext())
    assert (ranker.score(ring()).argmax(1) == (np.arange(30) + 5) % 12).mean() > 0.9


def test_the_same_seed_gives_the_same_ranking_and_saving_changes_none(tmp_path: Path) -> None:
    histories = ring()
    rankers = [NextProduct(SMALL, standard_experts(SMALL, RunContext(), vectors())) for _ in range(2)]
    for ranker in rankers:
        ranker.fit(histories, RunContext(seed=3))
    assert np.array_equal(rankers[0].score(histories), rankers[1].score(histories))
    rankers[0].save(tmp_path)
    loaded = NextProduct.load(tmp_path, RunContext())
    assert np.array_equal(loaded.score(histories), rankers[0].score(histories))


def test_a_damaged_ranker_is_refused(tmp_path: Path) -> None:
    ranker = NextProduct(SMALL, standard_experts(SMALL, RunContext(), vectors()))
    ranker.fit(ring(), RunContext())
    ranker.save(tmp_path)
    weights = tmp_path / "next_product.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ReleaseError, match="cannot be loaded"):
        NextProduct.load(tmp_path, RunContext())


def test_unknown_experts_and_missing_texts_are_named() -> None:
    for config in (NextProductConfig(experts=("ease", "oracle")), NextProductConfig(experts=("content",))):
        with pytest.raises(SettingError, match="some of popularity"):
            standard_experts(config, RunContext())


def test_consumers_with_one_event_teach_nothing() -> None:
    config = SMALL.model_copy(update={"experts": ("popularity",)})
    single = Histories.of(np.arange(3), np.arange(3), np.zeros(3), 3, 5)
    with pytest.raises(TrainingError, match="shortlist"):
        NextProduct(config, standard_experts(config, RunContext())).fit(single, RunContext())
