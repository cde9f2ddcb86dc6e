"""What came through the service, laid over what the source says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from features.inbox import Feedback
from features.readers.dataset import Dataset
from features.types import INTERACTION_COLUMNS, Interactions, content_hash


@dataclass(frozen=True, eq=False)
class Merged:
    """The dataset with the inbox in it, and what that changed."""

    dataset: Dataset
    n_feedback: int
    """Ratings taken over: of products in the catalog, and not replaced by later ones."""
    n_forgotten: int
    """Consumers of the source who were left out."""


def with_inbox(dataset: Dataset, feedback: Sequence[Feedback], forgotten: frozenset[str]) -> Merged:
    """The dataset with the feedback's ratings, and without the consumers who were forgotten (hashes of ids).

    As in a source, the latest rating of a consumer and product counts. Ratings of products that are gone wait.
    """
    frame, told = dataset.interactions.frame, dataset.catalog.consumers
    names = {*frame["consumer_id"].unique(), *told["consumer_id"].unique()} if forgotten else set[str]()
    gone = {name for name in names if content_hash(name) in forgotten}
    frame, told = (table[~table["consumer_id"].isin(gone)].reset_index(drop=True) for table in (frame, told))
    known = set(dataset.catalog.products["product_id"])
    given = _frame([item for item in feedback if item.product_id in known], dataset.n_read)
    if len(given):
        frame = pd.concat([frame, given], ignore_index=True).sort_values(["timestamp", "row"], kind="stable")
        frame = frame.drop_duplicates(["consumer_id", "product_id"], keep="last")
    n_feedback = int((frame["row"] >= dataset.n_read).sum())
    catalog = replace(dataset.catalog, consumers=told)
    merged = replace(dataset, interactions=Interactions(frame.reset_index(drop=True)), catalog=catalog)
    return Merged(merged, n_feedback, len(gone))


def _frame(feedback: Sequence[Feedback], first_row: int) -> pd.DataFrame:
    """As interactions, numbered on after the source's rows."""
    columns = {
        "row": np.arange(first_row, first_row + len(feedback), dtype=np.int64),
        "consumer_id": np.array([item.consumer_id for item in feedback], object),
        "product_id": np.array([item.product_id for item in feedback], object),
        "timestamp": pd.to_datetime([item.at for item in feedback], utc=True).as_unit("us"),
        "rating": np.array([item.rating for item in feedback], np.float64),
        "review": np.full(len(feedback), None, object),
    }
    return pd.DataFrame(columns)[list(INTERACTION_COLUMNS)]
