"""The other methods' sequence models as experts: what they know reaches the blend, at its cuts and in its chunks."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from models.backbones.attention import Alignment, TextSets
from models.backbones.histories import Histories
from models.backbones.refined import RefinedConfig
from models.backbones.sequences.aligned import KnownTexts
from models.backbones.sequences.expert import AlignedSequence, RefinedSequence, Sequence, SequenceConfig
from models.backbones.sequences.training import TrainingConfig
from models.base import RunContext

CONFIG = SequenceConfig(
    embedding_size=16, n_layers=1, length=5, dropout=0.0, learning_rate=1e-2, epochs=10, batch_size=10
)  # fmt: skip
N_CONSUMERS = 40


def told_by_texts() -> tuple[Histories, np.ndarray]:
    """Everybody has products at random, and last the one that their text names: only the text tells which."""
    random = np.random.default_rng(0)
    told = random.integers(0, 8, N_CONSUMERS)
    product = np.concatenate([[*random.integers(8, 16, 3), it, 8 + it] for it in told])
    consumer, time = np.repeat(np.arange(N_CONSUMERS), 5), np.tile(np.arange(5.0), N_CONSUMERS)
    return Histories.of(consumer, product, time, N_CONSUMERS, 16), told


def aligned(whole: Histories, told: np.ndarray) -> AlignedSequence:
    sets = TextSets(torch.eye(8).unsqueeze(1), torch.zeros(8, 1))
    known = KnownTexts.of(sets, whole, told[whole.consumer], told)
    content = np.random.default_rng(1).normal(size=(16, 8)).astype(np.float32)
    config = CONFIG.model_copy(update={"epochs": 25})
    return AlignedSequence(config, partial(Alignment, 16, 8, 2, 0.0), known, content, RunContext(seed=1))


def refined(n_products: int) -> RefinedSequence:
    guided = np.random.default_rng(1).normal(size=(n_products, 3)).astype(np.float32)
    return RefinedSequence(CONFIG, TrainingConfig(epochs=3, batch_size=10), RefinedConfig(), guided, RunContext(seed=1))


def test_texts_are_met_by_number_at_every_cut_and_in_every_chunk() -> None:
    """Fitted on what was before the last event, and asked about some consumers by themselves."""
    whole, told = told_by_texts()
    earlier, _ = whole.without_last()
    expert = aligned(whole, told)
    expert.fit(earlier)
    question, _ = earlier.without_last()
    scores = expert.score(question)
    assert (scores.argmax(1) == told).mean() > 0.9
    np.testing.assert_allclose(expert.score(question.rows(25, 31)), scores[25:31], atol=1e-5)


@pytest.mark.parametrize("kind", ["sequence", "refined", "aligned"])
def test_restoring_changes_no_score(kind: str) -> None:
    whole, told = told_by_texts()

    def made() -> Sequence:
        experts = {"sequence": lambda: Sequence(CONFIG, RunContext(seed=1)), "refined": lambda: refined(16)}
        return experts[kind]() if kind in experts else aligned(whole, told)

    expert, other = made(), made()
    expert.fit(whole)
    other.restore(expert.arrays())
    assert np.array_equal(other.score(whole), expert.score(whole))


def test_refining_goes_on_from_the_base_model() -> None:
    """What is next round the ring is still known, and the attributes are in the scores."""
    consumer, step = (axis.ravel() for axis in np.meshgrid(np.arange(30), np.arange(5), indexing="ij"))
    ring = Histories.of(consumer, (consumer + step) % 12, step.astype(float), 30, 12)
    expert, strange = refined(12), refined(12)
    expert.fit(ring)
    assert (expert.score(ring).argmax(1) == (np.arange(30) + 5) % 12).mean() > 0.9
    arrays = expert.arrays()
    strange.restore({**arrays, "0.table.guided": np.roll(np.asarray(arrays["0.table.guided"]), 1, axis=0)})
    assert not np.allclose(strange.score(ring), expert.score(ring), atol=1e-3)
