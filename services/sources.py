"""Where a runtime's parts come from: the online store, the artifact, and a visitor's own ratings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from features.batch import (
    CODE_WIDTH,
    CONSUMER_NUMERIC,
    HISTORY_LENGTH,
    N_FACETS,
    ConsumerBlock,
    Indexed,
    PairBlock,
    ProductBlock,
    tuples,
)
from features.settings import HostSettings
from features.types import STANCES, RatingScale
from features.wording import CATALOG_TIME
from models.release import Release
from services.schemas import PastRating

if TYPE_CHECKING:
    from features.rows import ConsumerRows, ViewRows

ANONYMOUS = ""
"""Id of the consumer of a request that names none: no consumer has it."""

READ_IDS = 1_000
"""Products of one read of the online store."""


@dataclass(frozen=True, eq=False)
class ConsumerNow:
    """One consumer as known now, and the time of the last event that is known; None for an unknown consumer."""

    block: ConsumerBlock  # one row
    evidence_time: datetime | None
    expired: bool = False
    """Whether something was known that is older than the host's limits, and so is absent."""

    @property
    def cold(self) -> bool:
        """Whether nothing is known."""
        return bool(np.isnan(self.block.numeric).all()) and not any(self.block.history_ids[0])


class OnlineFeatures:
    """The online store, read through the assembly code of training; what is past its age limit is absent."""

    def __init__(
        self,
        settings: HostSettings,
        release: Release,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        from features.store import FeatureRows

        self._rows = FeatureRows(settings, release.feature_service)
        self._limits, self._now = AgeLimits(settings.feature_days, settings.text_days), now

    def consumer(self, consumer_id: str) -> ConsumerNow:
        """The latest row of a consumer. Raises StoreError."""
        rows, now = self._rows.online_consumers([consumer_id]), self._now()
        features, facets = self._limits.features(rows.features, now), self._limits.texts(rows.facets, now)
        expired = bool((features.index != rows.features.index).any() or (facets.index != rows.facets.index).any())
        return replace(_consumer_now(replace(rows, features=features, facets=facets)), expired=expired)

    def products(self, product_ids: Sequence[str]) -> ProductBlock:
        """The latest rows of products, read in parts: SQL stores limit the ids of one query. Raises StoreError."""
        from features.assemble import product_block
        from features.rows import ProductRows

        starts, now = range(0, max(len(product_ids), 1), READ_IDS), self._now()
        parts = [self._rows.online_products(product_ids[start : start + READ_IDS]) for start in starts]
        return product_block(
            ProductRows(
                product_ids=np.concatenate([part.product_ids for part in parts]),
                features=self._limits.features(_chained([part.features for part in parts]), now),
                content=_chained([part.content for part in parts]),
                facets=self._limits.texts(_chained([part.facets for part in parts]), now),
            )
        )

    def pairs(self, consumer_id: str, product_ids: Sequence[str]) -> PairBlock:
        """The codes of the texts written for a consumer and each of the products. Raises StoreError."""
        from features.assemble import pair_block
        from features.rows import PairRows

        rows = self._rows.online_pairs(consumer_id, product_ids)
        return pair_block(PairRows(self._limits.texts(rows.codes, self._now())))


@dataclass(frozen=True)
class AgeLimits:
    """How old what is served may be, in days. What is older is absent, as if it had never been known.

    Age counts from the last event or evidence, not from when a row was written: a row that was made again from old
    events is as old as before. What a product is (its content vector, its attributes) has no age.
    """

    feature_days: float
    text_days: float

    def features(self, rows: ViewRows, now: datetime) -> ViewRows:
        """Rows of states."""
        return _since(rows, oldest(now, self.feature_days))

    def texts(self, rows: ViewRows, now: datetime) -> ViewRows:
        """Rows of what texts became; those that rest on the catalog alone have no age."""
        return _since(rows, oldest(now, self.text_days), timeless=CATALOG_TIME)


def oldest(now: datetime, days: float) -> datetime | None:
    """The time before which everything is too old; None without a limit."""
    return None if math.isinf(days) else now - timedelta(days=days)


def _since(rows: ViewRows, time: datetime | None, timeless: datetime | None = None) -> ViewRows:
    if time is None:
        return rows
    current = rows.event_time >= _naive(time)
    if timeless is not None:
        current |= rows.event_time == _naive(timeless)
    return replace(rows, index=np.where(current, rows.index, -1).astype(np.int32))


def _naive(time: datetime) -> np.datetime64:
    return np.datetime64(time.astimezone(UTC).replace(tzinfo=None), "us")


def absent_consumer(consumer_id: str) -> ConsumerBlock:
    """One row of which nothing is known."""
    codes = np.zeros((0, len(STANCES), N_FACETS, CODE_WIDTH), np.float32)
    nowhere = np.full(1, -1, np.int32)
    return ConsumerBlock(
        consumer_ids=np.array([consumer_id], object),
        numeric=np.full((1, len(CONSUMER_NUMERIC)), np.nan, np.float32),
        attributes=tuples([()]),
        history_ids=np.full((1, HISTORY_LENGTH), "", object),
        history_ratings=np.full((1, HISTORY_LENGTH), np.nan, np.float32),
        facet_codes=Indexed(codes, nowhere),
        facet_weights=Indexed(codes[..., 0], nowhere),
    )


def nobody() -> ConsumerNow:
    """A consumer without an id, of whom nothing is known."""
    return ConsumerNow(absent_consumer(ANONYMOUS), None)


def visitor(history: Sequence[PastRating], scale: RatingScale) -> ConsumerNow:
    """A consumer of whom only these ratings are known, all given now, made by the code that makes stored rows."""
    import pyarrow as pa

    from features.rows import CONSUMER_FACETS, CONSUMER_FEATURES, ConsumerRows, ViewRows, conform
    from features.states import consumer_states
    from features.types import Catalog, Interactions, Snapshot

    if not history:
        return nobody()
    now = pd.Timestamp(datetime.now(UTC)).as_unit("us")
    latest_last = history[::-1]
    frame = pd.DataFrame(
        {
            "row": range(len(history)),
            "consumer_id": ANONYMOUS,
            "product_id": [past.product_id for past in latest_last],
            "timestamp": now,
            "rating": [past.rating for past in latest_last],
            "review": None,
        }
    )
    nothing = Catalog(pd.DataFrame(), pd.DataFrame())
    states = consumer_states(Snapshot(Interactions(frame), nothing, scale, now.to_pydatetime()))
    table = conform(pa.Table.from_pandas(states, preserve_index=False), CONSUMER_FEATURES.schema)
    rows = ConsumerRows(
        consumer_ids=np.array([ANONYMOUS], object),
        features=ViewRows(table.drop_columns(["consumer_id"]), np.zeros(1, np.int32)),
        facets=ViewRows(CONSUMER_FACETS.columns.empty_table(), np.full(1, -1, np.int32)),
    )
    return _consumer_now(rows)


def _chained(parts: Sequence[ViewRows]) -> ViewRows:
    """Rows of several reads as those of one."""
    import pyarrow as pa

    from features.rows import ViewRows

    starts = np.cumsum([0, *(part.table.num_rows for part in parts[:-1])])
    index = [np.where(part.index < 0, -1, part.index + start) for part, start in zip(parts, starts, strict=True)]
    table = pa.concat_tables([part.table for part in parts]).combine_chunks()
    return ViewRows(table, np.concatenate(index).astype(np.int32))


def _consumer_now(rows: ConsumerRows) -> ConsumerNow:
    from features.assemble import consumer_block

    time = rows.features.event_time[0]
    known = None if np.isnat(time) else pd.Timestamp(time, tz="UTC").to_pydatetime()
    return ConsumerNow(consumer_block(rows), known)
