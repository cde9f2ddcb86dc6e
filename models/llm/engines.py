"""Chooses the language model from the host's settings."""

from __future__ import annotations

from features.settings import HostSettings
from models.llm.client import TextEngine


def open_engine(settings: HostSettings) -> TextEngine:
    """A server if COUNTERPOINT_LLM_URL names one, else the embedded model.

    Raises GenerationError, with the remedy, if neither is there.
    """
    if settings.llm_url:
        from models.llm.http import HttpEngine

        return HttpEngine(settings.llm_url, settings.llm_model, settings.llm_key)
    from models.llm.weights import find_weights

    find_weights()  # before torch is loaded, so that the usual error comes at once
    from models.llm.adapter import find_adapter
    from models.llm.local import EmbeddedEngine

    return EmbeddedEngine(settings.models, device=_best_device(), adapter=find_adapter(settings.llm_adapter))


def _best_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
