"""An answer made again from its record and its release, without the online store: the same bytes, or what differs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from features.batch import FeatureBatch, PairBlock, ProductBlock
from features.inbox import Inbox
from features.settings import HostSettings, ShortlistSettings
from models.release import ReleaseStore
from models.released import open_artifact
from services.audit import Audit, Record
from services.explain import Reasons
from services.runtime import Runtime, titles_of
from services.sources import ConsumerNow
from services.visit import Visit

EVERYTHING = ShortlistSettings(above=10**9)
"""The record holds what the ranker scored and nothing else."""
NO_INBOX = Inbox(Path("/nonexistent"))


class Replayed(BaseModel):
    """Whether an answer could be made again."""

    recommendation_id: str
    release_id: str
    identical: bool
    """Byte for byte, as JSON."""
    differs: tuple[str, ...]
    """Fields that are other than they were."""


class RecordedFeatures:
    """The feature rows of a record, in place of the online store's."""

    def __init__(self, batch: FeatureBatch) -> None:
        self._batch = batch
        self._row = {str(product_id): row for row, product_id in enumerate(batch.products.product_ids)}

    def consumer(self, consumer_id: str) -> ConsumerNow:
        """The recorded consumer."""
        return ConsumerNow(self._batch.consumers.take(np.zeros(1, np.intp)), None)

    def products(self, product_ids: Sequence[str]) -> ProductBlock:
        """The recorded rows."""
        return self._batch.products.take(self._rows(product_ids))

    def pairs(self, consumer_id: str, product_ids: Sequence[str]) -> PairBlock:
        """The recorded codes."""
        return self._batch.pairs.take(self._rows(product_ids))

    def _rows(self, product_ids: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        return np.array([self._row[product_id] for product_id in product_ids], np.intp)


def replay(settings: HostSettings, artifact_folder: Path, record: Record) -> Replayed:
    """Makes the recorded answer again.

    Args:
        settings: of the home that holds the release.
        artifact_folder: of the release's artifact.
        record: what was asked and seen.

    Raises:
        ReleaseError: the release or its artifact is gone or was changed.
    """
    store, then = ReleaseStore(settings.releases), record.answer
    release = store.read(then.release_id)
    texts = store.read_texts(release)
    seen = {str(product_id) for product_id in record.batch.products.product_ids}
    titles = {product_id: title for product_id, title in titles_of(texts).items() if product_id in seen}
    features, model = RecordedFeatures(record.batch), open_artifact(artifact_folder, release).recommender
    reasons = Reasons(texts, release.wording, text_days=settings.text_days)
    runtime = Runtime(release, model, features, reasons, titles, NO_INBOX, EVERYTHING)
    consumer = ConsumerNow(features.consumer("").block, then.evidence_time)
    visit = Visit(consumer, then.cold, answered_at=then.answered_at, recommendation_id=then.recommendation_id)
    now = runtime.answer(visit, record.request).model_copy(update={"considered": then.considered})
    fields = type(then).model_fields
    return Replayed(
        recommendation_id=then.recommendation_id,
        release_id=then.release_id,
        identical=now.model_dump_json() == then.model_dump_json(),
        differs=tuple(name for name in fields if getattr(now, name) != getattr(then, name)),
    )


def replay_here(settings: HostSettings, recommendation_id: str) -> Replayed:
    """Makes an answer of this home again. Raises InputError if there is no record of it."""
    from services.recommend import artifact_folder

    record = Audit(settings.audit, 0.0).read(recommendation_id)
    release = ReleaseStore(settings.releases).read(record.answer.release_id)
    return replay(settings, artifact_folder(release.artifact_tag), record)
