"""Text and looks of a product as one vector, where either may be missing.

Source: ExplainRec (Ma et al., arXiv 2511.14770), multi-modal enhancement: gated fusion g = sigmoid(W [v; t]),
z = g v' + (1 - g) t', modality dropout and a learned vector for what is missing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from features.batch import CONTENT_WIDTH

TEMPERATURE = 0.1
"""Of the alignment: how much nearer its own text a product's looks must be than other texts."""


class Fusion(nn.Module):
    """Products' vectors (N, d) from text vectors and, where vision is on, visual vectors.

    Args:
        d: width.
        visual_width: of a visual vector; 0 reads text alone.
        dropout: how often the looks of a product are taken for missing in training.
    """

    def __init__(self, d: int, visual_width: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.text = nn.Linear(CONTENT_WIDTH, d, bias=False)
        self.no_text = nn.Parameter(torch.randn(d) * 0.05)
        self.visual: nn.Linear | None = None
        if visual_width:
            self.visual, self.gate = nn.Linear(visual_width, d), nn.Linear(2 * d, d)
            self.no_visual = nn.Parameter(torch.randn(d) * 0.05)

    def forward(self, text: Tensor, has_text: Tensor, visual: Tensor, has_visual: Tensor) -> Tensor:
        """From text (N, 384) and visual (N, w) vectors and where there are such, (N,) each."""
        told = torch.where(has_text.unsqueeze(1), self.text(text), self.no_text)
        if self.visual is None:
            return told
        if self.training:
            has_visual = has_visual & (torch.rand(has_visual.shape, device=text.device) >= self.dropout)
        seen = torch.where(has_visual.unsqueeze(1), self.visual(visual), self.no_visual)
        gate = self.gate(torch.cat([seen, told], dim=1)).sigmoid()
        return gate * seen + (1 - gate) * told

    def alignment(self, text: Tensor, visual: Tensor, both: Tensor) -> Tensor:
        """InfoNCE () between looks and text of the rows that have both: each should find its own; 0 without vision."""
        if self.visual is None or int(both.sum()) < 2:
            return text.new_zeros(())
        t = functional.normalize(self.text(text[both]), dim=1, eps=1e-6)
        v = functional.normalize(self.visual(visual[both]), dim=1, eps=1e-6)
        near, own = v @ t.T / TEMPERATURE, torch.arange(len(t), device=t.device)
        return (functional.cross_entropy(near, own) + functional.cross_entropy(near.T, own)) / 2
