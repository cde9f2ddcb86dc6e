"""DiffuRec: the next product out of noise, which a transformer over the history takes away step by step.

Source: Li, Sun, Li, "DiffuRec: A Diffusion Model for Sequential Recommendation", ACM TOIS 42(3), 2024 (arXiv
2304.00686) and the authors' code. What came is diffused, x_s = sqrt(a_s) x_0 + sqrt(1 - a_s) noise with a_s the product
of 1 - beta up to step s; the approximator reads z_i = e_i + lambda_i (x_s + d_s) in both directions, d_s the embedding
of the step, and says x_0 at the last place; the loss compares that with the catalogue. To ask, noise is taken back
through all steps.

Ours:
- noise of asking is drawn once, with the weights, and kept with them; lambda is then its mean. So an answer depends on
  nothing but the history. The authors draw both anew for each question;
- what came passes the same norm as the history before it is diffused, so that it is as long as the noise: product
  vectors are shorter here than the authors';
- the block is that of the other transformers, with places, which the authors' code leaves out;
- each window is cut at some of its places (`cut_places`), not at all of them.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.backbones.sequences.encoders import Asks, Encoder, EncoderConfig, Transformer

N_STEPS = 32
"""N: steps from a product to noise and back; asking takes a pass of the transformer for each."""
UNCERTAINTY = 0.001
"""delta: lambda is drawn from a normal distribution of this mean and spread, for each place and direction."""
_SCALE = 1000
"""Steps that schedule and step embedding are laid out for, whatever N is."""
_PERIOD = 10_000
"""Longest wave of the step embedding."""


class DiffuRec(Encoder):
    """What comes after the last place, from all places and a guess that is refined.

    Args:
        config: widths; the paper has 4 layers of width 128 and 4 heads.
        n_steps: N.
        uncertainty: delta.
    """

    asks = Asks.LAST

    def __init__(self, config: EncoderConfig, n_steps: int = N_STEPS, uncertainty: float = UNCERTAINTY) -> None:
        super().__init__(config)
        d = config.embedding_size
        self.n_steps, self.uncertainty = n_steps, uncertainty
        self.dropout, self.first_norm, self.norm = nn.Dropout(config.dropout), nn.LayerNorm(d), nn.LayerNorm(d)
        self.step = nn.Sequential(nn.Linear(d, 4 * d), nn.SiLU(), nn.Linear(4 * d, d))
        self.transformer = Transformer(config)
        self.noise: Tensor
        self.register_buffer("noise", torch.randn(n_steps, d))  # of asking: the start, then of steps 1 to N - 1
        self.betas, self.kept, self.waves = (nn.Buffer(it, persistent=False) for it in _tables(n_steps, d))

    def taught(self, vectors: Tensor, history: Tensor, came: Tensor) -> Tensor:
        """As `Encoder`: from what came, diffused to a step that is drawn for each row."""
        step = torch.randint(self.n_steps, (len(came),), device=came.device)
        guess = self.diffused(self.first_norm(came), step, torch.randn_like(came))
        weight = self.uncertainty * (1 + torch.randn_like(vectors))
        return self.approximated(vectors, history, guess, step, weight)

    def forward(self, vectors: Tensor, history: Tensor) -> Tensor:
        """As `Encoder`: noise taken back through all steps. The last step's mean is the approximator's word alone."""
        guess, weight = self.noise[0].expand(len(vectors), -1), torch.tensor(self.uncertainty, device=vectors.device)
        for s in range(self.n_steps - 1, 0, -1):
            step = torch.full((len(vectors),), s, device=vectors.device)
            said = self.approximated(vectors, history, guess, step, weight)[:, -1]
            guess = self.step_back(said, guess, s) + self.betas[s].sqrt() * self.noise[s]
        return self.approximated(vectors, history, guess, torch.zeros_like(history[:, 0]), weight)

    def diffused(self, x: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        """x_s (B, d) of x_0 (B, d) at steps (B,) with noise (B, d)."""
        kept = self.kept[step].unsqueeze(-1)
        return kept.sqrt() * x + (1 - kept).sqrt() * noise

    def approximated(self, vectors: Tensor, history: Tensor, guess: Tensor, step: Tensor, weight: Tensor) -> Tensor:
        """Features (B, T, d), the last of them x_0, from guesses x_s (B, d) at steps (B,); lambda (B, T, d) or ()."""
        added = (guess + self.step(self.waves[step])).unsqueeze(1)
        z = self.first_norm(self.dropout(vectors)) + weight * added
        known = (history != 0).unsqueeze(1).expand(-1, history.shape[1], -1)
        result: Tensor = self.norm(self.dropout(self.transformer(z, known)))
        return result

    def step_back(self, said: Tensor, guess: Tensor, s: int) -> Tensor:
        """Mean of x_{s-1} (B, d) between x_s (B, d) and x_0 as the approximator says it (B, d); s is at least 1."""
        beta, kept, before = self.betas[s], self.kept[s], self.kept[s - 1]
        return (beta * before.sqrt() * said + (1 - before) * (1 - beta).sqrt() * guess) / (1 - kept)


def truncated_linear(n_steps: int) -> np.ndarray:
    """(N,) beta of each step, rising in a line, and one that ends far lower where that would end above 1."""
    scale = _SCALE / n_steps
    first, last = 1e-4 * scale + 0.01, 0.02 * scale + 0.01
    return np.linspace(first, last if last <= 1 else 1e-3 * scale + 0.01, n_steps)


def _tables(n_steps: int, d: int) -> tuple[Tensor, Tensor, Tensor]:
    """(N,) beta and (N,) a of each step, and (N, d) its waves, which are embedded."""
    betas, half = truncated_linear(n_steps), d // 2
    rates = torch.exp(-math.log(_PERIOD) * torch.arange(half) / half)
    angles = torch.arange(n_steps).unsqueeze(1) * _SCALE / n_steps * rates
    waves = functional.pad(torch.cat([angles.cos(), angles.sin()], dim=1), (0, d - 2 * half))
    return torch.from_numpy(betas).float(), torch.from_numpy(np.cumprod(1 - betas)).float(), waves
