"""BERT4Rec: self-attention in both directions, which fills in masked products.

Source: Sun et al., "BERT4Rec: Sequential Recommendation with Bidirectional Encoder Representations from Transformer",
CIKM 2019 (arXiv 1904.06690). Ours: layer norms before the blocks, and the width of the block's inner layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.backbones.sequences.encoders import Asks, Encoder, EncoderConfig, Transformer
from models.backbones.sequences.windows import MASK


class BERT4Rec(Encoder):
    """What stands at each masked place, from all other places."""

    asks = Asks.MASKED

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        d = config.embedding_size
        self.mask = nn.Parameter(torch.randn(d) * 0.02)
        self.transformer = Transformer(config)
        self.head = nn.Sequential(nn.Linear(d, d), nn.GELU(), nn.LayerNorm(d))  # section 3.6, before the table

    def forward(self, vectors: Tensor, history: Tensor) -> Tensor:
        """As `Encoder`."""
        x = torch.where((history == MASK).unsqueeze(-1), self.mask, vectors)
        known = (history != 0).unsqueeze(1).expand(-1, history.shape[1], -1)
        result: Tensor = self.head(self.transformer(x, known))
        return result
