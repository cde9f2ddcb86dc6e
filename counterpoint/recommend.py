"""`counterpoint recommend`: one consumer's recommendations, made in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from features.errors import InputError

if TYPE_CHECKING:
    from services.schemas import RecommendResponse


def recommend_here(consumer_id: str, k: int) -> RecommendResponse:
    """Recommends from the live release.

    Args:
        consumer_id: whom to; an unknown one is a cold consumer.
        k: how many products.

    Raises:
        InputError: the service would not take such a request.
        ReleaseError, StoreError: nothing is live, or something of it cannot be read.
    """
    from services.recommend import open_live
    from services.schemas import RecommendRequest

    try:
        request = RecommendRequest(consumer_id=consumer_id, k=k)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, it['loc']))} is {it['input']!r}: {it['msg']}" for it in error.errors())
        raise InputError(f"{wrong}.", remedy="Nothing was asked.") from error
    return open_live().recommend(request)
