"""The table as JSON, as Markdown and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.comparison.claims import Claim
from benchmarks.comparison.markdown import as_table, signed
from benchmarks.comparison.rows import Gap, Row

FAR = 10
"""Times the claimed gain, from which on a panel's outer part is drawn on a logarithmic scale."""
_GAINS = ("method", "dataset, split", "metric", "value", "gain over the backbone, 95 %", "relative", "paper",
          "controls beaten", "verdict")  # fmt: skip
_CONTROLS = ("method", "dataset, split", "metric", "over", "gain, 95 %", "relative")
_COSTS = ("method", "dataset, split", "seeds", "requests", "tokens", "seconds", "MB", "file")


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows with all their figures."""
    return [
        {
            "method": row.study.method,
            "dataset": row.dataset,
            "split": row.split,
            "variant": row.variant,
            "metric": row.metric,
            "value": row.value,
            "seeds": row.seeds,
            "backbone": _gap(row.backbone) if row.backbone else None,
            "controls": [_gap(gap) for gap in row.controls],
            "not_run": list(row.missing),
            "paper": {"claims": str(row.claim), "source": row.claim.source} if row.claim else None,
            "verdict": row.verdict,
            "cost": asdict(row.cost),
            "file": row.study.file,
            "commit": row.commit,
        }
        for row in rows
    ]


def _gap(gap: Gap) -> dict[str, Any]:
    return {
        "over": gap.over,
        "value": round(gap.value, 6),
        "interval95": [round(gap.low, 6), round(gap.high, 6)],
        "relative": round(gap.relative, 4),
    }


def as_markdown(rows: Sequence[Row]) -> str:
    """Gains, controls and costs as three tables."""
    gains = as_table(_GAINS, [_gain_cells(row) for row in rows])
    controls = [cells for row in rows for cells in _control_cells(row)]
    costs = {(row.study.file, row.split, row.variant): _cost_cells(row) for row in rows if row.gaps}
    return (
        f"{gains}\n\n### Each control\n\n{as_table(_CONTROLS, controls)}\n\n"
        f"### What one fit took\n\n{as_table(_COSTS, list(costs.values()))}"
    )


def _gain_cells(row: Row) -> list[str]:
    value = "" if row.value is None else f"{row.value:.4f}"
    gap, relative = (_interval(row.backbone), _percent(row.backbone)) if row.backbone else ("", "")
    beaten = sum(gap.low > 0 for gap in row.controls)
    controls = f"{beaten} of {len(row.study.controls)}" if row.gaps else ""
    verdict = f"**{row.verdict}**" if row.verdict in ("reproduced", "ahead") else row.verdict
    return [*_where(row), value, gap, relative, str(row.claim or ""), controls, verdict]


def _control_cells(row: Row) -> list[list[str]]:
    if not row.gaps:
        return []
    told = {gap.over: gap for gap in row.gaps}
    names = (row.study.backbone, *row.study.controls)
    return [
        [*_where(row), name, *((_interval(told[name]), _percent(told[name])) if name in told else ("not run", ""))]
        for name in names
    ]


def _cost_cells(row: Row) -> list[str]:
    cost = row.cost
    seconds = "" if cost.seconds is None else f"{cost.seconds:,.0f}"
    counts = ["" if it is None else f"{it:,}" for it in (row.seeds, cost.requests, cost.tokens)]
    memory = "" if cost.peak_memory_mb is None else f"{cost.peak_memory_mb:,}"
    link = f"[{Path(row.study.file).stem}](../../benchmarks/results/{row.study.file})"
    return [*_where(row)[:2], *counts, seconds, memory, link]


def _where(row: Row) -> list[str]:
    method = f"[{row.study.method}]({row.study.method}.md)"
    name = f"{method}, {row.variant}" if row.variant else method
    return [name, ", ".join(filter(None, (row.dataset, row.split))), row.metric]


def _interval(gap: Gap) -> str:
    return signed(gap.value, gap.low, gap.high)


def _percent(gap: Gap) -> str:
    return f"{gap.relative:+.1%}".replace("%", " %")


def draw(rows: Sequence[Row], path: Path) -> None:
    """Relative gains over backbone and controls with 95 % intervals, a panel per method; the claim as a band."""
    from matplotlib.figure import Figure

    drawn = [row for row in rows if row.gaps and row.metric == row.study.metrics[0]]
    panels = {
        name: [row for row in drawn if row.study.method == name]
        for name in dict.fromkeys(row.study.method for row in drawn)
    }
    heights = [sum(len(row.gaps) + 1 for row in found) for found in panels.values()]
    picture = Figure(figsize=(9, 0.23 * sum(heights) + 0.8 * len(panels)))
    axes = picture.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (name, found) in zip(axes, panels.items(), strict=True):
        claim = found[0].claim
        if claim:
            _draw_claim(axis, claim, max(abs(gap.relative) for row in found for gap in row.gaps))
        axis.axvline(0, color="#999999", linewidth=1)
        _draw_rows(axis, found)
        axis.set_title(f"{name}; paper: {claim}" if claim else name, loc="left", size=9)
    axes[-1].set_xlabel("gain in % of the other's figure, 95 % intervals; yellow: what the paper claims", size=8)
    picture.tight_layout()
    picture.savefig(path, dpi=110)


def _draw_claim(axis: Any, claim: Claim, furthest: float) -> None:
    """A band of what the paper claims; `furthest` is the largest relative gain or loss of the panel."""
    if furthest > FAR * claim.high:
        axis.set_xscale("symlog", linthresh=100 * claim.high)  # controls far behind must not hide small gains
        axis.xaxis.set_major_formatter("{x:g}")
    axis.axvspan(100 * claim.low, 100 * claim.high, color="#e9c46a", alpha=0.35, linewidth=0)
    axis.axvline(100 * claim.high, color="#e9c46a", linewidth=2)


def _draw_rows(axis: Any, rows: Sequence[Row]) -> None:
    names, place = [], 0
    for row in rows:
        where = ", ".join(filter(None, (row.dataset, row.split, row.variant, row.metric)))
        names.append((place, where))
        place -= 1
        for gap in row.gaps:
            colour = "#1b4965" if gap is row.backbone else "#5fa8d3"
            share = 100 / gap.other
            axis.plot([gap.low * share, gap.high * share], [place, place], color=colour, alpha=0.5, linewidth=3)
            axis.plot(gap.value * share, place, "o", color=colour, markersize=4)
            names.append((place, f"over {gap.over}"))
            place -= 1
    axis.set_yticks([at for at, _ in names], [name for _, name in names], size=7)
    for label, (_, name) in zip(axis.get_yticklabels(), names, strict=True):
        label.set_fontweight("normal" if name.startswith("over ") else "bold")
    axis.tick_params(axis="x", labelsize=7)
