"""States: what is known of each consumer and product after each of their events, as tables of the lake.

One row per entity and distinct event time, stamped with that time and covering every event up to and at it.
So a row never changes when later events arrive, and a query strictly before an event cannot see the event.
Each entity's running sums are its own, so no number depends on who else is in the data.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.batch import HISTORY_LENGTH
from features.types import Snapshot

EPOCH = pd.Timestamp(0, tz="UTC").as_unit("us")
"""Stamp of what is true from the start: a product before its first event."""

_DAY = 86_400_000_000  # microseconds


def consumer_states(snapshot: Snapshot) -> pd.DataFrame:
    """One row per consumer and distinct event time.

    `n_interactions`, `mean_rating`, `sd_rating` (n - 1 in the divisor; NaN for one rating), `liked_share`,
    `days_active` (from the first event to this one, days), and the last L products as `history_ids` and
    `history_ratings`, latest first. Events without a rating count as interactions and nothing else. `attributes` are
    what is told of the consumer, as "name=value", the same in all rows of one.
    """
    events = _sorted_events(snapshot, "consumer_id")
    last = _ends(events, "consumer_id")
    states = _running(events, "consumer_id", snapshot.scale.like_from).iloc[last].reset_index(drop=True)
    states["attributes"], listed = attribute_lists(snapshot.catalog.consumers, states["consumer_id"])
    states["version"] = _versions(states, _digests(events, "consumer_id", ["product_id", "rating"])[last] + listed)
    micros = events["micros"].to_numpy()
    first = events.groupby("consumer_id", sort=False)["micros"].transform("first").to_numpy()
    states["days_active"] = ((micros - first)[last] / _DAY).astype(np.float32)
    starts = np.maximum(_starts(events, "consumer_id")[last], last + 1 - HISTORY_LENGTH)
    states["history_ids"] = _latest_first(events["product_id"].to_numpy(object), starts, last)
    states["history_ratings"] = _latest_first(events["rating"].to_numpy(np.float32), starts, last)
    return states


def product_states(snapshot: Snapshot) -> pd.DataFrame:
    """One row per product and distinct event time, and one at 1970-01-01 for every product of the catalog.

    As `consumer_states`, with `mean_consumer_rating`: over the product's ratings, the mean of the rater's own
    mean rating as it stood at the time of the rating (this rating included). `attributes` are the catalog's, as
    "name=value", the same in all rows of a product.
    """
    events = _sorted_events(snapshot, "product_id")
    events["rater_mean"] = _rater_means(snapshot, events)
    states = _running(events, "product_id", snapshot.scale.like_from)
    states["mean_consumer_rating"] = _running_mean(events["rater_mean"], events["product_id"])[0].astype(np.float32)
    states["digest"] = _digests(events, "product_id", ["rating", "rater_mean"])
    states = pd.concat([_unrated(snapshot), states.iloc[_ends(events, "product_id")]], ignore_index=True)
    states = states.sort_values(["product_id", "event_timestamp"], kind="stable", ignore_index=True)
    states["attributes"], listed = attribute_lists(snapshot.catalog.attributes, states["product_id"])
    states["version"] = _versions(states, states.pop("digest").to_numpy(np.uint64) + listed)
    return states


def _sorted_events(snapshot: Snapshot, entity: str) -> pd.DataFrame:
    """Events by entity, then time, then source order, with the time as `micros` since 1970."""
    frame = snapshot.interactions.frame[["consumer_id", "product_id", "timestamp", "rating"]]
    frame = frame.sort_values([entity, "timestamp"], kind="stable", ignore_index=True)
    micros = frame["timestamp"].dt.as_unit("us").astype("int64").to_numpy()
    return frame.assign(rating=frame["rating"].astype("float64"), micros=micros)


def _digests(events: pd.DataFrame, entity: str, columns: list[str]) -> NDArray[np.uint64]:
    """(N,) one number for all events of the entity up to each: it changes if any of them is edited, moved or gone."""
    place = events.groupby(entity, sort=False).cumcount()
    content = events[[*columns, "micros"]].assign(place=place)
    own = pd.util.hash_pandas_object(content, index=False)
    return np.asarray(own.groupby(events[entity], sort=False).cumsum(), np.uint64)


def _versions(states: pd.DataFrame, digests: NDArray[np.uint64]) -> list[str]:
    """The time of each state and the digest of what it rests on."""
    micros = states["event_timestamp"].astype("int64")
    return [f"{time}-{digest:016x}" for time, digest in zip(micros.tolist(), digests.tolist(), strict=True)]


def _ends(events: pd.DataFrame, entity: str) -> NDArray[np.intp]:
    """Positions of the last event of each entity and time: equal times make one state."""
    return np.flatnonzero(~events.duplicated([entity, "micros"], keep="last").to_numpy())


def _starts(events: pd.DataFrame, entity: str) -> NDArray[np.intp]:
    """For each event, the position of its entity's first event."""
    positions = np.arange(len(events))
    return positions - events.groupby(entity, sort=False).cumcount().to_numpy()


def _running(events: pd.DataFrame, entity: str, like_from: float) -> pd.DataFrame:
    """Running count, mean, deviation and liked share after each event."""
    ids, rating = events[entity], events["rating"]
    mean, rated = _running_mean(rating, ids)
    squares, _ = _running_mean(rating**2, ids)
    liked, _ = _running_mean((rating >= like_from).astype("float64").where(rating.notna()), ids)
    several = np.where(rated > 1, rated, np.nan)
    # Ratings are small numbers with few digits: the difference of squares loses nothing that matters here.
    variance = np.maximum(squares - mean**2, 0.0) * several / (several - 1.0)
    return pd.DataFrame(
        {
            entity: ids,
            "event_timestamp": events["timestamp"].dt.as_unit("us"),
            "n_interactions": events.groupby(entity, sort=False).cumcount().astype("int64") + 1,
            "mean_rating": mean.astype(np.float32),
            "sd_rating": np.sqrt(variance).astype(np.float32),
            "liked_share": liked.astype(np.float32),
        }
    )


def _running_mean(values: pd.Series, ids: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean of the values so far by entity, skipping NaN, and how many there are; NaN before the first."""
    known = values.notna()
    total = np.asarray(values.fillna(0.0).groupby(ids, sort=False).cumsum(), np.float64)
    count = np.asarray(known.astype("float64").groupby(ids, sort=False).cumsum(), np.float64)
    return total / np.where(count > 0, count, np.nan), count


def _rater_means(snapshot: Snapshot, events: pd.DataFrame) -> pd.Series:
    """For each event, its consumer's mean rating at that time; NaN where the event has no rating."""
    consumers = _consumer_means(snapshot)
    found = events[["consumer_id", "micros"]].merge(consumers, how="left", on=["consumer_id", "micros"])
    return found["mean_rating"].where(events["rating"].notna())


def _consumer_means(snapshot: Snapshot) -> pd.DataFrame:
    """Each consumer's mean rating (float64) after each of their event times: consumer_id, micros, mean_rating."""
    events = _sorted_events(snapshot, "consumer_id")
    mean, _ = _running_mean(events["rating"], events["consumer_id"])
    return events[["consumer_id", "micros"]].assign(mean_rating=mean).iloc[_ends(events, "consumer_id")]


def _latest_first(values: NDArray[np.generic], starts: NDArray[np.intp], ends: NDArray[np.intp]) -> pd.Series:
    """`values[start..end]` of each state, reversed."""
    spans = zip(starts.tolist(), ends.tolist(), strict=True)
    return pd.Series([values[start : end + 1][::-1] for start, end in spans], dtype=object)


def _unrated(snapshot: Snapshot) -> pd.DataFrame:
    """Every product of the catalog before its first event."""
    absent = np.float32(np.nan)
    return pd.DataFrame(
        {
            "product_id": snapshot.catalog.products["product_id"].astype(object).unique(),
            "event_timestamp": EPOCH,
            "digest": np.uint64(0),
            "n_interactions": np.int64(0),
            "mean_rating": absent,
            "sd_rating": absent,
            "liked_share": absent,
            "mean_consumer_rating": absent,
        }
    )


def attribute_lists(told: pd.DataFrame, ids: pd.Series) -> tuple[pd.Series, NDArray[np.uint64]]:
    """Each id's attributes as "name=value", in the order told, and a number that changes whenever they do (0: none).

    Args:
        told: an id, `name` and `value`.
        ids: (N,).
    """
    by_id: dict[str, list[str]] = {}
    for one, name, value in told.itertuples(index=False, name=None):
        by_id.setdefault(one, []).append(f"{name}={value}")
    lists = [by_id.get(one, []) for one in ids]
    digests = pd.util.hash_array(np.array(["\x1f".join(texts) for texts in lists], object))
    listed = np.array([bool(texts) for texts in lists], bool)
    return pd.Series(lists, dtype=object), np.where(listed, digests, np.uint64(0))
