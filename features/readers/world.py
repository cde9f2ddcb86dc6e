"""The built-in world: headphones, who buys them, and the planted reasons for every rating.

Each consumer likes a few aspects and has an aversion to doing without a few others; each product is strong in
some and weak in some. A rating is the product's quality, the consumer's mood, a gain for each like that meets
a strength, a loss for each aversion that meets a weakness, a slow rise over the two years, and noise. Texts
name the aspects. So the true reasons for and against every pair are known, and explanations can be judged.

Rows come in order of time, in blocks with random streams of their own: a world of any size can be generated
without being held, and is the same whatever the size of the pieces asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import SettingError
from features.readers.dataset import Dataset, RawTables, finish
from features.readers.world_aspects import ASPECTS
from features.readers.world_reviews import Mention, write_reviews
from features.readers.world_shop import Shop, stock_shop
from features.types import INTERACTION_COLUMNS

START = np.datetime64("2023-01-01", "us")
DAYS = 730
BLOCK = 65_536
"""Rows made at once, and the most that are compared for repeated pairs."""
MAX_DENSITY = 0.4
_CANDIDATES = 12
_GAIN, _LOSS = 0.75, 0.95  # stars for a like that meets a strength, for an aversion that meets a weakness
_ROUNDS = 500
_ASPECT_NAMES = np.array([aspect.name for aspect in ASPECTS], dtype=object)

Bits = NDArray[np.uint32]


@dataclass(frozen=True)
class WorldConfig:
    """Size and seed of a world; `informative=False` keeps all ratings and makes all texts random."""

    seed: int = 0
    n_consumers: int = 300
    n_products: int = 200
    n_interactions: int = 6000
    informative: bool = True

    def __post_init__(self) -> None:
        room = int(MAX_DENSITY * self.n_consumers * self.n_products)
        if min(self.n_consumers, self.n_products, self.n_interactions) < 1 or self.n_interactions > room:
            raise SettingError(
                f"A world of {self.n_consumers} consumers and {self.n_products} products cannot have "
                f"{self.n_interactions} interactions.",
                f"All are at least 1, and at most {MAX_DENSITY:.0%} of all pairs interact, here {room}.",
                "Give fewer interactions, or more consumers and products.",
            )


@dataclass(frozen=True, eq=False)
class WorldTruth:
    """The planted reasons: names of aspects by consumer or product id."""

    consumer_likes: dict[str, tuple[str, ...]]
    consumer_aversions: dict[str, tuple[str, ...]]
    product_strengths: dict[str, tuple[str, ...]]
    product_weaknesses: dict[str, tuple[str, ...]]

    def reasons_for(self, consumer_id: str, product_id: str) -> set[str]:
        """Aspects that speak for the product in this consumer's eyes."""
        return set(self.consumer_likes[consumer_id]) & set(self.product_strengths[product_id])

    def reasons_against(self, consumer_id: str, product_id: str) -> set[str]:
        """Aspects that speak against it."""
        return set(self.consumer_aversions[consumer_id]) & set(self.product_weaknesses[product_id])


@dataclass(frozen=True, eq=False)
class World:
    """A dataset and the truth behind it."""

    dataset: Dataset
    truth: WorldTruth


@dataclass(frozen=True, eq=False)
class _People:
    """C consumers; aspects as bits."""

    ids: NDArray[np.object_]
    likes: Bits
    aversions: Bits
    mood: NDArray[np.float64]  # stars
    activity: NDArray[np.float64]  # cumulated shares, the last is 1


def generate_world(config: WorldConfig | None = None) -> World:
    """The whole world in memory; the same config gives the same world."""
    config = config or WorldConfig()
    people, shop = _people(config), _shop(config)
    events = pd.concat(iter_interactions(config, BLOCK), ignore_index=True)
    raw = RawTables("world", "world", events, shop.products, shop.attributes)
    truth = WorldTruth(
        _named(people.ids, people.likes),
        _named(people.ids, people.aversions),
        _named(shop.ids, shop.strengths),
        _named(shop.ids, shop.weaknesses),
    )
    return World(finish(raw), truth)


def iter_interactions(config: WorldConfig, chunk: int = BLOCK) -> Iterator[pd.DataFrame]:
    """The interactions in order of time, `chunk` rows at a time, with `INTERACTION_COLUMNS`."""
    people, shop = _people(config), _shop(config)
    # A pair may only meet in one block, so blocks need not know of each other to avoid repeats.
    n_blocks = max(1, min(-(-config.n_interactions // BLOCK), config.n_products // 32))
    ends = np.linspace(0, config.n_interactions, n_blocks + 1).astype(int)
    waiting = pd.DataFrame(columns=list(INTERACTION_COLUMNS))
    for block in range(n_blocks):
        made = _block(config, people, shop, block, n_blocks, range(ends[block], ends[block + 1]))
        waiting = pd.concat([waiting, made], ignore_index=True) if len(waiting) else made
        while len(waiting) >= chunk:
            yield waiting.iloc[:chunk].reset_index(drop=True)
            waiting = waiting.iloc[chunk:]
    if len(waiting):
        yield waiting.reset_index(drop=True)


def write_world(world: World, folder: Path) -> None:
    """Writes `interactions.csv` and `catalog.csv` in the layout `tables`."""
    write_tables(world.dataset, folder)


def write_tables(dataset: Dataset, folder: Path) -> None:
    """Writes any dataset in the layout `tables`."""
    folder.mkdir(parents=True, exist_ok=True)
    catalog = dataset.catalog
    several = catalog.attributes.groupby(["product_id", "name"], sort=False)["value"].agg("|".join).unstack("name")
    wide = catalog.products.merge(several, left_on="product_id", right_index=True, how="left")
    wide.to_csv(folder / "catalog.csv", index=False)
    events = dataset.interactions.frame.drop(columns="row")
    times = events["timestamp"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    events.assign(timestamp=times).to_csv(folder / "interactions.csv", index=False)


def _draw_aspects(
    rng: np.random.Generator, n: int, first: tuple[int, int], second: tuple[int, int]
) -> tuple[Bits, Bits]:
    """For each of n two disjoint random sets of aspects, as bits; some aspects are commoner than others.

    Args:
        first, second: least and greatest size of each set.
    """
    ease = np.random.default_rng(len(ASPECTS)).normal(0, 0.5, len(ASPECTS))
    order = np.argsort(ease + rng.gumbel(size=(n, len(ASPECTS))), axis=1)
    bit = np.uint32(1) << order.astype(np.uint32)
    place = np.arange(len(ASPECTS))
    end = rng.integers(first[0], first[1] + 1, (n, 1))
    last = end + rng.integers(second[0], second[1] + 1, (n, 1))
    chosen, other = place < end, (place >= end) & (place < last)
    return (bit * chosen).sum(1, dtype=np.uint32), (bit * other).sum(1, dtype=np.uint32)


def _people(config: WorldConfig) -> _People:
    """Draws the consumers."""
    rng, n = np.random.default_rng([config.seed, 0]), config.n_consumers
    likes, aversions = _draw_aspects(rng, n, (4, 6), (3, 5))
    activity = rng.lognormal(0, 0.7, n)
    ids = np.array([f"c{number:0{len(str(n))}d}" for number in range(1, n + 1)], dtype=object)
    return _People(ids, likes, aversions, rng.normal(0, 0.3, n), np.cumsum(activity) / activity.sum())


def _shop(config: WorldConfig) -> Shop:
    """Draws the products."""
    rng = np.random.default_rng([config.seed, 1])
    strengths, weaknesses = _draw_aspects(rng, config.n_products, (2, 4), (2, 3))
    return stock_shop(rng, strengths, weaknesses, config.informative)


def _block(config: WorldConfig, people: _People, shop: Shop, block: int, n_blocks: int, rows: range) -> pd.DataFrame:
    """The rows of one block: who meets what when, the rating, the review."""
    rng = np.random.default_rng([config.seed, 2, block])
    when = np.sort(rng.uniform(rows.start, rows.stop, len(rows))) / config.n_interactions  # (B,) in [0, 1)
    consumer, product = _meet(rng, people, shop, when, block, n_blocks)
    met = people.likes[consumer] & shop.strengths[product]
    missed = people.aversions[consumer] & shop.weaknesses[product]
    stars = (
        3.3
        + shop.quality[product]
        + people.mood[consumer]
        + _GAIN * np.bitwise_count(met)
        - _LOSS * np.bitwise_count(missed)
        + 0.2 * when
        + rng.normal(0, 0.45, len(rows))
    )
    rating = np.clip(np.rint(stars), 1, 5)
    ignored = shop.strengths[product] & ~people.likes[consumer]
    # Texts have a stream of their own, so that making them random leaves the ratings as they are.
    words = np.random.default_rng([config.seed, 3, block])
    mention = Mention(rating.astype(int), met, missed, ignored)
    if not config.informative:
        mention = mention.take(words.permutation(len(rows)))
    seconds = np.floor(when * DAYS * 86_400).astype("timedelta64[s]")
    return pd.DataFrame(
        {
            "row": np.arange(rows.start, rows.stop),
            "consumer_id": people.ids[consumer],
            "product_id": shop.ids[product],
            "timestamp": pd.DatetimeIndex(START + seconds).tz_localize("UTC").as_unit("us"),
            "rating": rating,
            "review": write_reviews(words, mention),
        }
    )


def _meet(
    rng: np.random.Generator, people: _People, shop: Shop, when: NDArray[np.float64], block: int, n_blocks: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Chooses a consumer and a product for each time; no pair twice. (B,), (B,)"""
    consumer, product = np.zeros((2, len(when)), np.intp)
    open_rows = np.arange(len(when))
    for _ in range(_ROUNDS):
        chosen = np.searchsorted(people.activity, rng.random(len(open_rows)))
        consumer[open_rows] = np.minimum(chosen, len(people.ids) - 1)
        product[open_rows] = _choose(rng, people, shop, consumer[open_rows], when[open_rows], block, n_blocks)
        pairs = consumer * len(shop.ids) + product
        # Rows already settled come first, so that they win over a later repeat of their pair.
        order = np.concatenate([np.setdiff1d(np.arange(len(when)), open_rows), open_rows])
        _, first = np.unique(pairs[order], return_index=True)
        repeated = np.setdiff1d(np.arange(len(when)), order[first])
        early = open_rows[shop.launch[product[open_rows]] > when[open_rows]]
        open_rows = np.union1d(repeated, early)
        if not len(open_rows):
            return consumer, product
    raise SettingError(
        f"{len(open_rows)} of {len(when)} interactions found no pair that is new and on sale.",
        remedy="Give fewer interactions, or more consumers and products.",
    )


def _choose(
    rng: np.random.Generator,
    people: _People,
    shop: Shop,
    consumer: NDArray[np.intp],
    when: NDArray[np.float64],
    block: int,
    n_blocks: int,
) -> NDArray[np.intp]:
    """The most attractive of a few products that are on sale and may be met in this block. (B,)"""
    start = (consumer * 7919 + block) % n_blocks
    n_open = -(-(len(shop.ids) - start) // n_blocks)
    steps = (rng.random((len(consumer), _CANDIDATES)) * n_open[:, None]).astype(np.intp)
    offered = start[:, None] + n_blocks * steps  # (B, K)
    met = np.bitwise_count(people.likes[consumer][:, None] & shop.strengths[offered])
    fashion = np.sin(2 * np.pi * (when[:, None] + shop.season[offered]))
    appeal = shop.fame[offered] + 0.4 * fashion + 0.5 * met + rng.gumbel(size=offered.shape)
    appeal[shop.launch[offered] > when[:, None]] = -np.inf
    return offered[np.arange(len(consumer)), appeal.argmax(1)]


def _named(ids: NDArray[np.object_], bits: Bits) -> dict[str, tuple[str, ...]]:
    """Names of the aspects in each set."""
    member = (bits[:, None] >> np.arange(len(ASPECTS), dtype=np.uint32)) & 1
    return {name: tuple(_ASPECT_NAMES[row.astype(bool)]) for name, row in zip(ids, member, strict=True)}
