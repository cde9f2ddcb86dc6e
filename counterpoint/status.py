"""What this home has done, what it cost and what is live."""

from __future__ import annotations

from pydantic import BaseModel

from features.settings import HostSettings

STAGES = ("ingest", "explain", "materialize", "train", "evaluate", "release")


class StageState(BaseModel):
    """One stage: when it last did work and what that took."""

    stage: str
    finished_at: str
    seconds: float
    peak_memory_mb: float
    found_done: bool


class LedgerState(BaseModel):
    """What the language model has answered so far."""

    answers: int
    by_kind: dict[str, int]
    by_finish: dict[str, int]
    prompt_tokens: int
    completion_tokens: int
    seconds: float


class Status(BaseModel):
    """Everything `counterpoint status` tells."""

    home: str
    stages: list[StageState]
    ledger: LedgerState
    live_release: str
    metrics: dict[str, float]


def read_status(settings: HostSettings) -> Status:
    """Reads the records of the stages, the ledger and the release store."""
    from features.ledger import Ledger
    from flows.stage import StageLog
    from models.release import ReleaseStore

    records = [record for name in STAGES if (record := StageLog(settings.home / "stages").read(name))]
    with Ledger(settings.ledger_url) as ledger:
        summary = ledger.summary()
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
        ledger=LedgerState(
            answers=summary.answers,
            by_kind={kind.kind: kind.answers for kind in summary.kinds},
            by_finish={finish.value: count for finish, count in summary.finishes},
            prompt_tokens=summary.prompt_tokens,
            completion_tokens=summary.completion_tokens,
            seconds=round(summary.seconds, 1),
        ),
        live_release=live.release_id if live else "",
        metrics={metric.name: metric.value for metric in live.metrics} if live else {},
    )


def show_status(state: Status) -> None:
    """Prints it for people."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title=f"Stages in {state.home}", title_justify="left")
    for heading in ("stage", "finished (UTC)", "seconds", "peak MB", "last run"):
        table.add_column(heading, justify="right" if heading in ("seconds", "peak MB") else "left")
    for stage in state.stages:
        found = "found it done" if stage.found_done else "did it"
        table.add_row(stage.stage, stage.finished_at, f"{stage.seconds:.1f}", f"{stage.peak_memory_mb:.0f}", found)
    console.print(table)
    ledger = state.ledger
    console.print(
        f"Ledger: {ledger.answers} answers, {ledger.prompt_tokens + ledger.completion_tokens} tokens, "
        f"{ledger.seconds:.0f} s of the language model; by ending: {ledger.by_finish}"
    )
    console.print(f"Live release: {state.live_release or 'none yet'}")
