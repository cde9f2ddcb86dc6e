"""Controls made from a set of texts: the same shape with one thing taken out or put wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from benchmarks.lr.splits import BenchSplit
from features.sentences import spoken_title
from features.types import STANCES, EntityKind, Stance
from features.wording import CATALOG_TIME

SEED = 14
BRAND = "brand"
_OTHER_SIDE = {Stance.FOR.value: Stance.AGAINST.value, Stance.AGAINST.value: Stance.FOR.value}


def both_stances(
    texts: Mapping[str, Sequence[str]],
    kind: EntityKind = EntityKind.PRODUCT,
    times: Mapping[str, pd.Timestamp] | None = None,
) -> pd.DataFrame:
    """Texts that take no side, in the slots of both: by default of products, known from the start."""
    rows = [
        (kind.value, entity, stance.value, rank, text, 1.0, (times or {}).get(entity, pd.Timestamp(CATALOG_TIME)))
        for entity, listed in texts.items()
        for rank, text in enumerate(filter(None, listed))
        for stance in STANCES
    ]
    columns = ["entity_kind", "entity_id", "stance", "rank", "text", "weight", "evidence_time"]
    return pd.DataFrame(rows, columns=columns)


def swapped(facets: pd.DataFrame) -> pd.DataFrame:
    """What speaks for an entity in the place of what speaks against it, and the other way round."""
    return facets.assign(stance=facets["stance"].map(_OTHER_SIDE))


def shuffled(facets: pd.DataFrame) -> pd.DataFrame:
    """Each entity gets the texts of another of its kind, and nobody keeps their own.

    The time from which they may be seen stays the receiving entity's.
    """
    rng, parts = np.random.default_rng(SEED), list[pd.DataFrame]()
    for _, group in facets.groupby("entity_kind", sort=True):
        entities = rng.permutation(np.sort(group["entity_id"].unique()).astype(object))
        receiver = dict(zip(entities, np.roll(entities, 1), strict=True))
        known_from = group.groupby("entity_id")["evidence_time"].max()
        moved = group.assign(entity_id=group["entity_id"].map(receiver))
        parts.append(moved.assign(evidence_time=moved["entity_id"].map(known_from)))
    return pd.concat(parts, ignore_index=True)


def random_words(facets: pd.DataFrame) -> pd.DataFrame:
    """Texts of the same lengths, of words drawn from all texts as often as they occur there."""
    words = [text.split() for text in facets["text"]]
    drawn = np.random.default_rng(SEED).permutation(np.array([word for listed in words for word in listed], object))
    ends = np.cumsum([len(listed) for listed in words])
    texts = [" ".join(part) for part in np.split(drawn, ends[:-1])]
    return facets.assign(text=texts)


def hidden_titles(facets: pd.DataFrame, split: BenchSplit) -> pd.DataFrame:
    """Names of products and brands replaced by numbers; what they are and how they were rated stays.

    A text may name the products that its consumer rated, or the product it is about.
    """
    hide = _Names(split)
    columns = (facets[name] for name in ("entity_kind", "entity_id", "text"))
    return facets.assign(text=[hide(kind, entity, text) for kind, entity, text in zip(*columns, strict=True)])


class _Names:
    """Which names a text about an entity may hold, and what stands for them."""

    def __init__(self, split: BenchSplit) -> None:
        products, attributes = split.train.catalog.products, split.train.catalog.attributes
        titles = zip(products["product_id"], products["title"], strict=True)
        self.titles = {product: (spoken_title(title), f"product {n}") for n, (product, title) in enumerate(titles, 1)}
        brands = attributes[attributes["name"].str.lower() == BRAND]
        numbers = {brand: f"brand {n}" for n, brand in enumerate(sorted(brands["value"].unique()), 1)}
        self.brands: dict[str, list[tuple[str, str]]] = {}
        for product, brand in zip(brands["product_id"], brands["value"], strict=True):
            self.brands.setdefault(product, []).append((brand, numbers[brand]))
        frame = split.evidence_snapshot.interactions.frame
        self.rated = frame.groupby("consumer_id")["product_id"].agg(list)

    def __call__(self, kind: str, entity: str, text: str) -> str:
        products = self.rated.get(entity, []) if kind == EntityKind.CONSUMER.value else [entity]
        names = [name for product in products for name in self._names(product)]
        return replaced(text, names)

    def _names(self, product: str) -> Iterable[tuple[str, str]]:
        return [self.titles[product], *self.brands.get(product, [])]


def replaced(text: str, names: Iterable[tuple[str, str]]) -> str:
    """A text with whole names replaced, longer ones first, as they are spelled."""
    by_name = {name: code for name, code in names if name and name in text}
    if not by_name:
        return text
    longest_first = sorted(by_name, key=len, reverse=True)
    pattern = rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)"
    return re.sub(pattern, lambda found: by_name[found[0]], text)
