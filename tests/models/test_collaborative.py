"""What ratings say of a pair, from feature batches: known and unknown consumers and products, and no own rating."""

from dataclasses import replace

import numpy as np
import pytest

from features.batch import tuples
from features.errors import ReleaseError
from models.backbones.collaborative import Collaborative, CollaborativeConfig
from models.base import RunContext
from models.testing import checkerboard, plain_batch, rich_batch, rich_training_set, training_set
from models.training import seeded

QUICK = CollaborativeConfig(rank=3, chains=1, sweeps=40, burn_in=20, samples=10, folds=4)


def fitted(train, config=QUICK):
    with seeded(1):
        return Collaborative.fit(train, config, RunContext())


@pytest.fixture(scope="module")
def board():
    train, _, test = checkerboard(side=24)
    return fitted(train), train, test


def test_held_out_pairs_are_told_apart(board):
    (model, _), _, test = board
    mean = model.believe(test.batch).mean.numpy()
    assert mean[test.liked == 1].mean() - mean[test.liked == 0].mean() > 2.5


def test_a_rating_does_not_speak_for_itself():
    train = rich_training_set(300)
    loud = replace(train, rating=train.rating.copy())
    loud.rating[7] = 6 - loud.rating[7]
    (_, quiet), (_, told) = fitted(train), fitted(loud)
    # The folds of other rows see the changed rating; the row itself is in the fold that does not.
    assert quiet.mean[7].item() == pytest.approx(told.mean[7].item(), abs=1e-4)
    assert not np.allclose(quiet.mean.numpy(), told.mean.numpy(), atol=1e-3)


def test_an_unknown_consumer_is_read_from_the_history(board):
    (model, _), _, _ = board
    likes_even = plain_batch(np.array(["stranger"] * 4, object), np.array(["p0", "p1", "p2", "p3"], object))
    for row in range(4):
        for place in range(12):
            likes_even.consumers.history_ids[row, place] = f"p{place + 4}"
            likes_even.consumers.history_ratings[row, place] = 5.0 if place % 2 == 0 else 1.0
    mean = model.believe(likes_even).mean.numpy()
    assert mean[[0, 2]].min() > mean[[1, 3]].max() + 1


def test_a_stranger_without_history_gets_what_is_believed_of_everybody(board):
    (model, _), train, _ = board
    belief = model.believe(plain_batch(np.array(["nobody"], object), np.array(["nothing"], object)))
    assert belief.mean.item() == pytest.approx(float(train.rating.mean()), abs=0.8)
    known = model.believe(train.batch.take(np.arange(50)))
    assert belief.deviation.item() > 2 * known.deviation.median().item()


def test_what_is_told_of_consumers_speaks_for_them():
    """Consumers of one group like what the others do not; nothing else is known of strangers."""
    consumer, product = np.divmod(np.random.default_rng(0).permutation(40 * 20)[:600], 20)
    batch = plain_batch(np.array([f"c{n}" for n in consumer], object), np.array([f"p{n}" for n in product], object))
    groups = tuples([(f"group={n % 2}",) for n in consumer])
    batch = replace(batch, consumers=replace(batch.consumers, attributes=groups))
    model, _ = fitted(training_set(batch, (consumer + product) % 2 == 0))
    strangers = plain_batch(np.array(["new"] * 4, object), np.array(["p0", "p1", "p0", "p1"], object))
    told = tuples([("group=0",), ("group=0",), ("group=1",), ("group=1",)])
    mean = model.believe(replace(strangers, consumers=replace(strangers.consumers, attributes=told))).mean.numpy()
    assert mean[0] > mean[1] + 1
    assert mean[3] > mean[2] + 1
    assert model.believe(strangers).mean[:2].numpy() == pytest.approx(mean.reshape(2, 2).mean(0), abs=1)


def test_company_changes_nothing():
    (model, _), batch = fitted(rich_training_set(300)), rich_batch(40, 9)
    strangers = replace(batch, consumers=replace(batch.consumers, consumer_ids=np.array(["new"] * 40, object)))
    for pairs in (batch, strangers):
        together = model.believe(pairs).mean
        single = [model.believe(pairs.take(np.array([row]))).mean.item() for row in range(0, 40, 7)]
        np.testing.assert_allclose(single, together[::7].numpy(), atol=1e-4)


def test_what_was_saved_believes_the_same(tmp_path):
    (model, _), batch = fitted(rich_training_set(200)), rich_batch(30, 9)
    model.save(tmp_path)
    np.testing.assert_array_equal(Collaborative.load(tmp_path).believe(batch).mean, model.believe(batch).mean)
    (tmp_path / "collaborative.json").write_text("{")
    with pytest.raises(ReleaseError, match="factorization"):
        Collaborative.load(tmp_path)
