"""Where a runtime's parts come from: the online store, the artifact, and a visitor's own ratings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
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
)
from features.settings import HostSettings
from features.types import STANCES, RatingScale
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

    @property
    def cold(self) -> bool:
        """Whether nothing is known."""
        return bool(np.isnan(self.block.numeric).all()) and not any(self.block.history_ids[0])


class OnlineFeatures:
    """The online store, read through the assembly code of training."""

    def __init__(self, settings: HostSettings, release: Release) -> None:
        from features.store import FeatureRows

        self._rows = FeatureRows(settings, release.feature_service)

    def consumer(self, consumer_id: str) -> ConsumerNow:
        """The latest row of a consumer. Raises StoreError."""
        return _consumer_now(self._rows.online_consumers([consumer_id]))

    def products(self, product_ids: Sequence[str]) -> ProductBlock:
        """The latest rows of products, read in parts: SQL stores limit the ids of one query. Raises StoreError."""
        from features.assemble import product_block
        from features.rows import ProductRows

        starts = range(0, max(len(product_ids), 1), READ_IDS)
        parts = [self._rows.online_products(product_ids[start : start + READ_IDS]) for start in starts]
        return product_block(
            ProductRows(
                product_ids=np.concatenate([part.product_ids for part in parts]),
                features=_chained([part.features for part in parts]),
                content=_chained([part.content for part in parts]),
                facets=_chained([part.facets for part in parts]),
            )
        )

    def pairs(self, consumer_id: str, product_ids: Sequence[str]) -> PairBlock:
        """The codes of the texts written for a consumer and each of the products. Raises StoreError."""
        from features.assemble import pair_block

        return pair_block(self._rows.online_pairs(consumer_id, product_ids))


def absent_consumer(consumer_id: str) -> ConsumerBlock:
    """One row of which nothing is known."""
    codes = np.zeros((0, len(STANCES), N_FACETS, CODE_WIDTH), np.float32)
    nowhere = np.full(1, -1, np.int32)
    return ConsumerBlock(
        consumer_ids=np.array([consumer_id], object),
        numeric=np.full((1, len(CONSUMER_NUMERIC)), np.nan, np.float32),
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
