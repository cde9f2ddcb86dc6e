"""The checkerboard: the smallest world with an exact answer, for conformance tests of methods.

Consumer i likes product j exactly when both have the same colour, that is when i + j is even.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.readers.dataset import Dataset, RawTables, finish
from features.readers.files import attribute_rows

START = pd.Timestamp("2024-01-01", tz="UTC")


def checkerboard(n: int = 20) -> Dataset:
    """All pairs of n consumers and n products but those of `held_out`; liked pairs have 5 stars, others 1.

    On day k consumer i meets product i + k (modulo n), so that everybody's history grows alike and in turns.
    """
    consumer, day = (axis.ravel() for axis in np.meshgrid(np.arange(n), np.arange(2, n)))
    product = (consumer + day) % n
    liked = _liked(consumer, product)
    colour = pd.Series(["white", "black"] * n)[:n]
    reviews = np.where(liked, "A tile of my colour, I love it.", "This is not my colour at all.")
    events = pd.DataFrame(
        {
            "row": np.arange(len(day)),
            "consumer_id": _ids("consumer", consumer),
            "product_id": _ids("product", product),
            "timestamp": START + pd.to_timedelta(day * 86_400 + consumer, "s"),
            "rating": np.where(liked, 5.0, 1.0),
            "review": reviews.astype(object),
        }
    )
    ids = pd.Series(_ids("product", np.arange(n)))
    titles = [f"{name.capitalize()} tile {number}" for number, name in enumerate(colour)]
    products = pd.DataFrame({"product_id": ids, "title": titles, "description": ""})
    return finish(RawTables("checkerboard", "checkerboard", events, products, attribute_rows(ids, "colour", colour)))


def held_out(n: int = 20) -> pd.DataFrame:
    """The pairs left out: per consumer one liked (the diagonal) and one not (the product after it).

    Returns:
        Columns `consumer_id`, `product_id`, `liked`; 2n rows. n is even, so that colours alternate around.
    """
    consumer, step = (axis.ravel() for axis in np.meshgrid(np.arange(n), np.arange(2)))
    product = (consumer + step) % n
    return pd.DataFrame(
        {
            "consumer_id": _ids("consumer", consumer),
            "product_id": _ids("product", product),
            "liked": _liked(consumer, product),
        }
    )


def _liked(consumer: np.ndarray, product: np.ndarray) -> np.ndarray:
    """Whether the colours agree."""
    return (consumer + product) % 2 == 0


def _ids(kind: str, numbers: np.ndarray) -> np.ndarray:
    """Ids such as `consumer-03`."""
    return np.array([f"{kind}-{number:02d}" for number in numbers], dtype=object)
