"""The proof as pictures: what the method gains over each control and each peer, and where; one split at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

_COLOURS = {"against_controls": "#2a6f97", "against_peers": "#c8553d"}


def draw(split: str, content: dict[str, Any], path: Path) -> None:
    """Paired differences of test RMSE with 95 % intervals; left of zero the method is better.

    Draws nothing where the split does not have it beside another.
    """
    from matplotlib.figure import Figure

    gaps = _gaps(content)
    if not gaps:
        return
    picture = Figure(figsize=(5.6, 0.32 * len(gaps) + 1.8))
    axis = picture.subplots()
    for place, (_, gap, colour) in enumerate(gaps[::-1]):
        low, high = gap["interval95"]
        axis.plot([low, high], [place, place], color=colour, alpha=0.45, linewidth=3)
        axis.plot(gap["b_minus_a"], place, "o", color=colour)
        axis.text(1.02, place, f"{gap['b_minus_a']:+.4f}", transform=axis.get_yaxis_transform(), va="center", size=8)
    axis.set_yticks(range(len(gaps)), [name for name, _, _ in gaps[::-1]])
    axis.axvline(0, color="#999999", linewidth=1, zorder=0)
    axis.locator_params(axis="x", nbins=6)
    axis.set_title(split)
    axis.set_xlabel(f"test RMSE of `{content['compared']}` minus that of the other")
    picture.tight_layout()
    picture.savefig(path, dpi=120)


def _gaps(content: dict[str, Any]) -> list[tuple[str, dict[str, Any], str]]:
    """Name, difference and colour of each comparison of a split."""
    return [
        (name, compared["rmse"], colour)
        for kind, colour in _COLOURS.items()
        for name, compared in content[kind].items()
    ]


def draw_costs(figures: dict[str, Any], path: Path) -> None:
    """Test RMSE with its 95 % interval against requests, each arm by name; what takes no request is a line."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(7, 4.2))
    axis = picture.subplots()
    for name, arm in figures["arms"].items():
        rmse, (low, high) = arm["mean"]["rmse"], arm["mean"]["interval95"]["rmse"]
        if not arm["requests"]:
            axis.axhline(rmse, color="#999999", linewidth=1, linestyle="--", label=name)
            continue
        colour = _COLOURS["against_controls" if arm["entity_requests"] else "against_peers"]
        axis.plot([arm["requests"]] * 2, [low, high], color=colour, alpha=0.3, linewidth=3)
        axis.plot(arm["requests"], rmse, "o", color=colour)
        axis.annotate(name, (arm["requests"], high), xytext=(-3, 4), textcoords="offset points", rotation=55, size=8)
    axis.margins(x=0.12, y=0.3)  # room for the names
    axis.set(xscale="log", xlabel="requests to the language model", ylabel="test RMSE", title=figures["split"])
    axis.legend()
    picture.tight_layout()
    picture.savefig(path, dpi=120)


def draw_diagnostics(split: str, content: dict[str, Any], path: Path) -> None:
    """Learning curve, reliability, gain by difficulty, attention by uncertainty and gain by back end, as far as run.

    Draws nothing where nothing of it was.
    """
    from matplotlib.figure import Figure

    panels = [panel for panel, has in _PANELS if has(content)]
    if not panels:
        return
    picture = Figure(figsize=(4.2 * len(panels), 3.6))
    for axis, panel in zip(picture.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        panel(axis, content)
    picture.suptitle(split)
    picture.tight_layout()
    picture.savefig(path, dpi=120)


def curve_of(content: dict[str, Any], name: str) -> list[tuple[float, float]]:
    """Share of the training rows and RMSE of a variant, where both the whole and a part of them were run."""
    at = {found.partition("@")[2] or "1": figures for found, figures in content["variants"].items() if _is(found, name)}
    points = sorted((float(share), figures["mean"]["rmse"]) for share, figures in at.items())
    return points if len(points) > 1 else []


def _is(variant: str, name: str) -> bool:
    return variant.partition("@")[0] == name


def _curves(axis: Any, content: dict[str, Any]) -> None:
    for name, colour in _BOTH.items():
        points = curve_of(content, name)
        axis.plot(*zip(*points, strict=True), "o-", color=colour, label=name)
    axis.set(xlabel="share of training rows", ylabel="test RMSE", title="learning curve")
    axis.legend()


def _reliability(axis: Any, content: dict[str, Any]) -> None:
    axis.plot([0, 1], [0, 1], color="#999999", linewidth=1)
    for name, bins in content["reliability"].items():
        axis.plot(
            [each["predicted"] for each in bins], [each["liked"] for each in bins], "o-", color=_BOTH[name], label=name
        )
    axis.set(xlabel="predicted probability", ylabel="share liked", title="reliability")
    axis.legend()


def _difficulty(axis: Any, content: dict[str, Any]) -> None:
    for place, (kind, terciles) in enumerate(content["by_difficulty"].items()):
        at = [tercile + 0.4 * place - 0.2 for tercile in range(3)]
        axis.bar(at, [each["difference"] for each in terciles], 0.38, label=f"by {kind}")
    axis.set_xticks(range(3), ["easiest", "middle", "hardest"])
    axis.axhline(0, color="#999999", linewidth=1)
    axis.set(xlabel="third of the test rows", ylabel="RMSE of full minus no_expl", title="gain by difficulty")
    axis.legend()


def _attention(axis: Any, content: dict[str, Any]) -> None:
    for field, thirds in content["variants"]["full"]["attention_by_third"].items():
        is_text = field.startswith("e_")
        axis.plot(range(3), thirds, "o-", label=field, linewidth=2 if is_text else 1, alpha=1 if is_text else 0.5)
    axis.set_xticks(range(3), ["surest", "middle", "least sure"])
    axis.set(xlabel="third by what ratings leave unsure", ylabel="mean attention", title="attention of full")
    axis.legend(fontsize="small")


def _backends(axis: Any, content: dict[str, Any]) -> None:
    for place, gap in enumerate(content["backends"].values()):
        axis.plot([place, place], gap["interval95"], color=_COLOURS["against_controls"], alpha=0.45, linewidth=3)
        axis.plot(place, gap["b_minus_a"], "o", color=_COLOURS["against_controls"])
    axis.set_xticks(range(len(content["backends"])), list(content["backends"]))
    axis.axhline(0, color="#999999", linewidth=1)
    axis.set(xlabel="back end", ylabel="RMSE of full minus no_expl", title="gain by back end")


_BOTH = {"full": "#2a6f97", "no_expl": "#8a8a8a"}
_PANELS: tuple[tuple[Callable[[Any, dict[str, Any]], None], Callable[[dict[str, Any]], bool]], ...] = (
    (_curves, lambda content: all(curve_of(content, name) for name in _BOTH)),
    (_reliability, lambda content: bool(content.get("reliability"))),
    (_difficulty, lambda content: "by_difficulty" in content),
    (_attention, lambda content: "full" in content["variants"]),
    (_backends, lambda content: len(content.get("backends", ())) > 1),
)
"""What can be drawn, and when there is anything to draw."""
