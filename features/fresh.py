"""What is known of a consumer and what they rated since, put together as a refresh would.

A stored row says how many ratings there are, their mean, deviation and liked share; so sums can be continued without
the ratings themselves. One thing cannot be seen: whether a product beyond the last `HISTORY_LENGTH` was rated before.
It then counts as one more, until the next refresh counts again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from features.batch import HISTORY_LENGTH, ConsumerBlock
from features.inbox import Feedback
from features.types import RatingScale

_DAY_SECONDS = 86_400.0


def with_feedback(
    block: ConsumerBlock, evidence_time: datetime | None, feedback: Sequence[Feedback], scale: RatingScale
) -> ConsumerBlock:
    """The consumer's row after these ratings.

    Args:
        block: one row.
        evidence_time: time of the last event in it; None if there is none.
        feedback: later ratings, in order of time.
        scale: from which rating on a product counts as liked.
    """
    if not feedback:
        return block
    n, total, squares, liked, days = _sums(block)
    history = [(it, stars) for it, stars in zip(block.history_ids[0], block.history_ratings[0], strict=True) if it]
    for item in feedback:
        for _, stars in [past for past in history if past[0] == item.product_id]:  # the later rating takes its place
            n, total, squares, liked = n - 1, total - stars, squares - stars**2, liked - (stars >= scale.like_from)
        n, total, squares = n + 1, total + item.rating, squares + item.rating**2
        liked += item.rating >= scale.like_from
        history = [(item.product_id, item.rating), *(past for past in history if past[0] != item.product_id)]
    since = evidence_time or feedback[0].at
    days += (feedback[-1].at - since).total_seconds() / _DAY_SECONDS
    variance = max(squares - total**2 / n, 0.0) / (n - 1) if n > 1 else np.nan
    numeric = np.array([[n, total / n, np.sqrt(variance), liked / n, days]], np.float32)
    ids, ratings = np.full((1, HISTORY_LENGTH), "", object), np.full((1, HISTORY_LENGTH), np.nan, np.float32)
    for place, (product_id, stars) in enumerate(history[:HISTORY_LENGTH]):
        ids[0, place], ratings[0, place] = product_id, stars
    return replace(block, numeric=numeric, history_ids=ids, history_ratings=ratings)


def _sums(block: ConsumerBlock) -> tuple[float, float, float, float, float]:
    """Number of ratings, their sum, the sum of their squares, how many are likes, and days active."""
    if np.isnan(block.numeric[0, 0]):
        return 0.0, 0.0, 0.0, 0.0, 0.0
    n, mean, deviation, liked_share, days = block.numeric[0].astype(np.float64)
    squares = (0.0 if np.isnan(deviation) else deviation**2 * (n - 1)) + n * mean**2
    return n, n * mean, squares, n * liked_share, days
