"""The proof as a picture: what the method gains over each control and each peer, split by split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_COLOURS = {"against_controls": "#2a6f97", "against_peers": "#c8553d"}


def draw(figures: dict[str, Any], path: Path) -> None:
    """Paired differences of test RMSE with 95 % intervals, one panel per split; left of zero the method is better.

    Draws nothing where no split has it beside another.
    """
    from matplotlib.figure import Figure

    gaps = {split: found for split, content in figures["splits"].items() if (found := _gaps(content))}
    if not gaps:
        return
    picture = Figure(figsize=(5.2 * len(gaps), 0.32 * max(map(len, gaps.values())) + 1.8))
    for axis, (split, found) in zip(picture.subplots(1, len(gaps), squeeze=False)[0], gaps.items(), strict=True):
        for place, (_, gap, colour) in enumerate(found[::-1]):
            low, high = gap["interval95"]
            axis.plot([low, high], [place, place], color=colour, alpha=0.45, linewidth=3)
            axis.plot(gap["b_minus_a"], place, "o", color=colour)
            axis.text(
                1.02, place, f"{gap['b_minus_a']:+.4f}", transform=axis.get_yaxis_transform(), va="center", size=8
            )
        axis.set_yticks(range(len(found)), [name for name, _, _ in found[::-1]])
        axis.axvline(0, color="#999999", linewidth=1, zorder=0)
        axis.set_title(split)
        axis.set_xlabel(f"test RMSE of `{figures['splits'][split]['compared']}` minus that of the other")
    picture.tight_layout()
    picture.savefig(path, dpi=120)


def _gaps(content: dict[str, Any]) -> list[tuple[str, dict[str, Any], str]]:
    """Name, difference and colour of each comparison of a split."""
    return [
        (name, compared["rmse"], colour)
        for kind, colour in _COLOURS.items()
        for name, compared in content[kind].items()
    ]
