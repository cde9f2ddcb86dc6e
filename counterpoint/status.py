"""`counterpoint status`, for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from models.status import FailureState, LedgerState, StageState, Status

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod
    from rich.table import Table


def show_status(state: Status, home: Path, console: Console | None = None) -> None:
    """Prints it for people; `home`: the folder that it is of."""
    from rich.console import Console
    from rich.markup import escape

    console = console or Console()
    console.print(f"\n[bold]{escape(str(home))}[/]  live release: {state.live_release or 'none yet'}\n")
    console.print(_stage_table(state.stages))
    console.print()
    console.print(_ledger_table(state.ledger))
    if state.ledger.failures:
        console.print()
        console.print(_failure_table(state.ledger.failures))
    console.print()


def _stage_table(stages: list[StageState]) -> Table:
    table = _table("Stages", ("stage", "left"), ("finished (UTC)", "left"), ("seconds", "right"), ("peak MB", "right"))
    table.add_column("last run")
    for stage in stages:
        found = "found it done" if stage.found_done else "did it"
        at = f"{stage.finished_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(stage.stage, at, f"{stage.seconds:,.1f}", f"{stage.peak_memory_mb:,.0f}", found)
    return table


def _ledger_table(ledger: LedgerState) -> Table:
    """Each line answers a question: how often was it asked, what had to be bought, what did that take."""
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in ledger.by_kind.items())
    table = _table("Language model", ("", "left"), ("", "right"), ("", "left"))
    table.show_header = False
    table.add_row("asked", f"{ledger.asked:,}", "requests of all runs")
    table.add_row("hit rate", f"{ledger.hit_rate:.1%}", f"{ledger.from_ledger:,} of them from the ledger")
    table.add_row("bought", f"{ledger.answers:,}", f"answers{f': {kinds}' if kinds else ''}")
    table.add_row("usable", f"{ledger.usable:,}", "answers that can be served")
    tokens = ledger.prompt_tokens + ledger.completion_tokens
    table.add_row("tokens", f"{tokens:,}", f"{ledger.prompt_tokens:,} read, {ledger.completion_tokens:,} written")
    table.add_row("seconds", f"{ledger.seconds:,.0f}", "of the model, summed over answers")
    if ledger.spend is not None:
        table.add_row("spend", f"{ledger.spend:,.2f}", "by COUNTERPOINT_LLM_PRICE")
    return table


def _failure_table(failures: list[FailureState]) -> Table:
    from rich.markup import escape

    table = _table("Bought and not usable", ("ending", "left"), ("answers", "right"), ("cause", "left"))
    for failure in failures:
        table.add_row(failure.finish, f"{failure.answers:,}", escape(failure.cause) or "not said")
    return table


def _table(title: str, *columns: tuple[str, JustifyMethod]) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading, justify in columns:
        table.add_column(heading, justify=justify)
    return table
