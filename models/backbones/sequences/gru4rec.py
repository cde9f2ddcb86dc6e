"""GRU4Rec: a recurrent network over the history.

Source: Hidasi et al., "Session-based Recommendations with Recurrent Neural Networks", ICLR 2016 (arXiv 1511.06939),
in the form that later comparisons use: whole histories as sessions, tied products, no ranking loss of its own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.backbones.sequences.encoders import Encoder, EncoderConfig


class GRU4Rec(Encoder):
    """The state after each event."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        d, between = config.embedding_size, config.dropout if config.n_layers > 1 else 0.0
        self.dropout = nn.Dropout(config.dropout)
        self.gru = nn.GRU(d, d, config.n_layers, batch_first=True, dropout=between)
        self.out = nn.Linear(d, d)

    def forward(self, vectors: Tensor, history: Tensor) -> Tensor:
        """As `Encoder`. Rows are turned so that they start with their first event: empty places change no state."""
        length = history.shape[1]
        column = torch.arange(length, device=history.device)
        empty = (history == 0).sum(1, keepdim=True)
        states, _ = self.gru(self.dropout(_picked(vectors, (column + empty) % length)))
        result: Tensor = self.out(_picked(states, (column - empty) % length))
        return result


def _picked(x: Tensor, columns: Tensor) -> Tensor:
    """(B, T, d) with the columns (B, T) of each row."""
    return x.gather(1, columns.unsqueeze(-1).expand_as(x))
