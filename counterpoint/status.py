"""What this home has done, what it cost and what is live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel

from features.settings import HostSettings

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod
    from rich.table import Table

STAGES = ("ingest", "explain", "materialize", "train", "evaluate", "release")


class StageState(BaseModel):
    """One stage: when it last did work and what that took."""

    stage: str
    finished_at: str
    seconds: float
    peak_memory_mb: float
    found_done: bool


class FailureState(BaseModel):
    """How many bought answers could not be used for one cause."""

    finish: str
    cause: str
    answers: int


class LedgerState(BaseModel):
    """What the language model was asked and has answered so far, and what that cost.

    `answers` are all that were bought, `usable` those that can be served; `hit_rate` is the share of the requests
    `asked` that needed no buying. `spend` is money, where the host's settings give a price.
    """

    asked: int
    from_ledger: int
    hit_rate: float
    answers: int
    usable: int
    by_kind: dict[str, int]
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    spend: float | None
    failures: list[FailureState]


class Status(BaseModel):
    """Everything `counterpoint status` tells."""

    home: str
    stages: list[StageState]
    ledger: LedgerState
    live_release: str
    metrics: dict[str, float]


def read_status(settings: HostSettings) -> Status:
    """Reads the records of the stages, the ledger and the release store."""
    from flows.stage import StageLog
    from models.release import ReleaseStore

    records = [record for name in STAGES if (record := StageLog(settings.home / "stages").read(name))]
    live = ReleaseStore(settings.releases).live()
    return Status(
        home=str(settings.home),
        stages=[
            StageState(
                stage=record.stage,
                finished_at=f"{record.finished_at:%Y-%m-%d %H:%M:%S}",
                seconds=record.seconds,
                peak_memory_mb=record.peak_memory_mb,
                found_done=record.skipped,
            )
            for record in records
        ],
        ledger=_read_ledger(settings),
        live_release=live.release_id if live else "",
        metrics={metric.name: metric.value for metric in live.metrics} if live else {},
    )


def _read_ledger(settings: HostSettings) -> LedgerState:
    from features.ledger import Ledger

    with Ledger(settings.ledger_url) as ledger:
        summary = ledger.summary()
    price = settings.llm_price
    return LedgerState(
        asked=summary.asked,
        from_ledger=summary.from_ledger,
        hit_rate=round(summary.hit_rate, 4),
        answers=summary.answers,
        usable=summary.usable,
        by_kind={kind.kind: kind.answers for kind in summary.kinds},
        prompt_tokens=summary.prompt_tokens,
        completion_tokens=summary.completion_tokens,
        seconds=round(summary.seconds, 1),
        spend=round(price.of(summary.prompt_tokens, summary.completion_tokens), 4) if price else None,
        failures=[
            FailureState(finish=count.finish.value, cause=count.cause, answers=count.answers)
            for count in summary.failures
        ],
    )


def show_status(state: Status, console: Console | None = None) -> None:
    """Prints it for people."""
    from rich.console import Console
    from rich.markup import escape

    console = console or Console()
    console.print(f"\n[bold]{escape(state.home)}[/]  live release: {state.live_release or 'none yet'}\n")
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
        table.add_row(stage.stage, stage.finished_at, f"{stage.seconds:,.1f}", f"{stage.peak_memory_mb:,.0f}", found)
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
