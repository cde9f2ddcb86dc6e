"""Chooses the language model from the host's settings."""

from __future__ import annotations

from features.settings import HostSettings
from models.llm.client import TextEngine


def open_engine(settings: HostSettings) -> TextEngine:
    """The file of COUNTERPOINT_TEXTS if there is one, else the server of COUNTERPOINT_LLM_URL, else the embedded model.

    Raises GenerationError, with the remedy, if none is there, and InputError if the file cannot be used.
    """
    if settings.texts:
        from models.llm.imported import ImportEngine

        return ImportEngine(settings.texts)
    if settings.llm_url:
        from models.llm.http import HttpEngine

        limits = (settings.llm_concurrency, settings.llm_timeout)
        return HttpEngine(settings.llm_url, settings.llm_model, settings.llm_key, *limits)
    from models.llm.weights import find_weights

    find_weights()  # before torch is loaded, so that the usual error comes at once
    from models.llm.adapter import find_adapter
    from models.llm.local import EmbeddedEngine

    return EmbeddedEngine(settings.models, device=_best_device(), adapter=find_adapter(settings.llm_adapter))


def _best_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
