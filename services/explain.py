"""The reasons of an answer: what a release says of a pair, with the facts it rests on, in the form of the interface."""

from __future__ import annotations

from datetime import datetime

from features.types import Explanation
from features.wording import Wording
from models.explanations.published import Published
from models.release import ReleaseTexts
from services.schemas import FactOut, Reason


class Reasons:
    """The words of a release, as the service gives them out."""

    def __init__(self, texts: ReleaseTexts, wording: Wording | None = None) -> None:
        """Reads the release's tables. `wording`: the dataset's nouns."""
        self._published = Published(texts, wording)

    def written_for(self, consumer_id: str) -> frozenset[str]:
        """Products for which a text was written for exactly this consumer."""
        return self._published.written_for(consumer_id)

    def of(self, consumer_id: str, product_id: str, at: datetime) -> tuple[Reason, ...]:
        """The reasons for and against, with the facts they rest on; `at`: when they are asked for."""
        return tuple(self._reason(text, at) for text in self._published.of(consumer_id, product_id))

    def _reason(self, text: Explanation, at: datetime) -> Reason:
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
            evidence_age_seconds=age_seconds(text.evidence_time, at),
            granularity=text.granularity,
            model=text.model,
        )


def age_seconds(evidence_time: datetime | None, at: datetime) -> float | None:
    """How old evidence is; None where there is none."""
    return (at - evidence_time).total_seconds() if evidence_time else None
