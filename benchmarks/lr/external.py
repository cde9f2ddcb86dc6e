"""Texts about products that came with the data: written by people or by stronger language models, not from ratings.

Descriptions of `amazon-beauty` were written from reviews, of which they may have seen those held out: report with and
without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.lr.splits import BenchSplit
from features.errors import InputError
from features.readers.files import find_file, read_delimited
from features.readers.movielens import natural_title

OWN_SUMMARIES, ALL_SUMMARIES = "ml-100k-summaries.csv", "movie_summary_25_words.csv"
MOVIES = "movie-summaries"
"""Folder of summaries by title and year, beside the datasets."""


def external_texts(split: BenchSplit) -> Mapping[str, Sequence[str]]:
    """Texts by product, a language model's summary before a description. Raises InputError if there are none."""
    products = split.reviewed.products
    described = dict(zip(products["product_id"], products["description"], strict=True))
    summaries = _summaries(split)
    texts = {product: [summaries.get(product, ""), described[product]] for product in described}
    listed = {product: [text for text in both if text] for product, both in texts.items()}
    if not any(listed.values()):
        raise InputError(f"{split.dataset} has no texts but its own.", remedy="Leave `external` out for this dataset.")
    return listed


def _summaries(split: BenchSplit) -> dict[str, str]:
    """One-line summaries of movies by product; empty where the dataset has none."""
    if (split.data / OWN_SUMMARIES).is_file():
        frame = read_delimited(split.data / OWN_SUMMARIES, ",")
        return dict(zip(frame["item_id"], frame["summary"], strict=True))
    attributes = split.train.catalog.attributes
    dated = attributes[attributes["name"] == "year"]
    years = dict(zip(dated["product_id"], dated["value"], strict=True))
    if not years:
        return {}
    frame = read_delimited(find_file(split.data.parent / MOVIES, ALL_SUMMARIES), ",")
    named = frame["name"].str.strip() + " (" + frame["year"] + ")"
    known = dict(zip(map(natural_title, named), frame["summary"].str.strip('" '), strict=True))
    products = split.train.catalog.products
    titles = zip(products["product_id"], products["title"], strict=True)
    return {product: known.get((title, years.get(product, "")), "") for product, title in titles}
