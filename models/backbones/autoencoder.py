"""The explanation autoencoder: text vectors (d_t = 384) to explanation codes (d_e = 64) and back.

Source: LR-Recsys (Wang, Pan, Chen, arXiv 2502.16759) embeds explanations "via a fine-tuned autoencoder"; widths,
GELU, the LayerNorm on the code and the loss MSE + 0.1 (1 - cos) are our reading. Ours are two more terms, because a
ranker that has to see where the reasons of a consumer meet those of a product needs codes whose angles mean something,
and reconstruction alone does not ask for that: codes are as near to each other as their texts are, and texts that rest
on facts about the same thing are drawn together (supervised contrast: Khosla et al., NeurIPS 2020, eq. 2).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from features.batch import CODE_WIDTH, CONTENT_WIDTH
from features.errors import ReleaseError, TrainingError
from features.types import content_hash
from models.base import FitReport, MethodConfig, RunContext
from models.training import LoopSettings, fit_module, seeded

Vectors = NDArray[np.float32]
CHUNK = 8192
NO_TOPIC = -1


class AutoencoderConfig(MethodConfig):
    """Widths and training of the autoencoder."""

    text_width: int = CONTENT_WIDTH
    """d_t."""
    hidden_width: int = 256
    code_width: int = CODE_WIDTH
    """d_e."""
    lambda_cosine: float = 0.1
    lambda_likeness: float = 0.1
    """Weight of codes being as near to each other as their texts."""
    lambda_topic: float = 0.01
    """Weight of drawing texts of one topic together."""
    temperature: float = 0.1
    """Of the contrast between topics."""
    learning_rate: float = 1e-3
    batch_size: int = 256
    epochs: int = 50
    patience: int = 4
    held_out: float = 0.1
    """Share of the vectors kept for the report and for choosing the epoch."""


@dataclass(frozen=True)
class AutoencoderReport:
    """Held-out reconstruction loss of the untrained and of the trained autoencoder."""

    before: float
    after: float
    fit: FitReport

    @property
    def reduction(self) -> float:
        """Share of the reconstruction loss that training removed."""
        return 1 - self.after / self.before


class AutoencoderNetwork(nn.Module):
    """E: d_t -> hidden -> d_e with LayerNorm; D: d_e -> hidden -> d_t."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(config.text_width, config.hidden_width),
            nn.GELU(),
            nn.Linear(config.hidden_width, config.code_width),
            nn.LayerNorm(config.code_width),
        )
        self.decoder = nn.Sequential(
            nn.Linear(config.code_width, config.hidden_width),
            nn.GELU(),
            nn.Linear(config.hidden_width, config.text_width),
        )

    def forward(self, vectors: Tensor) -> Tensor:  # (B, d_t) -> (B, d_t)
        reconstructed: Tensor = self.decoder(self.encoder(vectors))
        return reconstructed


class Autoencoder:
    """A trained autoencoder: codes of text vectors, saved without pickle."""

    def __init__(self, config: AutoencoderConfig, network: AutoencoderNetwork) -> None:
        self.config, self.network = config, network.eval()

    def codes(self, vectors: Vectors) -> Vectors:
        """Explanation codes of text vectors: (N, d_t) -> (N, d_e) float32."""
        if not len(vectors):
            return np.zeros((0, self.config.code_width), np.float32)
        device = next(self.network.parameters()).device
        with torch.no_grad():
            parts = [
                self.network.encoder(part.to(device)).cpu()
                for part in torch.split(torch.tensor(vectors).float(), CHUNK)
            ]
        return torch.cat(parts).numpy()

    def reconstruction(self, vectors: Vectors) -> float:
        """Reconstruction loss on text vectors (N, d_t): how well the codes still tell such texts apart."""
        return _held_out_loss(self.network, torch.tensor(vectors).float(), self.config).item()

    @property
    def content_hash(self) -> str:
        """Hash of the config and of every weight; part of the version of all codes."""
        weights = {name: value.detach().cpu().numpy().tobytes().hex() for name, value in self._state().items()}
        return content_hash(self.config.model_dump(), weights)

    def save(self, folder: Path) -> None:
        """Writes autoencoder.safetensors and autoencoder.json into an existing folder."""
        from safetensors.torch import save_file

        save_file(self._state(), folder / "autoencoder.safetensors")
        (folder / "autoencoder.json").write_text(self.config.model_dump_json(indent=2))

    @classmethod
    def load(cls, folder: Path) -> Autoencoder:
        """Reads what `save` wrote. Raises ReleaseError if it is missing, damaged or does not fit."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            config = AutoencoderConfig.model_validate(json.loads((folder / "autoencoder.json").read_text()))
            network = AutoencoderNetwork(config)
            network.load_state_dict(load_file(folder / "autoencoder.safetensors"))
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise ReleaseError(
                f"The autoencoder in {folder} cannot be loaded: {error}.", remedy="Train and save it again."
            ) from error
        return cls(config, network)

    def _state(self) -> dict[str, Tensor]:
        return {name: value.contiguous() for name, value in self.network.state_dict().items()}


def train_autoencoder(
    vectors: Vectors, config: AutoencoderConfig, run: RunContext, topics: Sequence[str] | None = None
) -> tuple[Autoencoder, AutoencoderReport]:
    """Fine-tunes an autoencoder on the vectors of training texts.

    Args:
        vectors: (N, d_t) text vectors of explanations and facets seen in training, each text once.
        config: widths and training settings.
        run: seed, device and progress.
        topics: what each text is about, "" where nothing is known; by default nothing is.

    Returns:
        The autoencoder, and its held-out reconstruction before and after training.

    Raises:
        TrainingError: fewer than two vectors, another width than d_t, or a loss that is not finite.
    """
    if len(vectors) < 2 or vectors.shape[1] != config.text_width:
        raise TrainingError(
            f"The autoencoder was given vectors of shape {vectors.shape}.",
            f"It needs at least 2 rows of width {config.text_width}.",
            "Generate facets or explanations for the training period first.",
        )
    with seeded(run.seed):
        network, order = AutoencoderNetwork(config).to(run.device), torch.randperm(len(vectors))
        data = torch.tensor(vectors).float()[order].to(run.device)
        numbers = _numbered(topics or [""] * len(vectors))[order].to(run.device)
        n_held, middle = max(1, int(len(data) * config.held_out)), data.mean(0)
        held, rest = torch.arange(n_held), torch.arange(n_held, len(data))
        before = _held_out_loss(network, data[held], config).item()
        fit = fit_module(
            network,
            len(rest),
            lambda rows: _loss(network, data[rest[rows]], numbers[rest[rows]], middle, config),
            lambda: _loss(network, data[held], numbers[held], middle, config),
            LoopSettings(config.epochs, config.patience, config.batch_size, config.learning_rate, label="autoencoder"),
            run,
        )
        after = _held_out_loss(network, data[held], config).item()
    return Autoencoder(config, network.cpu()), AutoencoderReport(before, after, fit)


def reconstruction_loss(reconstructed: Tensor, vectors: Tensor, lambda_cosine: float) -> Tensor:
    """L_rec = MSE(D(E(h)), h) + lambda (1 - cos), mean over rows."""
    cosine = functional.cosine_similarity(reconstructed, vectors, dim=-1).mean()
    return functional.mse_loss(reconstructed, vectors) + lambda_cosine * (1 - cosine)


def likeness_loss(codes: Tensor, vectors: Tensor) -> Tensor:
    """Mean squared difference of the cosines among codes (B, d_e) and among their texts (B, d_t)."""
    codes, vectors = functional.normalize(codes, dim=-1), functional.normalize(vectors, dim=-1)
    return functional.mse_loss(codes @ codes.mT, vectors @ vectors.mT)


def topic_loss(codes: Tensor, topics: Tensor, temperature: float) -> Tensor:
    """Supervised contrast: mean over codes of -log of the share that codes of the same topic have in its company.

    Args:
        codes: (B, d_e).
        topics: (B,) numbers, `NO_TOPIC` for none. A code without another of its topic says nothing.
        temperature: of the softmax over cosines.
    """
    alone = torch.eye(len(codes), dtype=torch.bool, device=codes.device)
    same = (topics.unsqueeze(0) == topics.unsqueeze(1)) & (topics != NO_TOPIC).unsqueeze(1) & ~alone
    codes = functional.normalize(codes, dim=-1)
    shares = (codes @ codes.mT / temperature).masked_fill(alone, -torch.inf).log_softmax(-1)
    company = same.sum(1)
    told = -shares.masked_fill(~same, 0).sum(1) / company.clamp(min=1)
    return told.sum() / (company > 0).sum().clamp(min=1)


def _loss(
    network: AutoencoderNetwork, vectors: Tensor, topics: Tensor, middle: Tensor, config: AutoencoderConfig
) -> Tensor:
    """L = L_rec + lambda L_likeness + lambda L_topic of some texts; texts are compared by what sets them apart."""
    codes = network.encoder(vectors)
    loss = reconstruction_loss(network.decoder(codes), vectors, config.lambda_cosine)
    loss = loss + config.lambda_likeness * likeness_loss(codes, vectors - middle)
    return loss + config.lambda_topic * topic_loss(codes, topics, config.temperature)


def _numbered(topics: Sequence[str]) -> Tensor:
    """Topics as numbers, `NO_TOPIC` for ""."""
    numbers = {topic: number for number, topic in enumerate(sorted({*topics} - {""}))}
    return torch.tensor([numbers.get(topic, NO_TOPIC) for topic in topics])


def _held_out_loss(network: AutoencoderNetwork, held: Tensor, config: AutoencoderConfig) -> Tensor:
    with torch.no_grad():
        return reconstruction_loss(network(held), held, config.lambda_cosine)
