"""Products as the inputs of a network that starts from what ratings alone say, made ready once for all consumers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from features.assemble import absent_pairs
from features.batch import ConsumerBlock, PairBlock, ProductBlock
from models.backbones.collaborative import Collaborative
from models.backbones.factorization import Belief
from models.backbones.inputs import Inputs, nothing_told
from models.backbones.preparation import Preparation, closeness_inputs, pair_inputs, time_inputs
from models.base import Scores
from models.held import Rows
from models.threads import torch_threads


class HeldInputs:
    """P products for a network; a `models.held.Held`, whose guess is what ratings alone say."""

    def __init__(
        self,
        preparation: Preparation,
        collaborative: Collaborative,
        score: Callable[[Inputs], Scores],
        products: ProductBlock,
    ) -> None:
        """Makes everything that is the same for all consumers. `score`: the network's, from inputs."""
        self._preparation, self._collaborative, self._score = preparation, collaborative, score
        with torch.inference_mode():
            self._products = _laid_out(preparation.product_inputs(products))
            self._vectors = collaborative.hold(products)

    def score(
        self,
        consumer: ConsumerBlock,
        rows: Rows,
        pairs: PairBlock | None,
        as_of: datetime,
        told: Tensor | None = None,
    ) -> Scores:
        """As `Held`; `told` is what methods beneath the network say of the rows."""
        chosen = torch.from_numpy(rows.astype(np.int64))
        with torch_threads(1), torch.inference_mode():
            who, what = self._preparation.consumer_inputs(consumer), self._chosen(chosen)
            inputs = Inputs(
                **who,
                **what,
                closeness=closeness_inputs(who, what),
                **pair_inputs(absent_pairs(1) if pairs is None else pairs),
                belief=self._preparation.belief_inputs(self._believe(consumer, chosen)),
                time=time_inputs(np.array([_naive(as_of)])),
                told=nothing_told(len(rows)) if told is None else told,
                compact=True,
            )
            return self._score(inputs)

    def guess(self, consumer: ConsumerBlock) -> NDArray[np.float32]:
        """As `Held`."""
        with torch_threads(1), torch.inference_mode():
            return self._vectors.guess(self._collaborative.consumers_of(consumer)).numpy()

    def _chosen(self, rows: Tensor) -> Mapping[str, Tensor]:
        chosen, place = {name: it.index_select(0, rows) for name, it in self._products.items()}, torch.arange(len(rows))
        return chosen | {row: place for row, table in Inputs.TABLES.items() if table in chosen}

    def _believe(self, consumer: ConsumerBlock, rows: Tensor) -> Belief:
        return self._collaborative.model.believe(self._collaborative.consumers_of(consumer), self._vectors.rows(rows))


def _laid_out(what: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Products with the rows of their tables (P, ...) in place of which rows these are: a product is found at once."""
    laid = {table: what[table].index_select(0, what[row]) for row, table in Inputs.TABLES.items() if row in what}
    return {name: it for name, it in what.items() if name not in Inputs.TABLES} | laid


def _naive(time: datetime) -> np.datetime64:
    return np.datetime64(time.astimezone(UTC).replace(tzinfo=None), "us")
