"""What is known of one consumer, and what is said of one product over all consumers."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import numpy as np

from features.batch import CONSUMER_NUMERIC, N_FACETS
from features.errors import InputError, StoreError
from models.release import Release
from services.explain import Reasons
from services.schemas import ConsumerResponse, ConsumersResponse, Had, InsightsResponse, number
from services.shelf import Shelf
from services.visitors import Visitors

MAX_CONSUMERS = 20
"""Of one answer to a search."""


class Profiles:
    """Tells what a release knows, beside recommending."""

    def __init__(self, release: Release, shelf: Shelf, reasons: Reasons, visitors: Visitors) -> None:
        self._release, self._shelf, self._reasons, self._visitors = release, shelf, reasons, visitors

    def insights(self, product_id: str) -> InsightsResponse:
        """What speaks for and against a product over all consumers. Raises InputError if it is unknown."""
        row = self._shelf.row.get(product_id)
        if row is None:
            raise InputError(
                f"The product {product_id!r} is not in the release {self._release.release_id}.",
                "A release knows the products that the catalog held when it was made.",
            )
        count, mean = self._shelf.ratings(row)
        return InsightsResponse(
            product_id=product_id,
            title=self._shelf.titles[product_id],
            release_id=self._release.release_id,
            as_of=self._release.as_of,
            ratings=count,
            mean_rating=mean,
            arguments=self._reasons.arguments(product_id, datetime.now(UTC)),
            tastes=self._reasons.meetings(product_id),
        )

    def consumers(self, starting: str) -> ConsumersResponse:
        """The first consumers, by id, of whom the release says something and whose id begins so. Raises StoreError."""
        found = (it for it in self._reasons.consumers(starting) if not self._visitors.is_forgotten(it))
        shown = list(islice(found, MAX_CONSUMERS + 1))
        return ConsumersResponse(consumer_ids=tuple(shown[:MAX_CONSUMERS]), more=len(shown) > MAX_CONSUMERS)

    def consumer(self, consumer_id: str) -> ConsumerResponse:
        """What is known of a consumer. Raises InputError if it is nothing, StoreError if it cannot be read.

        Who is shown tastes may put them in other words next, so the text encoder is made ready for it.
        """
        visit = self._visitors.visit(consumer_id, None)
        if visit.causes:
            raise StoreError(f"The consumer could not be read: {'; '.join(visit.causes)}.")
        tastes = () if visit.consumer_id != consumer_id else self._reasons.tastes(consumer_id, visit.answered_at)
        if visit.cold and not tastes:
            raise InputError(f"Nothing is known of the consumer {consumer_id!r}.")
        self._reasons.expect_own_words()
        who = visit.consumer.block
        count, mean = (who.numeric[0, CONSUMER_NUMERIC.index(it)] for it in ("n_interactions", "mean_rating"))
        had = zip(who.history_ids[0], who.history_ratings[0], strict=True)
        return ConsumerResponse(
            consumer_id=consumer_id,
            release_id=self._release.release_id,
            as_of=self._release.as_of,
            interactions=int(np.nan_to_num(count)),
            mean_rating=number(mean),
            history=tuple(
                Had(product_id=it, title=self._shelf.titles.get(it), rating=number(rating)) for it, rating in had if it
            ),
            tastes=tastes,
            places=N_FACETS,
        )
