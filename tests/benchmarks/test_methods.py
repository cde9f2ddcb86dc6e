"""The benchmark of the methods: its metrics are those of worked examples, and its texts know nothing later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.lr.splits import BenchSplit, snapshot_of
from benchmarks.methods.lists import NEGATIVES, means, sampled
from benchmarks.methods.preference_sets import CHECKPOINTS, Preferences, make_preferences
from benchmarks.ranking import Events
from features.readers.world import WorldConfig, generate_world
from features.types import Interactions, ModelIdentity
from flows.recipe import ExplainSection
from models.base import Progress, silent

CANARY = "zyzzyva"


def events_of(frame: pd.DataFrame) -> Events:
    """A frame of a split with its numbers."""
    frame = frame.assign(timestamp=pd.to_numeric(frame["timestamp"]))
    frame["consumer"], consumers = pd.factorize(frame["consumer_id"], sort=True)
    frame["product"], products = pd.factorize(frame["product_id"], sort=True)
    return Events(frame, np.asarray(consumers, object), np.asarray(products, object))


def toy_lists(n_products: int, ranks: list[int]) -> tuple[np.ndarray, Events]:
    """Lists in which the wanted product of each consumer stands at a rank (from 0)."""
    lists = np.tile(-np.arange(n_products, dtype=np.float32), (len(ranks), 1))
    columns = {
        "consumer_id": [f"c{n}" for n in range(len(ranks))] + ["z"] * n_products,
        "product_id": [f"p{rank:03d}" for rank in ranks] + [f"p{n:03d}" for n in range(n_products)],
        "timestamp": 0,
        "part": ["test"] * len(ranks) + ["train"] * n_products,
    }
    return np.vstack([lists, lists[:1]]), events_of(pd.DataFrame(columns))


def test_three_consumers_with_a_small_catalogue_have_the_metrics_of_a_worked_example() -> None:
    """With fewer products than negatives the sample is the catalogue, so both protocols agree: ranks 1, 4 and 12."""
    lists, events = toy_lists(40, [0, 3, 11])
    assert sampled(lists, events) == pytest.approx(
        {"hr@10/neg100": 2 / 3, "ndcg@10/neg100": (1 + 1 / np.log2(5)) / 3}, abs=1e-6
    )


def test_sampled_and_full_ranking_agree_in_order_and_the_sample_flatters() -> None:
    found = []
    for ranks in ([5] * 30, [30] * 30, [90] * 30):
        lists, events = toy_lists(1000, ranks)
        found.append(sampled(lists, events)["ndcg@10/neg100"])
    assert found[0] > found[1] > found[2] > 0
    assert found[1] > 1 / np.log2(32), "rank 31 of 1000 is nearly the first of 101"
    assert NEGATIVES == 100


def test_means_are_over_the_seeds_of_a_variant() -> None:
    rows = [{"variant": "a", "seed": n, "ndcg@10/full": value, "seconds": 1.0} for n, value in enumerate((0.1, 0.3))]
    assert means(rows) == {"a": {"ndcg@10/full": 0.2}}


class Hashed:
    """Vectors that tell texts apart."""

    identity = ModelIdentity("hashed", "1")

    def __init__(self) -> None:
        self.seen: list[str] = []

    def encode(self, texts: list[str], progress: Progress = silent) -> np.ndarray:
        self.seen += texts
        draws = [np.random.default_rng(abs(hash(text))).normal(size=8) for text in texts]
        return np.array(draws, np.float32).reshape(-1, 8)


@pytest.fixture(scope="module")
def split() -> tuple[BenchSplit, Events]:
    """The built-in world, each consumer's last event held out, with a word that only held-out titles have."""
    dataset = generate_world(WorldConfig(3, 30, 60, 600)).dataset
    frame = dataset.interactions.frame
    last = frame.groupby("consumer_id").cumcount(ascending=False) == 0
    frame = frame.assign(part=np.where(last, "test", "train"))
    train_only = frame["product_id"].isin(frame["product_id"][~last])
    frame.loc[~train_only, "part"] = "test"
    products = dataset.catalog.products
    unseen = ~products["product_id"].isin(frame["product_id"][frame["part"] == "train"])
    titles = products["title"].where(~unseen, CANARY)
    catalog = replace(dataset.catalog, products=products.assign(title=titles))
    snapshot = snapshot_of(frame, catalog, dataset.scale, timed=True)
    reviewed = snapshot.interactions.frame.assign(review=None)
    snapshot = replace(snapshot, interactions=Interactions(reviewed))
    bench = BenchSplit("world", "leave-last-out", ExplainSection(), snapshot, frame, frame, catalog, Path())
    return bench, events_of(frame)


def preferences_of(bench: BenchSplit, events: Events) -> tuple[Preferences, list[str]]:
    encoder = Hashed()
    titles = np.ones((len(events.products), 8), np.float32)
    return make_preferences(bench, events, titles, encoder, 5), encoder.seen  # type: ignore[arg-type]


def test_no_text_knows_an_event_that_is_held_out(split: tuple[BenchSplit, Events]) -> None:
    bench, events = split
    found, encoded = preferences_of(bench, events)
    assert any(found.texts)
    assert CANARY not in " ".join(encoded)


def test_a_set_knows_no_event_after_its_checkpoint(split: tuple[BenchSplit, Events]) -> None:
    """Other ratings from the ninth event on change what is known from then on, and nothing before."""
    bench, events = split
    found, _ = preferences_of(bench, events)
    frame = bench.train.interactions.frame
    later = frame.groupby("consumer_id").cumcount() >= CHECKPOINTS[2]
    turned = frame.assign(rating=frame["rating"].where(~later, 6 - frame["rating"]))
    other = replace(bench, train=replace(bench.train, interactions=Interactions(turned)))
    changed, _ = preferences_of(other, events)
    histories = events.histories("train")
    before = [[it.texts[at] for at in it.known.at] for it in (found, changed)]
    event = np.concatenate([np.append(np.arange(size), -1) for size in np.diff(histories.start)])
    same = np.array([mine == theirs for mine, theirs in zip(*before, strict=True)])
    assert same[(event >= 0) & (event < CHECKPOINTS[3])].all()
    assert not same.all()


def test_others_preferences_are_never_ones_own(split: tuple[BenchSplit, Events]) -> None:
    bench, events = split
    found, _ = preferences_of(bench, events)
    histories = events.histories("train")
    swapped = found.of_others(histories, seed=1)
    after = swapped.at[swapped.first + swapped.events].numpy()
    assert (after != found.latest).all()
    assert sorted(after) == sorted(found.latest)
