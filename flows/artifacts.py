"""Tables, texts and plots attached to the Prefect run; without a run (a stage called as a function) nothing is sent."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path


def attach_table(key: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Attaches a table, if there is a run."""
    if rows and in_run():
        from prefect.artifacts import create_table_artifact

        create_table_artifact(table=[{k: _plain(v) for k, v in row.items()} for row in rows], key=_slug(key))


def attach_text(key: str, markdown: str) -> None:
    """Attaches a markdown text, if there is a run."""
    if in_run():
        from prefect.artifacts import create_markdown_artifact

        create_markdown_artifact(markdown=markdown, key=_slug(key))


def attach_plot(key: str, picture: Path) -> None:
    """Attaches a PNG, if there is a run; the picture travels inside the artifact."""
    if in_run():
        from prefect.artifacts import create_image_artifact

        data = base64.b64encode(picture.read_bytes()).decode()
        create_image_artifact(image_url=f"data:image/png;base64,{data}", key=_slug(key), description=picture.name)


def in_run() -> bool:
    from prefect.context import FlowRunContext

    return FlowRunContext.get() is not None


def _slug(key: str) -> str:
    """Prefect's keys hold lower-case letters, digits and dashes alone."""
    return re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
