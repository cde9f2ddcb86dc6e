"""Pictures of the console as a reader sees it, of a home with a live release.

    COUNTERPOINT_HOME=.counterpoint/demo python -m benchmarks.console

Needs Chromium. Asks for the consumer with the most interactions, says what they like in other words, and writes
`docs/images/console.png` (light), `console-dark.png`, and, where the release gives them, `console-steps.png`.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.browser import Tab, opened
from counterpoint.demo import busiest_consumer
from counterpoint.server import running_service
from features.settings import HostSettings

IMAGES = Path(__file__).parent.parent / "docs" / "images"
WIDTH, HEIGHT = 1200, 1250
SETTLE = 1.0
"""Seconds after which what was asked for at the side is drawn too."""


def main(
    words: Annotated[str, typer.Option(help="What the consumer likes, in other words.")] = (
        "You like a long cable that comes off."
    ),
    folder: Annotated[Path, typer.Option(help="Where the pictures go.")] = IMAGES,
) -> None:
    """Takes the pictures."""
    from flows.workspace import prepare_environment

    settings = HostSettings.from_environment()
    prepare_environment(settings)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made, running_service(settings, Path(made) / "service.log") as url:
        page = f"{url}/#/consumer/{busiest_consumer(settings)}/5"
        with opened(page, Path(made) / "browser", (WIDTH, HEIGHT)) as tab:
            tab.resize(WIDTH, HEIGHT)
            _reword(tab, words)
            for scheme, name in (("light", "console"), ("dark", "console-dark")):
                tab.prefer(scheme)
                tab.picture(folder / f"{name}.png")
            tab.prefer("light")
            if tab.value("document.querySelector('.steps') !== null"):
                _unfold_steps(tab)
                tab.picture(folder / "console-steps.png")


def _reword(tab: Tab, words: str) -> None:
    """Says the first taste in other words, and waits for the ranking."""
    tab.until("document.querySelector('.profile') !== null && document.querySelector('.product') !== null")
    tab.click(".profile > summary")
    tab.click(".reword > summary")
    tab.until("document.querySelector('.reword').open")
    tab.click(".reword input")
    tab.value("document.activeElement.select()")
    tab.press(words, "Enter")
    tab.until("document.querySelector('main').textContent.includes('What if: ')")
    time.sleep(SETTLE)
    tab.value("document.activeElement.blur(); scrollTo(0, 0)")


def _unfold_steps(tab: Tab) -> None:
    tab.click(".steps > summary")
    tab.until("document.querySelector('.four') !== null")
    tab.value("document.querySelector('.product').scrollIntoView()")


if __name__ == "__main__":
    typer.run(main)
