"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Replaces a file in a step: readers see the old one or the new one, and who is killed leaves the old one.

    Args:
        path: its folder is made if it is missing.
        text: written in UTF-8.

    Raises:
        OSError: as `Path.write_text`; nothing half stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".half-{path.name}-{secrets.token_hex(4)}")
    try:
        half.write_text(text, encoding="utf-8")
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)
