"""The reasons of an answer: what a release says of a pair, with the facts it rests on, in the form of the interface."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

from features.types import Explanation
from features.wording import Wording
from models.explanations.published import Published
from models.release import ReleaseTexts
from services.schemas import EXPIRED, NONE, FactOut, Reason
from services.sources import oldest


class Reasons:
    """The words of a release, as the service gives them out."""

    def __init__(self, texts: ReleaseTexts, wording: Wording | None = None, text_days: float = math.inf) -> None:
        """Reads the release's tables. `wording`: the dataset's nouns. `text_days`: how old evidence may be."""
        self._published, self._text_days = Published(texts, wording), text_days

    def written_for(self, consumer_id: str) -> frozenset[str]:
        """Products for which a text was written for exactly this consumer."""
        return self._published.written_for(consumer_id)

    def of(self, consumer_id: str, product_id: str) -> tuple[Reason, ...]:
        """The reasons for and against, with the facts they rest on."""
        limit = oldest(datetime.now(UTC), self._text_days)
        said: tuple[Explanation, ...] = self._published.of(consumer_id, product_id, limit)
        if limit is not None and any(text.granularity == NONE for text in said):
            unlimited = self._published.of(consumer_id, product_id)
            said = tuple(
                replace(text, text="", granularity=EXPIRED) if was.granularity != text.granularity == NONE else text
                for text, was in zip(said, unlimited, strict=True)
            )
        return tuple(map(self._reason, said))

    def _reason(self, text: Explanation) -> Reason:
        facts = tuple(
            FactOut(fact_id=fact.fact_id, text=fact.text, source=fact.source, evidence_time=fact.evidence_time)
            for fact in map(self._published.facts.get, text.fact_ids)
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
