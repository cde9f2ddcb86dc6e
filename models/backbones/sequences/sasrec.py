"""SASRec: causal self-attention over the history.

Source: Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018 (arXiv 1808.09781). Ours: layer norms
before the blocks and GELU instead of ReLU.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.backbones.sequences.encoders import Encoder, EncoderConfig, Transformer


class SASRec(Encoder):
    """What is known after each event, from it and those before it."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.transformer, self.norm = Transformer(config), nn.LayerNorm(config.embedding_size)

    def forward(self, vectors: Tensor, history: Tensor) -> Tensor:
        """As `Encoder`."""
        length = history.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=history.device).tril()
        result: Tensor = self.norm(self.transformer(vectors, causal & (history != 0).unsqueeze(1)))
        return result
