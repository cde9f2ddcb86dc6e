"""Both sides of the argument for any pair, from the texts of a release; no language model is asked.

A text written for the pair is used as it is. Otherwise the facets of the consumer and of the product are matched
by the similarity of their sentences and composed by `models/explanations/compose.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.types import STANCES, EntityKind, Explanation, Facet, Fact, Stance
from models.release import ReleaseTexts
from services.schemas import FactOut, Reason

Vectors = NDArray[np.float32]
Composer = Callable[[str, str, Sequence[Facet], Sequence[Facet], Vectors], tuple[Explanation, Explanation]]
"""(consumer id, product id, its facets, its facets, cosine similarities (A, B)) -> for, against."""


@dataclass(frozen=True, eq=False)
class _Described:
    """The facets of one entity with the unit vectors of their texts, (n, d_t)."""

    facets: tuple[Facet, ...] = ()
    vectors: Vectors | None = None


class Reasons:
    """The words of a release, held in memory."""

    def __init__(self, texts: ReleaseTexts, compose: Composer) -> None:
        self._compose = compose
        self._facts = {str(row["fact_id"]): _record(Fact, row) for row in _rows(texts.facts)}
        self._described = _described(texts.facets)
        self._written: dict[str, dict[str, dict[Stance, Explanation]]] = {}
        for row in _rows(texts.pair_texts):
            text: Explanation = _record(Explanation, {**row, "stance": Stance(row["stance"])})
            of_pair = self._written.setdefault(text.consumer_id, {}).setdefault(text.product_id, {})
            of_pair[text.stance] = text

    def written_for(self, consumer_id: str) -> frozenset[str]:
        """Products for which a text was written for exactly this consumer."""
        return frozenset(self._written.get(consumer_id, ()))

    def of(self, consumer_id: str, product_id: str) -> tuple[Reason, ...]:
        """The reasons for and against, with the facts they rest on."""
        written = self._written.get(consumer_id, {}).get(product_id, {})
        composed: tuple[Explanation, ...] = ()
        if len(written) < len(STANCES):
            composed = self._composed(consumer_id, product_id)
        by_stance = {**{text.stance: text for text in composed}, **written}
        return tuple(self._reason(by_stance[stance]) for stance in STANCES)

    def _composed(self, consumer_id: str, product_id: str) -> tuple[Explanation, Explanation]:
        consumer = self._described.get((EntityKind.CONSUMER, consumer_id), _Described())
        product = self._described.get((EntityKind.PRODUCT, product_id), _Described())
        similarity = np.zeros((len(consumer.facets), len(product.facets)), np.float32)
        if consumer.vectors is not None and product.vectors is not None:
            similarity = consumer.vectors @ product.vectors.T
        return self._compose(consumer_id, product_id, consumer.facets, product.facets, similarity)

    def _reason(self, text: Explanation) -> Reason:
        facts = tuple(
            FactOut(fact_id=fact.fact_id, text=fact.text, source=fact.source, evidence_time=fact.evidence_time)
            for fact in map(self._facts.get, text.fact_ids)
            if fact is not None
        )
        return Reason(
            stance=text.stance,
            text=text.text,
            fact_ids=text.fact_ids,
            facts=facts,
            evidence_time=text.evidence_time,
            granularity=text.granularity,
            model=text.model,
        )


def _described(frame: pd.DataFrame) -> dict[tuple[EntityKind, str], _Described]:
    """The facets of a table by what they are about, in order of stance and rank."""
    if frame.empty:
        return {}
    vectors = np.stack([np.asarray(vector, np.float32) for vector in frame["vector"]])
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    frame = frame.reset_index(drop=True).sort_values(["stance", "rank"], kind="stable")
    described = {}
    for (kind, entity_id), rows in frame.groupby(["entity_kind", "entity_id"], sort=False):
        facets = tuple(
            _record(Facet, {**row, "entity_kind": EntityKind(row["entity_kind"]), "stance": Stance(row["stance"])})
            for row in _rows(rows)
        )
        described[EntityKind(kind), str(entity_id)] = _Described(facets, vectors[rows.index.to_numpy()])
    return described


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return frame.to_dict("records")  # type: ignore[return-value]


def _record(kind: Any, row: dict[str, Any]) -> Any:
    """A row as its dataclass; list columns become tuples, timestamps plain datetimes, NaT None."""
    return kind(**{item.name: _plain(row[item.name]) for item in fields(kind)})


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | list):
        return tuple(value)
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime(warn=False)
    return None if value is pd.NaT else value
