"""The benchmark of the methods: its metrics are those of worked examples, and its texts know nothing later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.lr.splits import BenchSplit, snapshot_of
from benchmarks.methods import lane, lane_reranked
from benchmarks.methods.lists import NEGATIVES, means, sampled
from benchmarks.methods.preference_sets import CHECKPOINTS, Preferences, kept_preferences, make_preferences
from benchmarks.methods.script import Script
from benchmarks.ranking import Events
from features.readers.world import WorldConfig, generate_world
from features.settings import BenchFolders
from features.types import Interactions, ModelIdentity
from flows.recipe import ExplainSection
from models.backbones.sequences.expert import SequenceConfig
from models.backbones.sequences.ranking import HeldOut
from models.backbones.sequences.reranking import TRUSTS
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


def test_kept_preferences_are_those_that_were_made(
    split: tuple[BenchSplit, Events], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, events = split
    monkeypatch.setenv("COUNTERPOINT_HOME", str(tmp_path))
    encoder, titles = Hashed(), np.ones((len(events.products), 8), np.float32)
    made, read = (kept_preferences(bench, events, titles, encoder, 5) for _ in range(2))  # type: ignore[arg-type]
    assert len(encoder.seen) == len(set(encoder.seen)), "nothing is encoded again"
    assert made.texts == read.texts
    assert torch.equal(made.known.at, read.known.at)
    assert torch.equal(made.sets.keys, read.sets.keys)
    fresh, _ = preferences_of(bench, events)
    assert torch.equal(fresh.known.at, read.known.at)
    assert np.array_equal(fresh.latest, read.latest)


@pytest.mark.slow
def test_every_variant_is_fitted_and_the_method_is_explained(
    split: tuple[BenchSplit, Events], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, events = split
    small = SequenceConfig(embedding_size=8, n_layers=1, length=5, epochs=1)
    monkeypatch.setitem(lane.BACKBONES, "world", {"sasrec": small})
    monkeypatch.setitem(lane.SETTINGS, "world", lane.Settings(heads=2))
    found, _ = preferences_of(bench, events)
    known, target = events.histories("train").without_last()
    titles = np.random.default_rng(0).normal(size=(len(events.products), 8)).astype(np.float32)
    given = lane.Given(events, titles, found, HeldOut(known, target))
    lists = {name: lane._fitted(given, "world", name, it, 0, tmp_path) for name, it in lane.VARIANTS.items()}
    assert all(np.isfinite(it.scores).all() for it in lists.values())
    network = lane.read_lane(given, "world", tmp_path / "lane-0.safetensors")
    assert np.array_equal(lane.lists_of(given, network, small), lists["lane"].scores)
    again = lane_reranked._fitted(given, "world", "reranked", lane_reranked.VARIANTS["reranked"], 0, tmp_path)
    apart = (~np.isclose(again.scores, lists["lane"].scores, atol=1e-5)).sum(1)
    assert 0 < apart.max() <= lane_reranked.CONFIG.n_first
    assert lane_reranked.trust(tmp_path, "reranked", 0) in TRUSTS
    texts = {it: lane_reranked._texts(given, lane_reranked.Variant(it), 0) for it in ("own", "other", "none")}
    assert texts["own"] is found.known
    assert not texts["none"].sets.keys.any()
    assert not torch.equal(texts["other"].at, found.known.at)
    swapped = lane._swapped(given, "world", network, 0)
    assert not np.array_equal(swapped.scores, lists["lane"].scores)
    figures = lane._explained(given, "world", network)
    assert figures["consumers"] > 0
    assert all(-1 <= figures[name]["mean"] <= 1 for name in ("alignment", "alignment_of_others", "deletion"))


def test_others_preferences_are_never_ones_own(split: tuple[BenchSplit, Events]) -> None:
    bench, events = split
    found, _ = preferences_of(bench, events)
    histories = events.histories("train")
    swapped = found.of_others(histories, seed=1)
    after = swapped.at[swapped.first + swapped.events].numpy()
    assert (after != found.latest).all()
    assert sorted(after) == sorted(found.latest)


FAKE_LOADER = """
def read_split(dataset, split, data, splits):
    return [dataset, split]
"""
FAKE_SCORER = """
import numpy as np
import load

class Scored:
    names = ["a", "b"]
    def __init__(self, values):
        self.values = np.array(values)
    def evaluate(self, weights):
        return {"mrr": (weights * self.values).sum(1) / weights.sum(1)}

def score(rows, path, task):
    assert rows == ["toy", "leave-last-out"] and task == "ranking"
    return Scored([float(it) for it in open(path).read().split()])

def resamples(n):
    return np.array([[2, 0], [0, 2]])

def interval(values):
    return [float(values.min()), float(values.max())]
"""


def test_differences_are_pooled_over_seeds_before_the_interval_is_taken(tmp_path: Path) -> None:
    for name, text in (("load.py", FAKE_LOADER), ("score.py", FAKE_SCORER)):
        (tmp_path / name).write_text(text)
    for name, text in (("base.0", "0.1 0.2"), ("own.0", "0.3 0.2"), ("base.1", "0.2 0.1"), ("own.1", "0.2 0.5")):
        (tmp_path / name).write_text(text)
    script = Script(BenchFolders(bench=tmp_path, data=tmp_path), "toy", "ranking")
    pairs = [tuple(script.score(tmp_path / f"{name}.{seed}") for name in ("base", "own")) for seed in (0, 1)]
    assert script.pooled(pairs, ("mrr",)) == {
        "mrr": {"value": 0.15, "interval95": pytest.approx([0.1, 0.2]), "relative": 1.0, "by_seed": [0.1, 0.2]}
    }
