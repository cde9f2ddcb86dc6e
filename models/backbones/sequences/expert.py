"""A sequence model as an expert on the next product."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from models.backbones.experts import Arrays, Expert
from models.backbones.histories import Histories, Scores
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
        self.networks = []
        for model in range(self.config.n_models):
            run = RunContext(self.run.seed + model, self.run.device, self.run.progress)
            with seeded(run.seed):
                network = make_network(histories.n_products, self.config, self.content).to(run.device)
            train(network, histories, self.config.length, self.config, run)
            self.networks.append(network)

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
            network = make_network(len(own["bias"]), self.config)
            network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in own.items()})
            self.networks.append(network.to(self.run.device).eval())
