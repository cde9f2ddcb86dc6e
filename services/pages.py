"""What the guard answers by itself: pages that need no release."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from services.metrics import exposition

CONSOLE = Path(__file__).parent / "console"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Nothing from elsewhere, no inline script, and no text that becomes markup: the page shows what reviewers wrote.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


@dataclass(frozen=True)
class Page:
    """The answer to a GET."""

    content: bytes
    media_type: str
    policy: str = ""
    """Its Content-Security-Policy, if it needs more than nothing."""


MakePage = Callable[[], Page]


def metrics_page() -> Page:
    """The metrics of now."""
    return Page(exposition(), "text/plain; version=0.0.4; charset=utf-8")


def console_pages() -> dict[str, MakePage]:
    """The console's files by path, read once; its page is `/`."""
    files = {path.name: Page(path.read_bytes(), MEDIA_TYPES[path.suffix], POLICY) for path in CONSOLE.iterdir()}
    start = {"/": partial(_same, files.pop("index.html"))}
    return {**start, **{f"/console/{name}": partial(_same, page) for name, page in files.items()}}


def _same(page: Page) -> Page:
    return page
