"""A small list-wise model that turns several experts' scores into one ranking.

Each expert's best products make a shortlist, which the blend then orders. The loss is the softmax cross-entropy of the
true next product on the shortlist (ListNet with one relevant product: Cao et al., ICML 2007). Every product goes
through the same few weights: a linear part and a narrow hidden layer, which learns for instance that one expert is
worth more where another one is silent.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn import functional

from features.errors import TrainingError
from models.base import MethodConfig, RunContext
from models.training import seeded

Lists = NDArray[np.float32]
"""(U, P, C): C experts' scores of P products for U consumers."""
_RANK_SHIFT = 5
"""Added to ranks before the logarithm: the first places differ, but not without bound."""


class BlendConfig(MethodConfig):
    """Size and training of the blend."""

    shortlist: int = 200
    """Products per list that the blend orders: those that some expert ranks best. The others follow behind."""
    hidden: int = 8
    """Width of the hidden layer; 0: only the linear part."""
    steps: int = 300
    batch_size: int = 128
    """Lists per step."""
    learning_rate: float = 0.02
    weight_decay: float = 0.1
    n_models: int = 4
    """Blends of different seeds whose scores are averaged."""


class BlendNetwork(nn.Module):
    """w'x + v'tanh(Wx + b) of standardised columns: (B, N, C) to (B, N)."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, n_columns: int, hidden: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_columns))
        self.register_buffer("deviation", torch.ones(n_columns))
        self.linear = nn.Linear(n_columns, 1, bias=False)
        self.inner, self.outer = nn.Linear(n_columns, hidden), nn.Linear(hidden, 1, bias=False)
        nn.init.zeros_(self.linear.weight)
        nn.init.normal_(self.outer.weight, std=0.01)

    def forward(self, scores: Tensor) -> Tensor:
        x = (scores - self.mean) / self.deviation
        result: Tensor = (self.linear(x) + self.outer(self.inner(x).tanh())).squeeze(-1)
        return result


class Blend:
    """The blends of all seeds; fitted on lists with a known next product."""

    def __init__(self, config: BlendConfig) -> None:
        self.config = config
        self.networks: list[BlendNetwork] = []

    def fit(self, lists: Lists, seen: NDArray[np.bool_], target: NDArray[np.int64], run: RunContext) -> float:
        """Learns from lists (U, P, C) whose `seen` products (U, P) are out of the race; -1: no target.

        Returns:
            The mean loss of the last tenth of the steps, in nats, over the seeds.

        Raises:
            TrainingError: no list has its target on the shortlist.
        """
        shortlist, columns = self._shortlist(lists, seen)
        hit = shortlist == target[:, None]
        known = hit.any(1)
        if not known.any():
            raise TrainingError(
                "No next product is on its shortlist.",
                remedy="Give consumers with two events or more, or better experts.",
            )
        x, y = torch.from_numpy(columns[known]), torch.from_numpy(hit[known].argmax(1))
        losses, self.networks = [], []
        for model in range(self.config.n_models):
            with seeded(run.seed + model):
                network = BlendNetwork(x.shape[2], self.config.hidden)
                losses.append(_train(network, x, y, self.config))
                self.networks.append(network.eval())
        return float(np.mean(losses))

    def score(self, lists: Lists, seen: NDArray[np.bool_]) -> Lists:
        """(U, P): above 0 on the shortlist, below it elsewhere, by the best rank that an expert gives; -inf if seen."""
        shortlist, columns = self._shortlist(lists, seen)
        with torch.inference_mode():
            x = torch.from_numpy(columns)
            inner = torch.stack([network(x) for network in self.networks]).mean(0).softmax(1).numpy()
        scores = -_best_rank(_ranks(lists, seen))
        np.put_along_axis(scores, shortlist, inner, axis=1)
        scores[seen] = -np.inf
        return scores

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """All weights by name."""
        return {
            f"{number}.{name}": value.detach().numpy()
            for number, network in enumerate(self.networks)
            for name, value in network.state_dict().items()
        }

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Takes back what `arrays` gave."""
        self.networks = []
        for number in range(self.config.n_models):
            own = {name.split(".", 1)[1]: array for name, array in arrays.items() if name.startswith(f"{number}.")}
            network = BlendNetwork(len(own["mean"]), self.config.hidden)
            network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in own.items()})
            self.networks.append(network.eval())

    def _shortlist(self, lists: Lists, seen: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Lists]:
        """Products (U, N) that some expert ranks best, and their columns: scores and -log ranks (U, N, 2C)."""
        ranks = _ranks(lists, seen)
        shortlist = np.argsort(_best_rank(ranks), axis=1, kind="stable")[:, : self.config.shortlist]
        chosen = [np.take_along_axis(table, shortlist[:, :, None], axis=1) for table in (lists, ranks)]
        return shortlist, np.concatenate([chosen[0], -np.log(chosen[1] + _RANK_SHIFT)], axis=2)


def _ranks(lists: Lists, seen: NDArray[np.bool_]) -> Lists:
    """Rank of each product in each column among the unseen of its list, from 0; equal scores share their mean rank."""
    hidden = np.where(seen[:, :, None], -np.inf, lists)
    return rankdata(-hidden, axis=1).astype(np.float32) - 1


def _best_rank(ranks: Lists) -> Lists:
    """(U, P): the best rank over the columns; ties are broken by the mean over the columns."""
    return np.asarray(ranks.min(2) + ranks.mean(2) / ranks.shape[1], np.float32)


def _train(network: BlendNetwork, x: Tensor, target: Tensor, config: BlendConfig) -> float:
    """Steps on random lists under a rate that falls as a cosine; the mean loss of the last tenth."""
    flat = x.flatten(0, 1)
    network.mean.copy_(flat.mean(0))
    network.deviation.copy_(flat.std(0).clamp(min=1e-6))
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    losses = []
    for _ in range(config.steps):
        rows = torch.randperm(len(x))[: config.batch_size]
        loss = functional.cross_entropy(network(x[rows]), target[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        falling.step()
        losses.append(loss.item())
    return float(np.mean(losses[-max(1, config.steps // 10) :]))
