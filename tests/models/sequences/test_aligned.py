"""States that attend over texts: any encoder takes them, and an event meets only texts that were known before it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from models.backbones.attention import Alignment, TextSets
from models.backbones.histories import Histories
from models.backbones.sequences.aligned import AlignedNetwork, KnownTexts
from models.backbones.sequences.encoders import Asks
from models.backbones.sequences.expert import SequenceConfig
from models.backbones.sequences.network import Kind, ProductTable, make_encoder, text_rows
from models.backbones.sequences.ranking import HeldOut, log_chances
from models.backbones.sequences.training import places, train
from models.backbones.sequences.windows import asked
from models.base import RunContext
from models.training import seeded

KINDS: tuple[Kind, ...] = ("sasrec", "gru4rec", "bert4rec", "diffurec")
CONFIG = SequenceConfig(
    embedding_size=16, n_layers=1, length=5, dropout=0.0, learning_rate=1e-2, epochs=15, batch_size=10
)  # fmt: skip


def one_text_sets(vectors: torch.Tensor) -> TextSets:
    """A set of one text for each vector."""
    return TextSets(vectors.unsqueeze(1), torch.zeros(len(vectors), 1))


def network_of(kind: Kind, n_products: int, width: int) -> AlignedNetwork:
    with seeded(3):
        table = ProductTable(n_products, CONFIG.embedding_size)
        return AlignedNetwork(table, make_encoder(kind, CONFIG), Alignment(CONFIG.embedding_size, width, 2, 0.0))


def planted(n_consumers: int = 40) -> tuple[Histories, np.ndarray, torch.Tensor]:
    """Everybody has products at random, and last the one that their text names: only the text tells which."""
    random = np.random.default_rng(0)
    told = random.integers(0, 8, n_consumers)
    product = np.concatenate([[*random.integers(8, 16, 3), it] for it in told])
    consumer, time = np.repeat(np.arange(n_consumers), 4), np.tile(np.arange(4.0), n_consumers)
    return Histories.of(consumer, product, time, n_consumers, 16), told, torch.eye(8)


@pytest.mark.parametrize("kind", KINDS)
def test_what_only_the_texts_tell_is_learned_with_any_encoder(kind: Kind) -> None:
    histories, told, vectors = planted()
    network = network_of(kind, 16, 8)
    network.known = KnownTexts.of(one_text_sets(vectors), histories, told[histories.consumer], told)
    train(network, histories, CONFIG.length, CONFIG, RunContext(seed=1))
    before, last = histories.without_last()
    own = HeldOut(before, last).ndcg(network, CONFIG.length)
    others = np.roll(told, 1)
    network.known = KnownTexts.of(one_text_sets(vectors), histories, others[histories.consumer], others)
    strange = HeldOut(before, last).ndcg(network, CONFIG.length)
    assert own > 0.9
    assert strange < own - 0.2


def dated() -> tuple[Histories, KnownTexts]:
    """Two consumers with 3 and 2 events; set number = 10 * consumer + events before, so a place tells what it sees."""
    histories = Histories.of(np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 1, 2]), np.arange(5.0), 2, 3)
    before = np.array([0, 1, 2, 10, 11])
    sets = one_text_sets(torch.randn(20, 4, generator=torch.Generator().manual_seed(0)))
    return histories, KnownTexts.of(sets, histories, before, np.array([3, 12]))


def test_each_event_meets_the_set_that_was_known_before_it() -> None:
    _, known = dated()
    consumer = torch.tensor([0, 1])
    assert known.place(consumer, torch.tensor([[0, 1, 2], [0, 1, 2]])).tolist() == [[0, 1, 2], [10, 11, 12]]
    assert known.place(consumer, torch.tensor([[-2, 3], [-1, 7]])).tolist() == [[0, 3], [10, 12]]


@pytest.mark.parametrize("asks", Asks)
def test_a_place_meets_the_set_before_the_event_that_it_asks_for(asks: Asks) -> None:
    histories, known = dated()
    window = asked(histories, 4)
    question, answer = places(window, asks, 1.0)
    events = question.known_events - int(asks is Asks.MASKED)
    met = known.place(question.consumer, events)
    assert set(question.consumer.tolist()) == {0, 1}
    for row, consumer in enumerate(question.consumer.tolist()):
        products = histories.product[histories.consumer == consumer]
        for column in torch.nonzero(answer[row]).flatten().tolist():
            event = int(met[row, column]) - 10 * consumer
            assert products[event] + 1 == answer[row, column]


@pytest.mark.parametrize("kind", KINDS)
def test_the_texts_of_the_last_place_are_the_latest(kind: Kind) -> None:
    histories, known = dated()
    network = network_of(kind, 3, 4).eval()
    network.known = known
    by_number = log_chances([network], histories, 5)
    question = asked(histories, 5)
    states, weights = network.last_with(question, known.sets, torch.tensor([3, 12]))
    with torch.no_grad():
        directly = network.logits(states[:, 0], torch.arange(3)).log_softmax(-1).numpy()
    assert by_number == pytest.approx(directly, abs=1e-5)
    assert weights.shape == (2, 2, 1, 1)


def test_product_rows_are_their_texts_at_first_and_learn_from_then_on() -> None:
    content = torch.randn(7, 16, generator=torch.Generator().manual_seed(0))
    table = ProductTable(7, 16, text_rows(content, 16))
    assert torch.equal(table.rows.weight[1:], content)
    assert (table.rows.weight[0] == 0).all()
    table(torch.tensor([[0, 3], [5, 5]])).sum().backward()
    touched = table.rows.weight.grad.abs().sum(1) > 0
    assert touched.tolist() == [False, False, False, True, False, True, False, False]
    frozen = ProductTable(7, 16, content, trained=False)
    assert not frozen.rows.weight.requires_grad


def test_sets_differ_between_neighbours() -> None:
    """The worked example's sets tell places apart, so the tests above can fail."""
    _, known = dated()
    assert all(not torch.equal(a, b) for a, b in pairwise(known.sets.keys))
