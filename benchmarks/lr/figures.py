"""The proof as a picture: RMSE of every variant with its interval, split by split."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def draw(figures: dict[str, Any], path: Path) -> None:
    """Bars of RMSE with 95 % intervals, one panel per split; the full method's value as a line."""
    from matplotlib.figure import Figure

    splits = figures["splits"]
    picture = Figure(figsize=(5.2 * len(splits), 0.32 * max(len(s["variants"]) for s in splits.values()) + 1.6))
    axes = picture.subplots(1, len(splits), squeeze=False)[0]
    for axis, (name, found) in zip(axes, splits.items(), strict=True):
        variants = list(found["variants"].items())[::-1]
        values = [figures["mean"]["rmse"] for _, figures in variants]
        spans = [figures["mean"]["interval95"]["rmse"] for _, figures in variants]
        reach = [
            [value - low for value, (low, _) in zip(values, spans, strict=True)],
            [high - value for value, (_, high) in zip(values, spans, strict=True)],
        ]
        axis.errorbar(values, range(len(values)), xerr=reach, fmt="o", color="#2a6f97", ecolor="#a9c6d8", capsize=2)
        axis.set_yticks(range(len(values)), [name for name, _ in variants])
        if "full" in found["variants"]:
            axis.axvline(found["variants"]["full"]["mean"]["rmse"], color="#bbbbbb", linewidth=1, zorder=0)
        axis.set_title(name)
        axis.set_xlabel("test RMSE, 95 % over consumers")
    picture.tight_layout()
    picture.savefig(path, dpi=120)
