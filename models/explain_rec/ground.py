"""What ratings alone say of training rows, and what those say who never saw a block of consumers or of products."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from features.batch import FeatureBatch, TrainingSet
from models.backbones.collaborative import Collaborative, CollaborativeConfig
from models.backbones.factorization import Belief
from models.base import RunContext
from models.explain_rec.knowledge import KnowledgeBase, KnowledgeConfig
from models.training import seeded


class Grounding(NamedTuple):
    """Settings that a ground depends on."""

    collaborative: CollaborativeConfig
    knowledge: KnowledgeConfig
    protected: tuple[str, ...]
    hidden_share: float


class Strangers(NamedTuple):
    """Hidden blocks of consumers and of products, and what those say who never saw them."""

    consumers: NDArray[np.object_]
    products: NDArray[np.object_]
    collaborative: Collaborative
    knowledge: KnowledgeBase

    def rows_of(self, batch: FeatureBatch) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows in which the consumer alone is hidden, and in which the product alone is."""
        who = np.isin(batch.consumers.consumer_ids, self.consumers)
        what = np.isin(batch.products.product_ids, self.products)
        return np.flatnonzero(who & ~what), np.flatnonzero(what & ~who)

    @classmethod
    def hide(cls, train: TrainingSet, settings: Grounding, run: RunContext) -> Self | None:
        """Hides a block of consumers and one of products; None where the share is of nobody."""
        rng, share = np.random.default_rng(run.seed), settings.hidden_share
        ids = (train.batch.consumers.consumer_ids, train.batch.products.product_ids)
        consumers, products = (rng.permutation(known)[: int(share * len(known))] for known in map(np.unique, ids))
        rest = train.take(np.flatnonzero(~(np.isin(ids[0], consumers) | np.isin(ids[1], products))))
        if not len(rest) or not len(consumers) + len(products):
            return None
        once = settings.collaborative.model_copy(update={"folds": 2, "starts": settings.collaborative.starts[:1]})
        collaborative, _ = Collaborative.fit(rest, once, run)
        return cls(consumers, products, collaborative, KnowledgeBase.build(rest, settings.knowledge, run.seed))


class Ground(NamedTuple):
    """What the ratings of some training rows say: the part of a fit that variants share."""

    collaborative: Collaborative
    held_out: Belief
    """Of the training rows, by models that did not see them."""
    strangers: Strangers | None
    rows: TrainingSet
    """As they were given, by which a ground is known again."""
    made_with: Grounding

    @classmethod
    def of(
        cls, rows: TrainingSet, train: TrainingSet, settings: Grounding, hides: bool, known: Ground | None,
        run: RunContext,
    ) -> Ground:  # fmt: skip
        """What is known already is taken over if it is of the same rows and settings.

        Args:
            rows: the training rows as they were given.
            train: the same without protected attributes.
            settings: what the ground depends on.
            hides: whether strangers are wanted.
            known: of another model.
            run: the seed.
        """
        if known is None or known.rows is not rows or known.made_with != settings:
            with seeded(run.seed):
                collaborative, held_out = Collaborative.fit(train, settings.collaborative, run)
            known = cls(collaborative, held_out, None, rows, settings)
        if known.strangers is None and hides:
            with seeded(run.seed):
                known = known._replace(strangers=Strangers.hide(train, settings, run))
        return known
