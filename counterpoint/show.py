"""Results and recommendations printed for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import BaseModel

    from flows.evaluate import Measure
    from flows.evaluate_explanations import ExplanationQuality
    from flows.search import SearchResult
    from services.schemas import RecommendResponse


def show_result(result: BaseModel) -> None:
    """What a command did, as a two-column table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in result.model_dump(mode="json").items():
        if value not in ("", None, {}, []):
            table.add_row(name.replace("_", " "), _readable(value))
    Console().print(table)


def _readable(value: object) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_readable(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "\n".join(_readable(item) for item in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def show_quality(judged: ExplanationQuality) -> None:
    """The measures of explanations, one row each, beside those of texts that know nothing of their pair."""
    from rich.console import Console
    from rich.table import Table

    title = f"{judged.texts} texts of {judged.pairs} held-out pairs, release {judged.release_id} (in %, 95 % interval)"
    table = Table(title=title, title_justify="left")
    table.add_column("measure", no_wrap=True, min_width=28)  # names are told apart by their ends
    for source in judged.metrics:
        table.add_column(source, justify="right")
    for name in next(iter(judged.metrics.values())):
        table.add_row(name, *(_percent(each.get(name)) for each in judged.metrics.values()))
    console = Console()
    console.print(table)
    console.print(f"Sides on which nothing was known to say: {judged.silent:.1%}. Plot: {judged.plot}")


def show_search(found: SearchResult) -> None:
    """What was tried of each model and what that gained; then the recipe, which a file of that name can hold."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=found.metric, title_justify="left")
    for heading in ("model", "trials", "failed", "seconds", "recipe's settings", "best"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for name, it in found.searched.items():
        start = f"{it.start:.4f}" if it.start is not None else "not in the space"
        table.add_row(name, str(it.trials), str(it.failed), f"{it.seconds:,.1f}", start, f"{it.best:.4f}")
    console = Console()
    console.print(table)
    if found.out:
        console.print(f"The recipe with the best settings is {found.out}.")
    else:
        console.print("\nThe recipe with the best settings:\n")
        console.print(found.recipe, markup=False, highlight=False, soft_wrap=True)


def _percent(measure: Measure | None) -> str:
    if measure is None or math.isnan(measure.value):
        return ""
    spread = f" ({100 * measure.low:.1f} to {100 * measure.high:.1f})" if measure.low < measure.high else ""
    return f"{100 * measure.value:.1f}{spread}"


def show_answer(answer: RecommendResponse) -> None:
    """Recommended products, each with the reason for, the reason against and the facts behind them."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console()
    console.print(f"\n[bold]Release {answer.release_id}[/], knows everything before {answer.as_of:%Y-%m-%d %H:%M} UTC")
    if answer.degraded:
        console.print(f"[yellow]Degraded: {answer.cause}[/]")
    if answer.cold:
        console.print("Nothing is known of this consumer: the products' own side and popularity speak.")
    for item in answer.items:
        chance = f", {item.click:.0%} likely to be liked" if item.click is not None else ""
        stars = f"{item.rating:.1f} stars expected" if item.rating is not None else "no score"
        console.print(f"\n[bold]{item.rank}. {item.title or item.product_id}[/]  {stars}{chance}")
        for reason in item.reasons:
            sign, colour = ("+", "green") if reason.stance == "for" else ("-", "red")
            line = Text(f"{sign} {reason.text or 'Nothing is known on this side.'}", style=colour)
            console.print(Padding(line, (0, 0, 0, 3)))
            for fact in reason.facts:
                console.print(Padding(Text(f"{fact.text} [{fact.fact_id}]", style="dim"), (0, 0, 0, 6)))
    console.print()
