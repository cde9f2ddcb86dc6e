"""Sequence models as experts on the next product: a bare one, a refined one, and one aligned with texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from models.backbones.attention import Alignment
from models.backbones.experts import Arrays, Expert
from models.backbones.histories import Histories, Scores
from models.backbones.refined import RefinedConfig, RefinedNetwork
from models.backbones.sequences.aligned import AlignedNetwork, KnownTexts
from models.backbones.sequences.encoders import EncoderConfig
from models.backbones.sequences.network import (
    Kind,
    ProductTable,
    SequenceNetwork,
    make_encoder,
    projected,
    random_rows,
)
from models.backbones.sequences.ranking import log_chances
from models.backbones.sequences.training import TrainingConfig, train
from models.base import RunContext
from models.training import seeded


class SequenceConfig(EncoderConfig, TrainingConfig):
    """Encoder, widths and training of the sequence model."""

    encoder: Kind = "sasrec"
    n_models: int = 1
    """Networks of different seeds whose log chances are averaged."""


def make_network(n_products: int, config: SequenceConfig, content: torch.Tensor | None = None) -> SequenceNetwork:
    """A network whose product vectors start at random, on top of what text vectors (P, d_t) say if there are any."""
    d = config.embedding_size
    start = random_rows(n_products, d) + (0 if content is None else projected(content, d))
    return SequenceNetwork(ProductTable(n_products, d, start), make_encoder(config.encoder, config))


class Sequence(Expert):
    """Log chances, averaged over `n_models` seeds."""

    def __init__(self, config: SequenceConfig, run: RunContext, content: NDArray[np.float32] | None = None) -> None:
        self.config, self.run = config, run
        self.content = None if content is None else torch.from_numpy(content)
        self.networks: list[SequenceNetwork] = []

    def fit(self, histories: Histories) -> None:
        """Trains the networks. Raises TrainingError if no history has two events, or a loss is not finite."""
        seeds = range(self.run.seed, self.run.seed + self.config.n_models)
        self.networks = [self.trained(histories, replace(self.run, seed=seed)) for seed in seeds]

    def trained(self, histories: Histories, run: RunContext) -> SequenceNetwork:
        """One network."""
        with seeded(run.seed):
            network = self.untrained(histories.n_products).to(run.device)
        train(network, histories, self.config.length, self.config, run)
        return network

    def untrained(self, n_products: int) -> SequenceNetwork:
        """What training, or restoring, begins with."""
        return make_network(n_products, self.config, self.content)

    def score(self, histories: Histories) -> Scores:
        return log_chances(self.networks, histories, self.config.length, self.run.device)

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
            network = self.restored(len(own["bias"]))
            network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in own.items()})
            self.networks.append(network.to(self.run.device).eval())

    def restored(self, n_products: int) -> SequenceNetwork:
        """A network to put kept weights into."""
        return self.untrained(n_products)


class RefinedSequence(Sequence):
    """A sequence model, trained, then refined by attribute scores and trained on (guided refinement).

    Args:
        config: the base model and its training.
        refined: how the refined model is trained on.
        refinement: how attributes and base are joined.
        guided: (P, m) attribute scores of the products on a standard scale.
        run: seed and device.
    """

    def __init__(
        self,
        config: SequenceConfig,
        refined: TrainingConfig,
        refinement: RefinedConfig,
        guided: NDArray[np.float32],
        run: RunContext,
    ) -> None:
        super().__init__(config, run)
        self.refined, self.refinement, self.guided = refined, refinement, torch.from_numpy(guided)

    def trained(self, histories: Histories, run: RunContext) -> SequenceNetwork:
        base = super().trained(histories, run)
        with seeded(run.seed):
            network = RefinedNetwork(base, self.guided.to(run.device), self.refinement)
        train(network.to(run.device), histories, self.config.length, self.refined, run)
        return network

    def restored(self, n_products: int) -> SequenceNetwork:
        return RefinedNetwork(self.untrained(n_products), self.guided, self.refinement)


class AlignedSequence(Sequence):
    """A sequence model whose states attend over dated texts about each consumer (LANE).

    Args:
        config: the backbone and its training.
        alignment: makes the untrained alignment.
        known: the texts of the consumers, by their numbers in the whole histories; what is fitted or asked may be any
            first part of these, or go beyond them.
        content: (P, d_t) text vectors that product vectors start from.
        run: seed and device.
    """

    def __init__(
        self,
        config: SequenceConfig,
        alignment: Callable[[], Alignment],
        known: KnownTexts,
        content: NDArray[np.float32],
        run: RunContext,
    ) -> None:
        super().__init__(config, run, content)
        self.alignment, self.known = alignment, known

    def untrained(self, n_products: int) -> SequenceNetwork:
        bare = super().untrained(n_products)
        network = AlignedNetwork(bare.table, bare.encoder, self.alignment())
        network.known = self.known.to(self.run.device)
        return network
