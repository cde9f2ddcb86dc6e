"""What the guard answers by itself: pages that need no release."""

from __future__ import annotations

from dataclasses import dataclass

from services.metrics import exposition


@dataclass(frozen=True)
class Page:
    """The answer to a GET."""

    content: bytes
    media_type: str
    policy: str = ""
    """Its Content-Security-Policy, if it needs more than nothing."""


def metrics_page() -> Page:
    """The metrics of now."""
    return Page(exposition(), "text/plain; version=0.0.4; charset=utf-8")
