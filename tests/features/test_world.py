"""The built-in world: its ratings follow the planted reasons, its texts tell them, the seed fixes it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import SettingError
from features.readers.registry import read_dataset
from features.readers.world import World, WorldConfig, generate_world, iter_interactions, write_world
from features.readers.world_aspects import ASPECTS

NAMES = [aspect.name for aspect in ASPECTS]


@pytest.fixture(scope="module")
def world() -> World:
    return generate_world(WorldConfig(seed=1))


def reasons(world: World) -> pd.DataFrame:
    """Interactions with the planted reasons for and against."""
    frame, truth = world.dataset.interactions.frame, world.truth
    pairs = list(zip(frame["consumer_id"], frame["product_id"], strict=True))
    return frame.assign(
        met=[truth.reasons_for(*pair) for pair in pairs], missed=[truth.reasons_against(*pair) for pair in pairs]
    )


def named(text: str) -> set[str]:
    """Aspects that a text names."""
    return {name for name in NAMES if name in text.lower()}


def test_the_sizes_are_as_ordered_and_nothing_is_quarantined(world: World):
    dataset = world.dataset
    assert (len(dataset.interactions), len(dataset.catalog), len(dataset.quarantined)) == (6000, 200, 0)
    assert len(world.truth.consumer_likes) == 300
    assert dataset.interactions.frame["rating"].isin([1, 2, 3, 4, 5]).all()
    assert dataset.catalog.products["title"].is_unique


def test_ratings_rise_with_met_likes_and_fall_with_missed_aversions(world: World):
    table = reasons(world)
    by_met, by_missed = (table["rating"].groupby(table[side].map(len)).mean() for side in ("met", "missed"))
    assert by_met[2] - by_met[0] > 1
    assert by_missed[0] - by_missed[2] > 1


def test_likes_and_aversions_and_strengths_and_weaknesses_do_not_overlap(world: World):
    truth = world.truth
    for first, second in (
        (truth.consumer_likes, truth.consumer_aversions),
        (truth.product_strengths, truth.product_weaknesses),
    ):
        assert all(first[key] and second[key] and not set(first[key]) & set(second[key]) for key in first)


def test_every_phrase_names_its_own_aspect_and_no_other():
    for aspect in ASPECTS:
        for phrase in (aspect.strong, aspect.weak, *aspect.praise, *aspect.complaint):
            assert named(phrase) == {aspect.name}, phrase


def test_a_review_names_only_planted_reasons_or_strengths_the_consumer_ignores(world: World):
    table = reasons(world).dropna(subset=["review"])
    told = table["review"].map(named)
    strengths = table["product_id"].map(world.truth.product_strengths).map(set)
    allowed = [met | missed | own for met, missed, own in zip(table["met"], table["missed"], strengths, strict=True)]
    assert all(said <= may for said, may in zip(told, allowed, strict=True))
    some = table["met"].map(len).gt(0)
    assert all(said & met for said, met in zip(told[some], table["met"][some], strict=True))


def test_descriptions_and_the_feature_attribute_tell_the_truth(world: World):
    truth, catalog = world.truth, world.dataset.catalog
    for product in catalog.products.itertuples():
        expected = {*truth.product_strengths[product.product_id], *truth.product_weaknesses[product.product_id]}
        assert named(product.description) == expected
    features = catalog.attributes[catalog.attributes["name"] == "feature"].groupby("product_id")["value"].agg(set)
    assert all(set(truth.product_strengths[key]) == value for key, value in features.items())
    assert set(catalog.attributes["name"]) == {"category", "brand", "price_band", "feature"}


def test_the_same_seed_gives_the_same_world_and_another_a_different_one(world: World):
    again, other = generate_world(WorldConfig(seed=1)), generate_world(WorldConfig(seed=2))
    pd.testing.assert_frame_equal(again.dataset.interactions.frame, world.dataset.interactions.frame)
    pd.testing.assert_frame_equal(again.dataset.catalog.products, world.dataset.catalog.products)
    assert other.dataset.interactions.frame["rating"].tolist() != world.dataset.interactions.frame["rating"].tolist()


def test_without_information_ratings_stay_and_texts_say_nothing_about_them(world: World):
    blind = generate_world(WorldConfig(seed=1, informative=False))
    numbers = ["consumer_id", "product_id", "timestamp", "rating"]
    pd.testing.assert_frame_equal(blind.dataset.interactions.frame[numbers], world.dataset.interactions.frame[numbers])
    assert blind.truth.consumer_likes == world.truth.consumer_likes

    def share_true(reviews: pd.Series) -> float:
        told = [bool(named(text or "") & met) for text, met in zip(reviews, table["met"], strict=True)]
        return float(np.mean(np.array(told)[table["met"].map(len).gt(0) & reviews.notna().to_numpy()]))

    table = reasons(world)
    shuffled = table["review"].sample(frac=1, random_state=0).reset_index(drop=True)
    assert share_true(table["review"]) == 1
    # Some aspects are commoner than others, so chance alone hits sometimes: no more than that is left.
    assert share_true(blind.dataset.interactions.frame["review"]) == pytest.approx(share_true(shuffled), abs=0.04)
    glad = blind.dataset.interactions.frame.dropna(subset=["review"])
    pleased = glad["review"].str.contains("Exactly what I hoped for|keepers|hardly be happier")
    assert abs(glad["rating"][pleased].mean() - glad["rating"].mean()) < 0.15


def test_pieces_of_any_size_make_the_same_world(world: World):
    config = WorldConfig(seed=1)
    pieces = list(iter_interactions(config, 700))
    assert [len(piece) for piece in pieces] == [700] * 8 + [400]
    whole = pd.concat(pieces, ignore_index=True)
    pd.testing.assert_frame_equal(whole, world.dataset.interactions.frame, check_dtype=False)


def test_blocks_share_no_pair_and_follow_each_other_in_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("features.readers.world.BLOCK", 500)
    dataset = generate_world(WorldConfig(n_interactions=3000)).dataset
    assert (len(dataset.interactions), len(dataset.quarantined)) == (3000, 0)
    assert dataset.interactions.frame["row"].tolist() == list(range(3000))


def test_a_written_world_is_read_back_as_own_tables(world: World, tmp_path: Path):
    write_world(world, tmp_path)
    back = read_dataset("", tmp_path)
    pd.testing.assert_frame_equal(back.interactions.frame, world.dataset.interactions.frame)
    pd.testing.assert_frame_equal(back.catalog.products, world.dataset.catalog.products)
    rows = [
        set(catalog.attributes.itertuples(index=False, name=None)) for catalog in (back.catalog, world.dataset.catalog)
    ]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("size", [{"n_interactions": 30_000}, {"n_products": 0}, {"n_interactions": 0}])
def test_impossible_sizes_are_refused(size: dict[str, int]):
    with pytest.raises(SettingError, match="cannot have"):
        replace(WorldConfig(), **size)


def test_a_tiny_world_works():
    assert len(generate_world(WorldConfig(n_consumers=4, n_products=3, n_interactions=2)).dataset.interactions) == 2
