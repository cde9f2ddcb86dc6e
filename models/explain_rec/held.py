"""Products held for serving: scored as they are, and guessed by what ratings alone say."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from features.batch import ConsumerBlock, ProductBlock
from models.backbones.collaborative import Collaborative
from models.base import Recommender
from models.held import Crossed
from models.threads import torch_threads


class Guessed(Crossed):
    """As `Crossed`, with a guess: looks are found by product id, which prepared inputs no longer have."""

    def __init__(self, recommender: Recommender, products: ProductBlock, collaborative: Collaborative) -> None:
        super().__init__(recommender, products)
        self._collaborative = collaborative
        with torch_threads(1), torch.inference_mode():
            self._vectors = collaborative.hold(products)

    def guess(self, consumer: ConsumerBlock) -> NDArray[np.float32]:
        """As `Held`."""
        with torch_threads(1), torch.inference_mode():
            return self._vectors.guess(self._collaborative.consumers_of(consumer)).numpy()
