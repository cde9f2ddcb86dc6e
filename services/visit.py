"""One request on its way: who asks, when, under which id, and what went wrong so far."""

from __future__ import annotations

import logging
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from features.types import RatingScale
from models.explanations.what_if import WhatIf
from models.release import Release
from services.explain import age_seconds
from services.sources import ConsumerNow

logger = logging.getLogger(__name__)

EXPIRED = "what is known of the consumer is past its age limit"


@dataclass
class Visit:
    """Who asks, and what went wrong so far."""

    consumer: ConsumerNow
    cold: bool
    causes: list[str] = field(default_factory=list)
    answered_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    recommendation_id: str = ""
    what_if: WhatIf | None = None
    """The consumer's facets as the request has them; None where they are as they were stored."""

    def __post_init__(self) -> None:
        self.recommendation_id = self.recommendation_id or new_id(self.answered_at)

    @property
    def consumer_id(self) -> str:
        """Empty for an anonymous visitor."""
        return str(self.consumer.block.consumer_ids[0])

    @property
    def seen(self) -> set[str]:
        """The products of the history."""
        return set(self.consumer.block.history_ids[0]) - {""}

    def liked(self, scale: RatingScale) -> list[str]:
        """Products of the history that were liked, in order of time."""
        ids, stars = self.consumer.block.history_ids[0], self.consumer.block.history_ratings[0]
        return [str(it) for it, rating in zip(ids, stars, strict=True) if it and rating >= scale.like_from][::-1]

    def failed(self, what: str) -> None:
        """Notes a step down, once; the log has the reason, the answer only what is missing."""
        if what not in self.causes:
            logger.exception("degraded: %s", what)
            self.lacks(what)

    def lacks(self, what: str) -> None:
        """Notes what is missing for a reason that was noted before."""
        self.causes.append(what)

    def about(self, release: Release) -> dict[str, Any]:
        """The fields of `Answer`."""
        causes = [*self.causes, *([EXPIRED] if self.consumer.expired else ())]
        return {
            "recommendation_id": self.recommendation_id,
            "release_id": release.release_id,
            "method": release.method,
            "as_of": release.as_of,
            "evidence_time": self.consumer.evidence_time,
            "evidence_age_seconds": age_seconds(self.consumer.evidence_time, self.answered_at),
            "answered_at": self.answered_at,
            "degraded": bool(causes),
            "cause": "; ".join(causes) or None,
            "cold": self.cold,
        }


def new_id(at: datetime) -> str:
    """A UUID of version 7 (RFC 9562): milliseconds, then 74 random bits, so that ids sort by time."""
    milliseconds = int(at.timestamp() * 1000)
    bits = (milliseconds << 80) | secrets.randbits(80)
    bits = bits & ~(0xF << 76) | (0x7 << 76)
    bits = bits & ~(0x3 << 62) | (0x2 << 62)
    return str(uuid.UUID(int=bits))
