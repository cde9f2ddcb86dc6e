"""Which pairs are worth their own texts: training interactions that came after the evidence about both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from features.types import EntityKind, Fact, Snapshot
from models.explanations.facets import by_entity
from models.explanations.pairs import Pair


def choose_pairs(snapshot: Snapshot, facts: Iterable[Fact], n_pairs: int) -> list[Pair]:
    """At most `n_pairs` interactions of the snapshot, spread over consumers by a hash that depends on ids alone.

    A pair qualifies if both sides have facts, all of them from strictly before its time; the choice does not look
    at ratings, so that having a text says nothing about the outcome.
    """
    if not n_pairs:
        return []
    known = by_entity(facts)
    titles = dict(zip(snapshot.catalog.products["product_id"], snapshot.catalog.products["title"], strict=True))
    latest = {entity: max(fact.evidence_time for fact in group) for entity, group in known.items()}
    columns = ["consumer_id", "product_id", "timestamp"]
    qualified = []
    for consumer_id, product_id, time in snapshot.interactions.frame[columns].itertuples(index=False):
        consumer, product = (EntityKind.CONSUMER, consumer_id), (EntityKind.PRODUCT, product_id)
        if consumer in latest and product in latest and max(latest[consumer], latest[product]) < time:
            qualified.append((_place(consumer_id, product_id), consumer, product, time.to_pydatetime()))
    return [
        Pair(
            consumer_id=consumer[1],
            product_id=product[1],
            title=titles[product[1]],
            time=time,
            consumer_facts=tuple(known[consumer]),
            product_facts=tuple(known[product]),
        )
        for _, consumer, product, time in sorted(qualified)[:n_pairs]
    ]


def _place(consumer_id: str, product_id: str) -> str:
    return hashlib.sha256(f"{consumer_id}\x00{product_id}".encode()).hexdigest()
