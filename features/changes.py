"""What changed between two readings of a source, by content: of each product what it is, of each consumer its events.

Two contents are equal if they say the same: the order of columns, keys and attributes, white space, and the number of
a source row do not count, nor does a column that is read into nothing. Who rated a product is the consumers'
content; so a new event changes one consumer and no product.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from features.types import Catalog, EntityKind, Interactions, content_hash

CONTENT_COLUMNS = ("entity_kind", "entity_id", "content_hash")
Reading = tuple[Interactions, Catalog]
"""What a source said at one time."""
EVENT_COLUMNS = ["product_id", "timestamp", "rating", "review"]


@dataclass(frozen=True)
class EntityChanges:
    """Ids of one kind, sorted: those that appeared, those whose content is another, those that vanished."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.added) + len(self.changed) + len(self.removed)


@dataclass(frozen=True)
class Changes:
    """What changed. A changed consumer has new, altered or removed events."""

    products: EntityChanges
    consumers: EntityChanges

    def __bool__(self) -> bool:
        return bool(len(self.products) or len(self.consumers))


def content_hashes(interactions: Interactions, catalog: Catalog) -> pd.DataFrame:
    """One row per product and per consumer with the hash of its content; columns `CONTENT_COLUMNS`."""
    rows = [(EntityKind.PRODUCT.value, *row) for row in _products(catalog)]
    rows += [(EntityKind.CONSUMER.value, *row) for row in _consumers(interactions)]
    return pd.DataFrame(rows, columns=list(CONTENT_COLUMNS), dtype=object)


def find_changes(before: pd.DataFrame, after: pd.DataFrame) -> Changes:
    """What changed between two tables of `content_hashes`."""
    return Changes(
        *(
            _compared(_of_kind(before, kind), _of_kind(after, kind))
            for kind in (EntityKind.PRODUCT, EntityKind.CONSUMER)
        )
    )


def keep_unchanged(
    before: tuple[Interactions, Catalog], after: tuple[Interactions, Catalog]
) -> tuple[Interactions, Catalog]:
    """The newer reading, in which whatever has the same content stands exactly as it stood before.

    So a cosmetic edit of the source (a space, another order) reaches no text and no feature. Products that stay
    keep their order, new ones follow; the events are the newer ones in their order, with the review as it was.
    """
    old, new = content_hashes(*before), content_hashes(*after)
    same = set(
        old.merge(new, on=list(CONTENT_COLUMNS))[["entity_kind", "entity_id"]].itertuples(index=False, name=None)
    )
    products = {name for kind, name in same if kind == EntityKind.PRODUCT.value}
    consumers = {name for kind, name in same if kind == EntityKind.CONSUMER.value}
    return _events(before[0], after[0], consumers), _catalog(before[1], after[1], products)


def _of_kind(hashes: pd.DataFrame, kind: EntityKind) -> dict[str, str]:
    chosen = hashes[hashes["entity_kind"] == kind.value]
    return dict(zip(chosen["entity_id"], chosen["content_hash"], strict=True))


def _compared(before: dict[str, str], after: dict[str, str]) -> EntityChanges:
    kept = before.keys() & after.keys()
    return EntityChanges(
        added=tuple(sorted(after.keys() - before.keys())),
        changed=tuple(sorted(name for name in kept if before[name] != after[name])),
        removed=tuple(sorted(before.keys() - after.keys())),
    )


def _products(catalog: Catalog) -> Iterator[tuple[str, str]]:
    """Id and hash of each product."""
    attributes: dict[str, set[tuple[str, str]]] = {}
    listed = catalog.attributes
    for name, *pair in zip(listed["product_id"], listed["name"], listed["value"], strict=True):
        attributes.setdefault(name, set()).add((_plain(pair[0]), _plain(pair[1])))
    columns = (catalog.products[name] for name in ("product_id", "title", "description"))
    for name, title, description in zip(*columns, strict=True):
        yield name, content_hash(_plain(title), _plain(description), sorted(attributes.get(name, ())))


def _consumers(interactions: Interactions) -> Iterator[tuple[str, str]]:
    """Id and hash of each consumer."""
    events = interactions.frame[["consumer_id", *EVENT_COLUMNS]]
    events = events.assign(timestamp=events["timestamp"].dt.as_unit("us").astype("int64"))
    listed: dict[str, list[object]] = {}
    for consumer, product, time, rating, review in events.itertuples(index=False, name=None):
        listed.setdefault(consumer, []).append((product, time, None if rating != rating else rating, _plain(review)))
    for consumer, items in listed.items():
        yield consumer, content_hash(items)


def _plain(value: object) -> str:
    """A text without its white space's shape; nothing where it is missing."""
    return " ".join(value.split()) if isinstance(value, str) else ""


def _events(before: Interactions, after: Interactions, same: set[str]) -> Interactions:
    """The newer events, with the older reviews of the consumers that did not change."""
    pair = ["consumer_id", "product_id"]
    old = before.frame.set_index(pair)["review"]
    wanted = pd.MultiIndex.from_frame(after.frame[pair])
    kept = after.frame["consumer_id"].isin(same).to_numpy()
    review = after.frame["review"].to_numpy(object).copy()
    review[kept] = old.reindex(wanted[kept]).to_numpy(object)
    return Interactions(after.frame.assign(review=review))


def _catalog(before: Catalog, after: Catalog, same: set[str]) -> Catalog:
    """The newer catalog, with the older rows of the products that did not change."""
    frames = []
    for old, new in ((before.products, after.products), (before.attributes, after.attributes)):
        frames.append(pd.concat([old[old["product_id"].isin(same)], new[~new["product_id"].isin(same)]]))
    standing = dict.fromkeys([*before.products["product_id"], *after.products["product_id"]])
    order = {name: place for place, name in enumerate(standing)}
    products, attributes = (
        frame.sort_values("product_id", key=lambda ids: ids.map(order), kind="stable", ignore_index=True)
        for frame in frames
    )
    return Catalog(products, attributes, after.consumers, after.visuals)
