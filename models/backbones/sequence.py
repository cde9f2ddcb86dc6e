"""A causal transformer over histories that says which product comes next.

Source: SASRec, Kang and McAuley, ICDM 2018 (arXiv 1808.09781): learned places, causal self-attention, output products
tied to the input's. Ours: layer norms before the blocks, a product bias, product vectors that may start from text, and
the cross-entropy over the whole catalogue instead of one negative (Klenitskiy and Vasilev, RecSys 2023).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from features.errors import TrainingError
from models.backbones.experts import Arrays, Expert
from models.backbones.histories import Histories, Numbers, Scores
from models.base import MethodConfig, RunContext
from models.training import seeded

_CHUNK = 256


class SequenceConfig(MethodConfig):
    """Widths and training of the sequence model."""

    embedding_size: int = 64
    """d."""
    n_layers: int = 2
    n_heads: int = 2
    length: int = 50
    """L: how many of the last products are read."""
    dropout: float = 0.2
    learning_rate: float = 3e-3
    """Highest rate of the one cycle it follows (up in the first 15 % of the steps, then down to nothing)."""
    epochs: int = 20
    batch_size: int = 32
    """Windows per step."""
    max_candidates: int = 2048
    """Products in one step's softmax: a larger catalogue is sampled."""
    n_models: int = 1
    """Networks of different seeds whose log chances are averaged."""


class Block(nn.Module):
    """x + attention(norm(x)), then x + W2 gelu(W1 norm(x)): the paper's equations 2 to 6 with the norms first."""

    def __init__(self, d: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm, self.qkv, self.out = nn.LayerNorm(d), nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.inner = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, d), nn.GELU(), nn.Linear(d, d))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, L, d) from (B, L, d); `mask` (B, 1, L, L) is True where a place (row) may look at another (column)."""
        b, length, d = x.shape
        q, k, v = self.qkv(self.norm(x)).view(b, length, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, mask)  # (B, heads, L, d / heads)
        x = x + self.dropout(self.out(mixed.transpose(1, 2).reshape(b, length, d)))
        result: Tensor = x + self.dropout(self.inner(x))
        return result


class SequenceNetwork(nn.Module):
    """Histories (B, L) of product numbers + 1, 0 where there is none, latest at the right."""

    def __init__(self, n_products: int, config: SequenceConfig, content: Tensor | None = None) -> None:
        super().__init__()
        d = config.embedding_size
        self.length = config.length
        self.product = nn.Embedding(n_products + 1, d, padding_idx=0)
        self.place = nn.Embedding(config.length, d)
        self.blocks = nn.ModuleList(Block(d, config.n_heads, config.dropout) for _ in range(config.n_layers))
        self.norm, self.dropout = nn.LayerNorm(d), nn.Dropout(config.dropout)
        self.bias = nn.Parameter(torch.zeros(n_products))
        nn.init.normal_(self.product.weight, std=0.5 * d**-0.5)
        nn.init.normal_(self.place.weight, std=0.02)
        if content is not None:
            with torch.no_grad():
                self.product.weight[1:] += projected(content, d)

    def features(self, history: Tensor) -> Tensor:
        """What is known after each event: (B, L, d) from (B, L); causal, so place l has seen events 0..l."""
        length = history.shape[1]
        known = history > 0
        places = self.place.weight[self.length - length :]
        x = self.dropout(self.product(history) + places)
        causal = torch.ones(length, length, dtype=torch.bool, device=history.device).tril()
        itself = torch.eye(length, dtype=torch.bool, device=history.device)  # an empty place needs something to see
        mask = (causal & known.unsqueeze(1) | itself).unsqueeze(1)
        for block in self.blocks:
            x = block(x, mask)
        result: Tensor = self.norm(x)
        return result

    def logits(self, features: Tensor, products: Tensor) -> Tensor:
        """(N, K) of K products (numbers from 0) from features (N, d)."""
        return features @ self.product(products + 1).T + self.bias[products]

    def forward(self, history: Tensor) -> Tensor:
        """(B, P): log chance of each product to come next."""
        every = torch.arange(len(self.bias), device=history.device)
        return self.logits(self.features(history)[:, -1], every).log_softmax(-1)


def projected(content: Tensor, d: int) -> Tensor:
    """Text vectors (P, d_t) on their d directions of largest variance, as long as a new embedding is: (P, d)."""
    centred = content - content.mean(0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    kept = centred @ directions[:d].T
    return functional.pad(0.5 * kept / kept.norm(dim=1).mean().clamp(min=1e-9), (0, d - kept.shape[1]))


def windows(histories: Histories, length: int, random: np.random.Generator) -> Numbers:
    """Training rows (W, length + 1) of number + 1: the last events of each consumer, and earlier stretches.

    Earlier stretches end at a random place and follow each other without a gap, so that over the epochs every event
    is predicted from every distance to the window's start.
    """
    first, last = histories.start[:-1], histories.start[1:]
    ends, consumers = [last], [np.arange(len(histories))]
    end = last - random.integers(1, length + 1, len(histories))
    while (open_ := np.flatnonzero(end - first > 1)).size:
        ends.append(end[open_])
        consumers.append(open_)
        end = end - length
    event = np.concatenate(ends)[:, None] + np.arange(-length - 1, 0)
    inside = event >= first[np.concatenate(consumers)][:, None]
    rows = np.where(inside, np.append(histories.product, 0)[np.maximum(event, 0)] + 1, 0)
    return rows[inside.sum(1) > 1]


class Sequence(Expert):
    """The sequence model as an expert: log chances, averaged over `n_models` seeds."""

    def __init__(self, config: SequenceConfig, run: RunContext, content: NDArray[np.float32] | None = None) -> None:
        self.config, self.run = config, run
        self.content = None if content is None else torch.from_numpy(content)
        self.networks: list[SequenceNetwork] = []

    def fit(self, histories: Histories) -> None:
        """Trains the networks. Raises TrainingError if no history has two events, or a loss is not finite."""
        self.networks = []
        for model in range(self.config.n_models):
            seed = self.run.seed + model
            with seeded(seed):
                network = SequenceNetwork(histories.n_products, self.config, self.content).to(self.run.device)
                _train(network, histories, self.config, np.random.default_rng(seed), self.run)
                self.networks.append(network.eval())

    def score(self, histories: Histories) -> Scores:
        rows = torch.from_numpy(histories.padded(self.config.length))
        with torch.inference_mode():
            parts = [
                torch.stack([network(part.to(self.run.device)) for network in self.networks]).mean(0).cpu()
                for part in torch.split(rows, _CHUNK)
            ]
        return torch.cat(parts).numpy()

    def arrays(self) -> Arrays:
        return {
            f"{number}.{name}": value.detach().cpu().numpy()
            for number, network in enumerate(self.networks)
            for name, value in network.state_dict().items()
        }

    def restore(self, arrays: Arrays) -> None:
        self.networks = []
        for number in range(self.config.n_models):
            own = {name.split(".", 1)[1]: array for name, array in arrays.items() if name.startswith(f"{number}.")}
            network = SequenceNetwork(len(own["bias"]), self.config)
            network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in own.items()})
            self.networks.append(network.to(self.run.device).eval())


def _train(
    network: SequenceNetwork, histories: Histories, config: SequenceConfig, random: np.random.Generator, run: RunContext
) -> None:
    """A fixed number of epochs under one cycle of the learning rate: no event has to be kept back to stop."""
    per_epoch = len(windows(histories, config.length, random)) // config.batch_size + 2
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=0.0)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.epochs * per_epoch, pct_start=0.15
    )
    network.train()
    for epoch in range(1, config.epochs + 1):
        rows = torch.from_numpy(windows(histories, config.length, random))
        if not len(rows):
            raise TrainingError("No history has two events.", remedy="Train the sequence model on longer histories.")
        for batch in torch.split(rows[torch.randperm(len(rows))], config.batch_size):
            loss = _loss(network, batch.to(run.device), config.max_candidates)
            if not torch.isfinite(loss):
                raise TrainingError(f"The sequence model's loss became {loss.item()} in epoch {epoch}.")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            cycle.step()
        run.progress("sequence", epoch, config.epochs)


def _loss(network: SequenceNetwork, rows: Tensor, max_candidates: int) -> Tensor:
    """Mean cross-entropy of the next products; places left of the longest history are not computed."""
    rows = rows[:, -int((rows > 0).sum(1).max()) :]
    known = rows[:, :-1] > 0
    features = network.features(rows[:, :-1])[known]
    target = rows[:, 1:][known] - 1
    products, place, correction = _candidates(target, len(network.bias), max_candidates)
    return functional.cross_entropy(network.logits(features, products) + correction, place)


def _candidates(target: Tensor, n_products: int, limit: int) -> tuple[Tensor, Tensor, Tensor]:
    """Products of a softmax (K,), the targets' places among them (N,), and what to add to their logits (K,).

    Up to the limit all products. Else the targets and a uniform sample of the others, whose share of the sum is
    scaled up to what the whole catalogue would add.
    """
    if n_products <= limit:
        products = torch.arange(n_products, device=target.device)
        return products, target, torch.zeros(n_products, device=target.device)
    own, place = torch.unique(target, return_inverse=True)
    sample = torch.randperm(n_products, device=target.device)[:limit]
    sample = sample[~torch.isin(sample, own)]
    weight = np.log((n_products - len(own)) / len(sample))
    correction = torch.cat([torch.zeros(len(own)), torch.full((len(sample),), weight)]).to(target.device)
    return torch.cat([own, sample]), place, correction
