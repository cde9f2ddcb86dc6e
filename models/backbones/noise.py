"""How exactly ratings follow what is expected of them: consumers differ in it.

Source: Lakshminarayanan, Bouchard and Archambeau, "Robust Bayesian matrix factorisation", AISTATS 2011 (a factor of the
noise's precision for each row, gamma distributed).

    noise of a rating of u ~ N(0, 1 / (tau g_u))      g_u ~ gamma(a / 2, a / 2), whose mean is 1

Who rates at whim then counts for less in what is learned of products, and is predicted less boldly.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Noise:
    """tau and g of a chain."""

    def __init__(self, consumer: Tensor, n: int, alike: float, free: bool) -> None:
        """Starts at 1.

        Args:
            consumer: (N,) who gave each rating.
            n: how many consumers there are.
            alike: a, the ratings that the prior of g counts for; 0: all consumers have g = 1.
            free: whether the scale of the latent values is known from elsewhere; if not, all stays at 1.
        """
        self._consumer, self._alike, self._free = consumer, alike, free
        self._counts = torch.bincount(consumer, minlength=n)
        self._tau, self._exactness = torch.tensor(1.0), torch.ones(n)
        self.precision = torch.ones(len(consumer))
        """(N,) tau g_u of each rating."""

    def draw(self, error: Tensor) -> None:
        """Draws tau given g, then g given tau.

        Args:
            error: (N,) latent values minus what is expected of them.
        """
        if not self._free:
            return
        square = error.square()
        told = float((square * self._exactness[self._consumer]).sum())
        self._tau = gamma(1 + len(error) / 2, 1 + told / 2)
        if self._alike:
            sums = torch.bincount(self._consumer, square, minlength=len(self._counts))
            shape, rate = (self._alike + self._counts) / 2, (self._alike + self._tau * sums) / 2
            self._exactness = torch.distributions.Gamma(shape, rate).sample()
        self.precision = self._tau * self._exactness[self._consumer]

    def state(self) -> dict[str, Tensor]:
        """The current draw, by name."""
        return {"tau": self._tau, "consumer.exactness": self._exactness}


def gamma(shape: float, rate: float) -> Tensor:
    """A draw () of mean shape / rate."""
    return torch.distributions.Gamma(shape, rate).sample()
