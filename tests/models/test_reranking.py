"""Lists ordered anew: what changes, what does not, what the product's part in the query can say, and what it learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.backbones.attention import Alignment, TextSets
from models.backbones.histories import Histories
from models.backbones.sequences.aligned import AlignedNetwork, KnownTexts
from models.backbones.sequences.encoders import EncoderConfig
from models.backbones.sequences.network import Kind, ProductTable, make_encoder
from models.backbones.sequences.ranking import HeldOut
from models.backbones.sequences.reranking import TRUSTS, RerankConfig, RerankedNetwork, TargetAware, train_reranking
from models.backbones.sequences.windows import Asked, asked
from models.base import RunContext
from models.training import seeded

D, WIDTH, LENGTH, PRODUCTS, CONSUMERS, N = 16, 8, 6, 12, 60, 5
TASTES = 3


def histories(n_events: int = 2) -> Histories:
    """First any product, then one of the consumer's taste, so that only texts tell the taste beforehand."""
    random = np.random.default_rng(0)
    taste = np.arange(CONSUMERS) % TASTES
    later = taste + TASTES * random.integers(0, PRODUCTS // TASTES, CONSUMERS)
    product = np.stack([random.integers(0, PRODUCTS, CONSUMERS), later], axis=1)[:, :n_events]
    who, time = np.repeat(np.arange(CONSUMERS), n_events), np.tile(np.arange(float(n_events)), CONSUMERS)
    return Histories.of(who, product.ravel(), time, CONSUMERS, PRODUCTS)


def texts(events: Histories) -> KnownTexts:
    """Two texts of each consumer: their taste, and one that says nothing."""
    keys = torch.zeros(TASTES, 2, WIDTH)
    keys[torch.arange(TASTES), 0, torch.arange(TASTES)] = 3
    keys[:, 1, -1] = 3
    whose = np.arange(CONSUMERS) % TASTES
    return KnownTexts.of(TextSets(keys, torch.zeros(TASTES, 2)), events, whose[events.consumer], whose)


def made(kind: Kind = "sasrec", uniform: bool = False) -> RerankedNetwork:
    """A base that has learned nothing, and what orders its first products, with something to say."""
    config = EncoderConfig(embedding_size=D, length=LENGTH, n_layers=1, n_heads=2, dropout=0.0)
    with seeded(0):
        base = AlignedNetwork(ProductTable(PRODUCTS, D), make_encoder(kind, config), Alignment(D, WIDTH, 2, 0.0))
        base.known = texts(histories())
        aware = TargetAware(D, WIDTH, 2, 0.0, uniform)
        torch.nn.init.normal_(aware.out.weight)
        return RerankedNetwork(base, aware, N).eval()


def lists(network: AlignedNetwork, events: Histories) -> torch.Tensor:
    with torch.no_grad():
        return network(asked(events, LENGTH))


@pytest.mark.parametrize("kind", ["sasrec", "gru4rec", "bert4rec", "diffurec"])
def test_the_first_products_share_what_they_had_and_the_others_stay(kind: Kind) -> None:
    network, events = made(kind), histories()
    anew = lists(network, events)
    network.trust.zero_()
    before = lists(network, events)
    torch.testing.assert_close(before.exp().sum(1), torch.ones(CONSUMERS))
    first = before.masked_fill(torch.from_numpy(events.matrix().toarray() > 0), -torch.inf).topk(N).indices
    torch.testing.assert_close(anew.gather(1, first).exp().sum(1), before.gather(1, first).exp().sum(1))
    rest = torch.ones_like(before, dtype=torch.bool).scatter(1, first, False)
    torch.testing.assert_close(anew[rest], before[rest])
    assert (anew.gather(1, first) - before.gather(1, first)).abs().max() > 0.01


@pytest.mark.parametrize("kind", ["sasrec", "bert4rec"])
def test_without_trust_the_lists_are_the_base_s(kind: Kind) -> None:
    network, events = made(kind), histories()
    network.trust.zero_()
    bare = AlignedNetwork(network.table, network.encoder, network.alignment)
    bare.bias, bare.known = network.bias, network.known
    torch.testing.assert_close(lists(network, events), lists(bare.eval(), events))


def test_two_products_ask_the_preferences_differently_unless_all_weigh_the_same() -> None:
    question, place = asked(histories(), LENGTH), torch.arange(CONSUMERS) % TASTES
    for uniform in (False, True):
        network = made(uniform=uniform)
        known = network.known_texts
        with torch.no_grad():
            weights = network.last_reranked(question, known.sets, place).weights
        assert weights.shape == (CONSUMERS, 2, N, 2)
        torch.testing.assert_close(weights.sum(-1), torch.ones(CONSUMERS, 2, N))
        apart = float(weights.std(2).max())
        assert apart == 0 if uniform else apart > 0.01


def test_asked_by_number_or_with_texts_the_lists_are_the_same() -> None:
    network, events = made(), histories()
    place = torch.arange(CONSUMERS) % TASTES
    with torch.no_grad():
        given = network.last_reranked(asked(events, LENGTH), network.known_texts.sets, place).log_chance
    torch.testing.assert_close(given, lists(network, events))


def test_what_came_is_not_known_to_the_list_that_is_ordered_anew() -> None:
    """DiffuRec learns from what came, noised; nobody knows it when a list is shown."""
    network, question = made("diffurec"), asked(histories(), LENGTH)
    last = torch.zeros_like(question.history, dtype=torch.bool)
    last[:, -1] = True
    came = torch.arange(CONSUMERS) % PRODUCTS
    with torch.no_grad():
        told, _ = network.compared(question._replace(came=came + 1), last, came)
        untold, _ = network.compared(question, last, came)
    assert len(told)
    assert torch.equal(told, untold)


def test_only_events_whose_product_is_among_the_first_are_compared() -> None:
    network, question = made(), Asked(torch.tensor([[1, 2, 3]]), torch.tensor([0]), torch.tensor([3]))
    network.trust.zero_()
    bare = AlignedNetwork(network.table, network.encoder, network.alignment).eval()
    bare.bias, bare.known = network.bias, network.known
    with torch.no_grad():
        ranked = bare.logits(bare.states(question)[0], torch.arange(PRODUCTS)).argsort(-1, descending=True)
    order = [row[~torch.isin(row, torch.arange(n))] for n, row in enumerate(ranked, 1)]  # without what came before
    target = torch.stack([order[0][-1], order[1][2], order[2][N]])  # the last one, the third one, one too late
    scores, came = network.compared(question, torch.ones(1, 3, dtype=torch.bool), target)
    assert scores.shape == (1, N)
    assert came.tolist() == [2]


def test_what_a_consumer_has_had_is_not_among_the_first() -> None:
    network, events = made(), histories()
    question, place = asked(events, LENGTH), torch.arange(CONSUMERS) % TASTES
    with torch.no_grad():
        first = network.last_reranked(question, network.known_texts.sets, place).first + 1
    assert not (first.unsqueeze(2) == question.history.unsqueeze(1)).any()


def test_preferences_that_the_base_ignores_order_its_lists_and_the_base_stays() -> None:
    """The base is untrained. What a consumer's taste is, texts tell; with texts that say nothing, nothing does."""
    events, taste = histories(), np.arange(CONSUMERS) % TASTES
    target = taste + TASTES * (np.arange(CONSUMERS) // TASTES % (PRODUCTS // TASTES))
    held_out, reached = HeldOut(histories(1), target), dict[str, float]()
    config = RerankConfig(n_first=PRODUCTS, epochs=25, patience=25, learning_rate=1e-2, batch_size=16)
    for name in ("own", "nothing"):
        network = made()
        network.n_first, known = PRODUCTS, network.known_texts
        if name == "nothing":
            network.asked_of = replace(known, sets=TextSets(known.sets.keys * 0, known.sets.log_weights))
        before = {it: value.clone() for it, value in network.state_dict().items()}
        reached[name] = 1 - train_reranking(network, events, LENGTH, config, RunContext(), held_out).valid_loss[-1]
        moved = {it for it, value in network.state_dict().items() if not torch.equal(value, before[it])}
        assert moved
        assert all(it.startswith("aware.") or it == "trust" for it in moved)
        assert float(network.trust) in TRUSTS
    assert reached["own"] > reached["nothing"] + 0.1, reached
