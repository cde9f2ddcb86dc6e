"""One loop for all encoders and losses: an order is learned, noise is not, the best epoch stays, seeds decide all."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from features.errors import TrainingError
from models.backbones.histories import Histories
from models.backbones.sequences.expert import Sequence, SequenceConfig, make_network
from models.backbones.sequences.losses import OneNegative, candidates
from models.backbones.sequences.network import Kind, projected
from models.backbones.sequences.ranking import HeldOut, gain, log_chances
from models.backbones.sequences.training import cut_places, masked_places, next_places, train
from models.backbones.sequences.windows import MASK, Asked, Windows, asked
from models.base import RunContext
from models.training import seeded

SMALL = SequenceConfig(
    embedding_size=16,
    n_layers=1,
    n_heads=2,
    length=5,
    dropout=0.1,
    learning_rate=2e-2,
    epochs=60,
    batch_size=12,
    masked_share=0.4,
)


def test_windows_hold_every_last_stretch_and_only_neighbours(ring: Histories) -> None:
    windows = Windows.of(ring, 3, np.random.default_rng(0))
    assert windows.rows.shape[1] == 4
    assert set(windows.consumer) == set(range(36))
    for row, consumer, n_events in zip(windows.rows, windows.consumer, windows.events, strict=True):
        events = row[row > 0] - 1
        assert len(events) >= 2
        assert ((np.diff(events) % 12) == 1).all()
        assert events[-1] == (consumer + n_events - 1) % 12


def test_a_batch_knows_how_many_events_each_place_has_behind_it(ring: Histories) -> None:
    question = asked(ring, 6)
    assert question.known_events[0].tolist() == [-1, 0, 1, 2, 3, 4]
    after_next, _ = next_places(question)
    assert after_next.known_events[0].tolist() == [-1, 0, 1, 2, 3]


def test_places_before_a_history_ask_for_nothing() -> None:
    window = Asked(torch.tensor([[0, 5, 2, 7]]), torch.tensor([0]), torch.tensor([3]))
    question, answer = next_places(window)
    assert question.history.tolist() == [[0, 5, 2]]
    assert answer.tolist() == [[0, 2, 7]]


def test_masks_hide_what_they_ask_for() -> None:
    window = Asked(torch.tensor([[0, 0, 5, 2, 7]] * 200), torch.zeros(200, dtype=torch.int64), torch.full((200,), 3))
    with seeded(0):
        question, answer = masked_places(window, 0.3)
    hidden = question.history == MASK
    assert hidden.any(1).all()
    assert torch.equal(answer > 0, hidden)
    assert torch.equal(torch.where(hidden, answer, question.history), window.history[:, 1:])
    assert (question.history[:, 0] == 0).all()
    assert 0.3 < hidden[:, 1].float().mean() / (0.3 * 0.75) < 1.5


def test_a_cut_ends_where_something_came_and_says_what() -> None:
    """Two windows with 3 and 1 places to cut at; those of the second stand at its end."""
    window = Asked(torch.tensor([[5, 2, 7, 4], [0, 0, 3, 6]]), torch.tensor([8, 9]), torch.tensor([13, 2]))
    question, answer = cut_places(window)
    rows = sorted(
        (consumer, history, events, came)
        for consumer, history, events, came in zip(
            question.consumer.tolist(),
            question.history.tolist(),
            question.events.tolist(),
            answer.tolist(),
            strict=True,
        )
    )
    assert rows == [
        (8, [0, 0, 5], 10, [0, 0, 2]),
        (8, [0, 5, 2], 11, [0, 0, 7]),
        (8, [5, 2, 7], 12, [0, 0, 4]),
        (9, [0, 0, 3], 1, [0, 0, 6]),
    ]
    assert torch.equal(question.came, answer[:, -1])


def test_a_long_window_is_cut_at_some_places_which_change() -> None:
    window = Asked(torch.arange(1, 32).unsqueeze(0), torch.tensor([0]), torch.tensor([31]))
    with seeded(0):
        cuts = [cut_places(window)[0].came.tolist() for _ in range(40)]
    assert all(len(set(it)) == 8 for it in cuts)
    assert {came for it in cuts for came in it} == set(range(2, 32))


@pytest.mark.parametrize(
    ("encoder", "loss"),
    [
        ("sasrec", "softmax"),
        ("gru4rec", "softmax"),
        ("bert4rec", "softmax"),
        ("diffurec", "softmax"),
        ("sasrec", "one_negative"),
    ],
)
def test_an_order_is_learned_by_every_encoder(ring: Histories, encoder: Kind, loss: str) -> None:
    model = Sequence(SMALL.model_copy(update={"encoder": encoder, "loss": loss}), RunContext(seed=1))
    model.fit(ring)
    before, last = ring.without_last()
    scores = model.score(before)
    lists = np.where(before.matrix().toarray() > 0, -np.inf, scores)
    assert (lists.argmax(1) == last).mean() > 0.8
    assert np.exp(scores).sum(1) == pytest.approx(1, abs=1e-4)


def test_nothing_is_learned_from_noise() -> None:
    random = np.random.default_rng(0)
    product = np.concatenate([random.permutation(12)[:5] for _ in range(80)])
    histories = Histories.of(np.repeat(np.arange(80), 5), product, np.tile(np.arange(5.0), 80), 80, 12)
    known, target = histories.without_last()
    model = Sequence(SMALL.model_copy(update={"epochs": 10}), RunContext(seed=1))
    model.fit(known)
    lists = np.where(known.matrix().toarray() > 0, -np.inf, model.score(known))
    assert gain(lists, target, depth=1).mean() < 0.3  # 1 of the 8 products that are left would be 0.125


def test_the_same_seed_gives_the_same_scores_and_restoring_changes_none(ring: Histories) -> None:
    config = SMALL.model_copy(update={"epochs": 3, "n_models": 2})
    models = [Sequence(config, RunContext(seed=1)) for _ in range(3)]
    models[0].fit(ring)
    models[1].fit(ring)
    models[2].restore(models[0].arrays())
    first, second, restored = (model.score(ring) for model in models)
    assert np.array_equal(first, second)
    assert np.array_equal(first, restored)


def test_the_epoch_that_was_judged_best_stays(ring: Histories) -> None:
    with seeded(1):
        network = make_network(12, SMALL)
    verdicts, kept = iter([0.1, 0.5, 0.3, 0.2, 0.1]), list[torch.Tensor]()

    def judge() -> float:
        assert not network.training
        kept.append(network.bias.detach().clone())
        return next(verdicts)

    report = train(network, ring, 5, SMALL.model_copy(update={"patience": 3}), RunContext(seed=1), judge)
    assert (report.epochs, report.best_epoch) == (5, 2)
    assert report.valid_loss == pytest.approx((0.9, 0.5, 0.7, 0.8, 0.9))
    assert torch.equal(network.bias, kept[1])


def test_ndcg_is_that_of_a_worked_example() -> None:
    """Second of 5; then first or second, since ties share their mean rank."""
    lists = np.array([[9, 3, 5, 1, 1], [0, -np.inf, 4, 4, 1]], np.float32)
    wanted = np.array([2, 2])
    assert gain(lists, wanted) == pytest.approx([1 / np.log2(3), 1 / np.log2(2.5)])
    assert gain(lists, wanted, depth=1) == pytest.approx([0, 1 / np.log2(2.5)])


def test_a_network_is_judged_on_what_each_consumer_had_not(ring: Histories) -> None:
    known, target = ring.without_last()
    with seeded(1):
        network = make_network(12, SMALL).eval()
    lists = np.where(known.matrix().toarray() > 0, -np.inf, log_chances([network], known, 5))
    held_out = HeldOut(known, np.where(np.arange(36) < 20, target, -1))
    assert len(held_out) == 20
    assert held_out.ndcg(network, 5) == pytest.approx(gain(lists, target)[:20].mean())


def test_a_negative_is_something_the_consumer_never_had(ring: Histories) -> None:
    with seeded(0):
        drawn = OneNegative(ring).draw(torch.arange(36).repeat(50)).view(50, 36)
    had = np.asarray(ring.matrix().toarray() > 0)
    assert {(consumer, int(product)) for row in drawn for consumer, product in enumerate(row)} == {
        (consumer, product) for consumer in range(36) for product in range(12) if not had[consumer, product]
    }


def test_a_sampled_softmax_estimates_the_whole_catalogues_sum() -> None:
    torch.manual_seed(0)
    target = torch.tensor([3, 7, 3])
    sums = []
    for _ in range(200):
        products, place, correction = candidates(target, 100, 20)
        assert products[place].tolist() == [3, 7, 3]
        sums.append(float(((products + 1) * correction.exp()).sum()))
    assert np.mean(sums) == pytest.approx(5050, rel=0.05)


def test_texts_give_products_their_start(ring: Histories) -> None:
    content = torch.randn(12, 20, generator=torch.Generator().manual_seed(0))
    flat = projected(content, 16)
    centred = content - content.mean(0)
    assert (flat @ flat.T).numpy() == pytest.approx(
        (centred @ centred.T).numpy() * (0.5 / centred.norm(dim=1).mean().item()) ** 2, abs=1e-4
    )
    with seeded(1):
        without, withal = make_network(12, SMALL), None
    with seeded(1):
        withal = make_network(12, SMALL, content)
    moved = withal.table.rows.weight[1:] - without.table.rows.weight[1:]
    assert moved.detach().numpy() == pytest.approx(flat.numpy(), abs=1e-6)


def test_single_events_teach_nothing() -> None:
    single = Histories.of(np.arange(3), np.arange(3), np.zeros(3), 3, 5)
    with pytest.raises(TrainingError, match="two events"):
        Sequence(SMALL, RunContext()).fit(single)


def test_a_question_scores_alike_alone_and_in_company(ring: Histories) -> None:
    with seeded(1):
        network = make_network(12, SMALL).eval()
    together = log_chances([network], ring, 5)
    alone = np.concatenate([log_chances([network], ring.rows(n, n + 1), 5) for n in range(36)])
    assert together == pytest.approx(alone, abs=1e-5)
