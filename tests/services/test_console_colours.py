"""The console's colours: what is written can be read, in light and in dark (WCAG 2.2, criterion 1.4.3)."""

from __future__ import annotations

import re

import pytest

from services.pages import CONSOLE

LEAST = 4.5
"""Contrast of text of normal size."""
WRITTEN_ON = {
    "ink": ("page", "card", "for-back", "against-back", "bad-back"),
    "soft": ("page", "card", "for-back", "against-back"),
    "accent": ("page", "card", "for-back", "against-back"),
    "page": ("accent",),
    "card": ("for",),
    "for": ("for-back", "card"),
    "against": ("against-back", "card"),
}
"""Colours of text, and of what it stands on."""


def schemes() -> dict[str, dict[str, str]]:
    """The colours by name, light and dark."""
    roots = re.findall(r":root \{(.*?)\}", (CONSOLE / "console.css").read_text(), re.DOTALL)
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6})", root)) for root in roots)
    return {"light": light, "dark": dark}


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    shares = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (it / 12.92 if it <= 0.04045 else ((it + 0.055) / 1.055) ** 2.4 for it in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """From 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_black_on_white_is_as_much_as_there_is() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(scheme: str) -> None:
    colours = schemes()[scheme]
    poor = {
        f"{text} on {back}": round(contrast(colours[text], colours[back]), 2)
        for text, backs in WRITTEN_ON.items()
        for back in backs
        if contrast(colours[text], colours[back]) < LEAST
    }
    assert poor == {}
