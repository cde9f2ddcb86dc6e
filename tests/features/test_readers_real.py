"""Public datasets are read whole: counts equal those of their descriptions. Needs COUNTERPOINT_DATA."""

import os
from pathlib import Path

import pytest

from features.readers.dataset import Dataset
from features.readers.registry import read_dataset


def real(name: str) -> Dataset:
    folder = Path(os.environ.get("COUNTERPOINT_DATA", "")) / name
    if "COUNTERPOINT_DATA" not in os.environ or not folder.is_dir():
        pytest.skip(f"COUNTERPOINT_DATA names no folder with {name}")
    return read_dataset("", folder)


@pytest.mark.parametrize(
    ("name", "kept", "repeats", "consumers", "products", "stars"),
    [
        ("ml-100k", 100_000, 0, 943, 1682, 3.530),
        ("ml-latest-small", 100_836, 0, 610, 9742, 3.502),
        ("amazon-musical-instruments", 10_261, 0, 1429, 900, 4.489),
        ("amazon-all-beauty-5core", 4092, 1177, 991, 85, 4.8),
        ("amazon-beauty", 3560, 671, 624, 1216, 4.7),
    ],
)
def test_counts_are_those_of_the_description(
    name: str, kept: int, repeats: int, consumers: int, products: int, stars: float
):
    dataset = real(name)
    frame = dataset.interactions.frame
    assert (len(frame), len(dataset.quarantined), dataset.n_read) == (kept, repeats, kept + repeats)
    assert (frame["consumer_id"].nunique(), len(dataset.catalog)) == (consumers, products)
    assert frame["rating"].mean() == pytest.approx(stars, abs=0.1 if repeats else 0.001)
    assert frame["timestamp"].is_monotonic_increasing


def test_plots_of_ml_100k_are_descriptions_for_nearly_all_films():
    assert real("ml-100k").catalog.products["description"].ne("").sum() == 1674


def test_amazon_reviews_have_text_and_titles_are_free_of_entities():
    dataset = real("amazon-musical-instruments")
    assert dataset.interactions.frame["review"].notna().mean() > 0.99
    assert not dataset.catalog.products["title"].str.contains("&quot;|&amp;").any()


def test_half_of_the_films_of_latest_small_have_looks():
    visuals = real("ml-latest-small").catalog.visuals
    assert len(visuals) == 4751
    assert {len(vector) for vector in visuals["vector"]} == {7}
