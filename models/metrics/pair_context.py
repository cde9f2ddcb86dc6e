"""What a text about a pair may be recognised by: passages of the consumer's history and of the product, as vectors.

The passages are raw data (titles, attributes, ratings, reviews, descriptions), not facts: a text that says something
of its own pair is nearer to that pair's passages than to another's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.sentences import clean, sentences, spoken_title
from features.types import Snapshot
from models.metrics.explanation import Values, statements

EVENTS_OF_CONSUMER, REVIEWS_OF_PRODUCT = 20, 12
"""Latest events and reviews that become passages."""
MAX_PASSAGE = 400

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
Passages = Mapping[str, Sequence[str]]
"""Passages by the id of what they are about."""


def passages_of(snapshot: Snapshot) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Passages of every consumer and of every product, by id, from what the snapshot shows, latest events first."""
    products, attributes = snapshot.catalog.products, snapshot.catalog.attributes
    titles = {p: spoken_title(t) for p, t in zip(products["product_id"], products["title"].fillna(""), strict=True)}
    kinds: dict[str, list[str]] = {}
    for product, name, value in zip(attributes["product_id"], attributes["name"], attributes["value"], strict=True):
        kinds.setdefault(product, []).append(f"{name} {value}")
    of_product = {p: [f"{titles[p]}: {', '.join(kinds.get(p, ()))}"] for p in titles}
    for product, description in zip(products["product_id"], products["description"].fillna(""), strict=True):
        of_product[product] += sentences(description)
    of_consumer: dict[str, list[str]] = {}
    events = snapshot.interactions.frame.iloc[::-1]
    for consumer, product, rating, review in events[["consumer_id", "product_id", "rating", "review"]].itertuples(
        index=False
    ):
        said = clean(review, MAX_PASSAGE)
        mine, its = of_consumer.setdefault(consumer, []), of_product[product]
        if len(mine) < 2 * EVENTS_OF_CONSUMER:
            mine += [f"rated {rating:g}: {of_product[product][0]}", *([said] if said else [])]
        if said and len(its) < REVIEWS_OF_PRODUCT:
            its.append(f"rated {rating:g}: {said}")
    return of_consumer, of_product


@dataclass(frozen=True, eq=False)
class PairContexts:
    """Passages of P pairs, encoded once."""

    vectors: tuple[NDArray[np.float32], NDArray[np.float32]]  # all passages of consumers, of products
    starts: tuple[NDArray[np.intp], NDArray[np.intp]]  # where each entity's passages begin
    places: tuple[NDArray[np.intp], NDArray[np.intp]]  # (P,) each pair's consumer and product among them

    @classmethod
    def encoded(
        cls, pairs: Sequence[tuple[str, str]], consumers: Passages, products: Passages, encode: Encode
    ) -> PairContexts:
        """The contexts of pairs (consumer id, product id); an id without passages has an empty one."""
        vectors, starts, places = [], [], []
        for side, passages in enumerate((consumers, products)):
            names, place = np.unique([pair[side] for pair in pairs], return_inverse=True)
            of_each = [list(passages.get(str(name), ())) or [""] for name in names]
            vectors.append(encode([passage for group in of_each for passage in group]))
            starts.append(np.cumsum([0, *map(len, of_each)])[:-1])
            places.append(place)
        return cls((vectors[0], vectors[1]), (starts[0], starts[1]), (places[0], places[1]))

    def similarities(
        self, texts: Sequence[str], pair_of: NDArray[np.intp], encode: Encode
    ) -> dict[str, tuple[Values, NDArray[np.intp]]]:
        """How near each text is to contexts: of every pair, of its product with every consumer, and the reverse.

        A statement is as near as the nearest passage of either side (cosine); a text as its statements on average.
        With one side held fixed, only what the text says of the other side can tell the candidates apart.

        Args:
            texts: N texts.
            pair_of: (N,) which pair each belongs to.
            encode: text encoder.

        Returns:
            For `pair`, `consumer` and `product`: (N, K) similarities, and the column of the text's own context (N,).
        """
        parts = [statements(text) or [text] for text in texts]
        first, counts = np.cumsum([0, *map(len, parts)])[:-1], np.array([len(group) for group in parts])
        said = encode([statement for group in parts for statement in group])
        near = [
            np.maximum.reduceat(said @ vectors.T, starts, axis=1)
            for vectors, starts in zip(self.vectors, self.starts, strict=True)
        ]
        own = [np.repeat(place[pair_of], counts) for place in self.places]  # of each statement
        fixed = [each[np.arange(len(said)), place, None] for each, place in zip(near, own, strict=True)]
        candidates = {
            "pair": (np.maximum(near[0][:, self.places[0]], near[1][:, self.places[1]]), pair_of),
            "consumer": (np.maximum(near[0], fixed[1]), self.places[0][pair_of]),
            "product": (np.maximum(near[1], fixed[0]), self.places[1][pair_of]),
        }
        return {
            side: (np.add.reduceat(each.astype(np.float64), first, axis=0) / counts[:, None], column)
            for side, (each, column) in candidates.items()
        }


def encode_once(encode: Encode) -> Encode:
    """The encoder with a memory: a text that was encoded before is not encoded again."""
    known: dict[str, NDArray[np.float32]] = {}

    def remember(texts: Sequence[str]) -> NDArray[np.float32]:
        new = list(dict.fromkeys(text for text in texts if text not in known))
        if new:
            known.update(zip(new, encode(new), strict=True))
        return np.stack([known[text] for text in texts])

    return remember
