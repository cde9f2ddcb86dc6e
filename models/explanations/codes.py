"""Texts to the vectors that are features: facet codes, product content and pair codes, as frames for the lake.

Every row carries the hash of what it was made from (`version`) and the time of the last event it rests on
(`event_timestamp`), so that nothing is seen before it could have been known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.batch import CODE_WIDTH, N_FACETS
from features.types import STANCES, Catalog, EntityKind, content_hash

CONSUMER_FACETS = "features/consumer_facets"
PRODUCT_FACETS = "features/product_facets"
PRODUCT_CONTENT = "features/product_content"
PAIR_CODES = "features/pair_codes"
EPOCH = pd.Timestamp("1970-01-01", tz="UTC")

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to vectors (N, 384), for instance `models.text.encode_unique` bound to a lake and an encoder."""


class Coder(Protocol):
    """What makes codes of text vectors: a trained autoencoder, or a control in its place."""

    @property
    def content_hash(self) -> str: ...

    def codes(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]: ...


@dataclass(frozen=True, eq=False)
class Coded:
    """Texts as numbers: `vectors` (N, d_t) of the encoder and `codes` (N, d_e) of these."""

    vectors: NDArray[np.float32]
    codes: NDArray[np.float32]


def coded(texts: Sequence[str], encode: Encode, coder: Coder) -> Coded:
    """Any texts; whatever becomes a feature, in training or in a request, is coded here."""
    vectors = encode(texts)
    return Coded(vectors, coder.codes(vectors))


def facet_codes(facets: pd.DataFrame, encode: Encode, autoencoder: Coder) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Facets as features: one row per consumer and one per product that has any.

    Args:
        facets: columns are the fields of `Facet`.
        encode: text encoder.
        autoencoder: makes the codes; its hash is part of every version.

    Returns:
        Frames of consumers and of products: `<kind>_id`, `event_timestamp` (latest evidence), `version`, `codes`
        (float32, [2, M, W] flattened) and `weights` ([2, M] flattened; 0 where there is no facet). Facets stand in
        order of rank; those beyond M are left out.
    """
    codes = coded(facets["text"].tolist(), encode, autoencoder).codes
    model = autoencoder.content_hash
    consumers, products = (_facet_rows(facets, codes, kind, model) for kind in EntityKind)
    return consumers, products


def topics(facets: pd.DataFrame, facts: pd.DataFrame) -> dict[str, str]:
    """What the text of each facet is about, by text: the first of its facts' aspects that names a thing.

    Args:
        facets: has `text` and `fact_ids`.
        facts: has `fact_id` and `aspect`; an aspect without a value (`mean`, `description`) names nothing.
    """
    aspects = dict(zip(facts["fact_id"], facts["aspect"], strict=True))
    found: dict[str, str] = {}
    for text, fact_ids in zip(facets["text"], facets["fact_ids"], strict=True):
        named = [aspect for fact_id in fact_ids if "=" in (aspect := aspects.get(fact_id, ""))]
        if named:
            found.setdefault(text, named[0])
    return found


def product_content(catalog: Catalog, encode: Encode) -> pd.DataFrame:
    """What products are, as text vectors: `product_id`, `event_timestamp` (1970), `version`, `vector` (384,)."""
    texts = product_texts(catalog)
    rows = zip(texts, encode(list(texts.values())), strict=True)
    return _frame(
        [
            {
                "product_id": product,
                "event_timestamp": EPOCH,
                "version": content_hash(texts[product], vector.tobytes().hex()),
                "vector": vector,
            }
            for product, vector in rows
        ],
        "product_id",
        lists=("vector",),
    )


def product_texts(catalog: Catalog) -> dict[str, str]:
    """Title, attributes and description of each product as one text, by product id."""
    attributes: dict[str, list[str]] = {}
    rows = catalog.attributes
    for product, name, value in zip(rows["product_id"], rows["name"], rows["value"], strict=True):
        attributes.setdefault(product, []).append(f"{name}: {value}")
    products = catalog.products
    columns = zip(products["product_id"], products["title"], products["description"], strict=True)
    return {
        product: ". ".join(part for part in (_text(title), *attributes.get(product, ()), _text(body)) if part)
        for product, title, body in columns
    }


def pair_codes(explanations: pd.DataFrame, encode: Encode, autoencoder: Coder) -> pd.DataFrame:
    """Codes of the texts written for pairs: `consumer_id`, `product_id`, `event_timestamp`, `version`, `codes`.

    Only pairs that have both texts at pair granularity get a row; `codes` is [2, W] flattened. Without dated
    evidence the timestamp is 1970.

    Args:
        explanations: columns are the fields of `Explanation`.
        encode: text encoder.
        autoencoder: makes the codes.
    """
    bought = explanations[(explanations["granularity"] == "pair") & (explanations["text"].fillna("") != "")]
    codes = coded(bought["text"].tolist(), encode, autoencoder).codes
    model, rows = autoencoder.content_hash, []
    places = bought.assign(place=np.arange(len(bought))).groupby(["consumer_id", "product_id"], sort=True)
    for (consumer, product), group in places:
        by_stance = dict(zip(group["stance"].astype(str), group["place"], strict=True))
        if not all(stance.value in by_stance for stance in STANCES):
            continue
        chosen = [by_stance[stance.value] for stance in STANCES]
        known = _latest(group["evidence_time"])
        rows.append(
            {
                "consumer_id": consumer,
                "product_id": product,
                "event_timestamp": known,
                "version": content_hash(bought["text"].iloc[chosen].tolist(), known, model),
                "codes": codes[chosen].reshape(-1),
            }
        )
    return _frame(rows, "consumer_id", "product_id", lists=("codes",))


def _facet_rows(facets: pd.DataFrame, codes: NDArray[np.float32], kind: EntityKind, model: str) -> pd.DataFrame:
    """One row per entity of a kind."""
    key = f"{kind.value}_id"
    placed = facets.assign(place=np.arange(len(facets)))
    placed = placed[placed["entity_kind"].astype(str) == kind.value].sort_values(["entity_id", "stance", "rank"])
    rows: list[dict[str, Any]] = []
    for entity, group in placed.groupby("entity_id", sort=True):
        vectors = np.zeros((len(STANCES), N_FACETS, CODE_WIDTH), np.float32)
        weights = np.zeros((len(STANCES), N_FACETS), np.float32)
        made_from: list[Any] = []
        for side, stance in enumerate(STANCES):
            kept = group[group["stance"].astype(str) == stance.value].head(N_FACETS)
            vectors[side, : len(kept)] = codes[kept["place"].to_numpy(dtype=np.intp)]
            weights[side, : len(kept)] = kept["weight"]
            made_from.append([kept["text"].tolist(), kept["weight"].tolist()])
        known = _latest(group["evidence_time"])
        rows.append(
            {
                key: entity,
                "event_timestamp": known,
                "version": content_hash(made_from, known, model),
                "codes": vectors.reshape(-1),
                "weights": weights.reshape(-1),
            }
        )
    return _frame(rows, key, lists=("codes", "weights"))


def _frame(rows: list[dict[str, Any]], *keys: str, lists: tuple[str, ...]) -> pd.DataFrame:
    """A frame of feature rows with the same column types whether or not there is any row."""
    frame = pd.DataFrame(rows, columns=[*keys, "event_timestamp", "version", *lists])
    frame["event_timestamp"] = pd.to_datetime(frame["event_timestamp"], utc=True).astype("datetime64[us, UTC]")
    return frame.astype(dict.fromkeys((*keys, "version", *lists), object))


def _latest(times: pd.Series[Any]) -> pd.Timestamp:
    """The latest known time, or 1970."""
    known = pd.to_datetime(times.dropna(), utc=True)
    return known.max() if len(known) else EPOCH


def _text(value: object) -> str:
    """A text, or nothing where it is missing."""
    return value.strip() if isinstance(value, str) else ""
