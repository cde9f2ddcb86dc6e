"""Serving without a server: the live release in memory, its model, and a ladder that always answers.

Product features, texts and the model are held in memory; consumer and pair features are read from the online store
on every request, through the same assembly code as training. The ladder: all features; no consumer features if the
online store fails; popularity if the model fails; no reasons if they fail. Each step down is named in the answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from features.assemble import cross
from features.batch import PRODUCT_NUMERIC, PairBlock, ProductBlock
from features.errors import ReleaseError, StoreError
from features.settings import HostSettings
from models.base import Recommender, Scores
from models.release import Release, ReleaseStore
from models.released import open_artifact
from services.explain import Reasons
from services.schemas import (
    ExplainResponse,
    FieldAttention,
    PastRating,
    ProductScore,
    Reason,
    Recommended,
    RecommendResponse,
    ScoreResponse,
)
from services.sources import ConsumerNow, OnlineFeatures, absent_consumer, visitor

logger = logging.getLogger(__name__)

UNKNOWN_PRODUCT = "unknown product"


class FeatureSource(Protocol):
    """The online features; N ids give N rows, what is not stored is absent (NaN, -1), never an error."""

    def consumer(self, consumer_id: str) -> ConsumerNow:
        """The latest row of a consumer."""
        ...

    def products(self, product_ids: Sequence[str]) -> ProductBlock:
        """The latest rows of products."""
        ...

    def pairs(self, consumer_id: str, product_ids: Sequence[str]) -> PairBlock:
        """The codes of the texts written for a consumer and each of the products."""
        ...


@dataclass
class _Visit:
    """One request on its way: who asks, and what went wrong so far."""

    consumer: ConsumerNow
    cold: bool
    causes: list[str] = field(default_factory=list)
    absent: tuple[str, ...] = ()
    """What is left out though nothing failed."""
    answered_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def consumer_id(self) -> str:
        return str(self.consumer.block.consumer_ids[0])

    @property
    def seen(self) -> set[str]:
        return set(self.consumer.block.history_ids[0]) - {""}

    def failed(self, what: str) -> None:
        """Notes a step down; the log has the reason, the answer only what is missing."""
        logger.exception("degraded: %s", what)
        self.causes.append(what)


class Runtime:
    """Answers questions about one release. Safe to call from several threads."""

    def __init__(
        self,
        release: Release,
        recommender: Recommender,
        features: FeatureSource,
        reasons: Reasons,
        titles: dict[str, str],
    ) -> None:
        """Reads the rows of all products of `titles`. Raises StoreError if the online store cannot be read."""
        self.release, self._recommender, self._features, self._reasons = release, recommender, features, reasons
        self._titles = titles
        self._products = features.products(list(titles))
        self._row = {str(product_id): row for row, product_id in enumerate(self._products.product_ids)}
        self._by_popularity = _by_popularity(self._products)

    @classmethod
    def open(
        cls,
        settings: HostSettings,
        artifact_folder: Path,
        spare: Callable[[FeatureSource], FeatureSource] | None = None,
    ) -> Runtime:
        """The live release, after its signature, its artifact's hash and its golden examples were checked.

        Args:
            settings: where its parts lie.
            artifact_folder: that of its artifact.
            spare: put before the reads of requests; by default nothing is.

        Raises:
            ReleaseError: There is no live release, or something of it was changed or scores differently here.
            StoreError: The online store cannot be read.
        """
        store = ReleaseStore(settings.releases)
        release = store.live()
        if release is None:
            raise ReleaseError(f"No release is live in {settings.releases}.", remedy="Run `counterpoint release`.")
        recommender = open_artifact(artifact_folder, release)
        texts = store.read_texts(release)
        titles = dict(zip(texts.products["product_id"].astype(str), texts.products["title"].astype(str), strict=True))
        features: FeatureSource = OnlineFeatures(settings, release)
        features = spare(features) if spare else features
        return cls(release, recommender, features, Reasons(texts, release.wording, settings.text_days), titles)

    def recommend(
        self,
        consumer_id: str | None,
        history: Sequence[PastRating] | None,
        k: int,
        exclude_ids: Collection[str] = (),
        exclude_seen: bool = True,
    ) -> RecommendResponse:
        """The k best products with the reasons for and against each, best first."""
        visit = self._visit(consumer_id, history)
        left_out = set(exclude_ids) | (visit.seen if exclude_seen else set())
        rows = np.array([r for r in self._by_popularity if self._products.product_ids[r] not in left_out], np.intp)
        scores = self._score(visit, rows)
        best = best_first(scores)[:k]
        items = tuple(
            Recommended(
                **dict(self._product_score(scores, int(n), int(rows[n]))),
                rank=rank,
                reasons=self._reasons_of(visit, str(self._products.product_ids[rows[n]])),
            )
            for rank, n in enumerate(best, start=1)
        )
        return RecommendResponse(items=items, **self._about(visit))

    def score(self, consumer_id: str, product_ids: Sequence[str]) -> ScoreResponse:
        """Scores of the products in the order given; an unknown product has none and says so."""
        visit = self._visit(consumer_id, None)
        items = self._items(visit, product_ids)
        return ScoreResponse(items=items, **self._about(visit))

    @property
    def product_ids(self) -> tuple[str, ...]:
        """Every product of the release."""
        return tuple(self._row)

    def score_strictly(
        self, consumer_id: str, product_ids: Sequence[str], at: datetime
    ) -> tuple[Scores, frozenset[str]]:
        """Scores as `score` gives them at that time, and the consumer's last products; without any step down.

        Args:
            consumer_id: an unknown one is a normal case.
            product_ids: all of them known.
            at: the time the question is asked.

        Raises:
            StoreError: the consumer's features could not be read, or the model failed.
        """
        visit = self._visit(consumer_id, None)
        visit.answered_at = at
        scores = self._score(visit, np.array([self._row[product_id] for product_id in product_ids], np.intp))
        if visit.causes:
            raise StoreError(
                f"The consumer {consumer_id!r} could not be scored: {'; '.join(visit.causes)}.",
                remedy="The log says why. Scores that lack features are not written; the same command goes on here.",
            )
        return scores, frozenset(visit.seen)

    def explain(self, consumer_id: str, product_id: str) -> ExplainResponse:
        """Scores and both reasons of one pair."""
        visit = self._visit(consumer_id, None)
        (item,) = self._items(visit, [product_id])
        reasons = self._reasons_of(visit, product_id)
        return ExplainResponse(item=item, reasons=reasons, **self._about(visit))

    def _visit(self, consumer_id: str | None, history: Sequence[PastRating] | None) -> _Visit:
        if consumer_id is None:
            consumer = visitor(history or (), self.release.scale)
            return _Visit(consumer, consumer.cold)
        try:
            consumer = self._features.consumer(consumer_id)
        except Exception:  # whatever a store or its driver raises: the answer is poorer, but there is one
            visit = _Visit(ConsumerNow(absent_consumer(consumer_id), None), cold=False)
            visit.failed("the online store did not give the consumer's features")
            return visit
        return _Visit(
            consumer, consumer.cold, absent=("what is known of the consumer is past its age limit",) * consumer.expired
        )

    def _items(self, visit: _Visit, product_ids: Sequence[str]) -> tuple[ProductScore, ...]:
        known = [n for n, product_id in enumerate(product_ids) if product_id in self._row]
        rows = np.array([self._row[product_ids[n]] for n in known], np.intp)
        scores = self._score(visit, rows)
        items = [ProductScore(product_id=it, rating=None, click=None, note=UNKNOWN_PRODUCT) for it in product_ids]
        for place, n in enumerate(known):
            items[n] = self._product_score(scores, place, int(rows[place]))
        return tuple(items)

    def _score(self, visit: _Visit, rows: NDArray[np.intp]) -> Scores:
        """The model's scores, or NaN for all if it fails."""
        none = np.full(len(rows), np.nan, np.float32)
        if not len(rows):
            return Scores(none, none)
        pairs = self._pairs(visit, rows)
        try:
            products = self._products.take(rows)
            return self._recommender.score(cross(visit.consumer.block, products, pairs, visit.answered_at))
        except Exception:  # a broken model must not leave a page without products
            visit.failed("the model failed; products are in order of popularity")
            return Scores(none, none)

    def _pairs(self, visit: _Visit, rows: NDArray[np.intp]) -> PairBlock | None:
        """Codes of the pairs that have texts of their own; the store is asked for those only."""
        written = self._reasons.written_for(visit.consumer_id)
        places = [n for n, row in enumerate(rows) if self._products.product_ids[row] in written] if written else []
        if not places:
            return None
        product_ids = [str(self._products.product_ids[rows[n]]) for n in places]
        try:
            found = self._features.pairs(visit.consumer_id, product_ids)
        except Exception:  # as for the consumer's features
            visit.failed("the online store did not give the codes of the pair texts")
            return None
        index = np.full(len(rows), -1, np.int32)
        index[places] = found.codes.index
        return PairBlock(replace(found.codes, index=index))

    def _product_score(self, scores: Scores, n: int, row: int) -> ProductScore:
        product_id = str(self._products.product_ids[row])
        attention = zip(scores.fields, scores.attention[n], strict=True) if scores.fields else ()
        return ProductScore(
            product_id=product_id,
            title=self._titles[product_id],
            rating=_number(scores.rating[n]),
            click=_number(scores.click[n]),
            attention=tuple(FieldAttention(field=name, share=float(share)) for name, share in attention),
            note="no score" if np.isnan(scores.click[n]) else None,
        )

    def _reasons_of(self, visit: _Visit, product_id: str) -> tuple[Reason, ...]:
        try:
            return self._reasons.of(visit.consumer_id, product_id)
        except Exception:  # a ranking without reasons is still a ranking
            if "the reasons could not be composed" not in visit.causes:
                visit.failed("the reasons could not be composed")
            return ()

    def _about(self, visit: _Visit) -> dict[str, Any]:
        """The fields of `Answer`."""
        return {
            "release_id": self.release.release_id,
            "method": self.release.method,
            "as_of": self.release.as_of,
            "evidence_time": visit.consumer.evidence_time,
            "answered_at": visit.answered_at,
            "degraded": bool(visit.causes or visit.absent),
            "cause": "; ".join([*visit.causes, *visit.absent]) or None,
            "cold": visit.cold,
        }


def best_first(scores: Scores) -> NDArray[np.intp]:
    """Places from the most to the least likely liked (by rating, if a method gives no probability).

    Equal or missing scores keep the order given, popularity, which is all there is when the model fails.
    """
    key = scores.rating if np.isnan(scores.click).all() else scores.click
    return np.argsort(-np.nan_to_num(key, nan=-np.inf), kind="stable")


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _by_popularity(products: ProductBlock) -> NDArray[np.intp]:
    """Rows with the most interactions first; equal ones in order of id."""
    counts = np.nan_to_num(products.numeric[:, PRODUCT_NUMERIC.index("n_interactions")], nan=-1.0)
    return np.lexsort((products.product_ids.astype(str), -counts))
