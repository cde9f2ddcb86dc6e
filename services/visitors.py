"""Who asks: what the online store and the inbox know of a consumer now, and the inbox's other side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from features.batch import PairBlock, ProductBlock
from features.fresh import with_feedback
from features.inbox import Feedback, Inbox
from features.types import RatingScale
from services.schemas import FeedbackRequest, PastRating
from services.sources import ConsumerNow, absent_consumer, nobody, visitor
from services.stages import stage
from services.visit import Visit


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


NO_CONSUMER = "the online store did not give the consumer's features"


class Visitors:
    """Knows consumers; keeps what they say, and forgets them."""

    def __init__(self, features: FeatureSource, inbox: Inbox, scale: RatingScale) -> None:
        self._features, self._inbox, self._scale = features, inbox, scale

    def visit(self, consumer_id: str | None, history: Sequence[PastRating] | None) -> Visit:
        """A request of a known consumer, of an unknown one, or of one known by the ratings of the request alone."""
        with stage("store"):
            return self._visit(consumer_id, history)

    def _visit(self, consumer_id: str | None, history: Sequence[PastRating] | None) -> Visit:
        if consumer_id is None:
            consumer = visitor(history or (), self._scale)
            return Visit(consumer, consumer.cold)
        try:
            if self._inbox.is_forgotten(consumer_id):
                return Visit(nobody(), cold=True)
        except Exception:  # who must be forgotten is not known, so nobody is known
            visit = Visit(nobody(), cold=False)
            visit.failed("who is forgotten could not be read; nothing of the consumer is used")
            return visit
        visit = Visit(ConsumerNow(absent_consumer(consumer_id), None), cold=False)
        try:
            visit.consumer = self._features.consumer(consumer_id)
        except Exception:  # whatever a store or its driver raises: the answer is poorer, but there is one
            visit.failed(NO_CONSUMER)
        try:
            visit.consumer = self._after_feedback(visit.consumer)
        except Exception:  # likewise
            visit.failed("the consumer's latest feedback could not be read")
        visit.cold = visit.consumer.cold and not visit.causes
        return visit

    def is_forgotten(self, consumer_id: str) -> bool:
        """Whether a consumer asked to be forgotten. Raises StoreError."""
        return self._inbox.is_forgotten(consumer_id)

    def keep(self, request: FeedbackRequest) -> bool:
        """Keeps a rating; False if it is there already. Raises InputError, StoreError."""
        return self._inbox.add(
            Feedback(
                feedback_id=request.feedback_id,
                consumer_id=request.consumer_id,
                product_id=request.product_id,
                rating=request.rating,
                at=datetime.now(UTC),
                recommendation_id=str(request.recommendation_id or ""),
            )
        )

    def forget(self, consumer_id: str) -> None:
        """Deletes the consumer's feedback, and lets nobody use anything of them. Raises StoreError."""
        self._inbox.forget(consumer_id)

    def _after_feedback(self, consumer: ConsumerNow) -> ConsumerNow:
        """The consumer after what they rated since the online store was filled."""
        feedback = self._inbox.of(str(consumer.block.consumer_ids[0]), consumer.evidence_time)
        if not feedback:
            return consumer
        block = with_feedback(consumer.block, consumer.evidence_time, feedback, self._scale)
        return replace(consumer, block=block, evidence_time=feedback[-1].at)
