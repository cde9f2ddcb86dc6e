"""What a home has done, what it cost and what is live."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict

from features.ledger import Ledger
from features.settings import HostSettings
from features.stage_records import STAGES, read_record
from models.release import ReleaseStore


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class StageState(_Told):
    """One stage: when it last did work and what that took."""

    stage: str
    finished_at: AwareDatetime
    seconds: float
    peak_memory_mb: float
    found_done: bool


class FailureState(_Told):
    """How many bought answers could not be used for one cause."""

    finish: str
    cause: str
    answers: int


class LedgerState(_Told):
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


class Status(_Told):
    """Everything that `counterpoint status` and `GET /v1/status` tell; names no folder and nobody."""

    stages: list[StageState]
    ledger: LedgerState
    live_release: str
    metrics: dict[str, float]


def read_status(settings: HostSettings) -> Status:
    """Reads the records of the stages, the ledger and the release store."""
    records = [record for name in STAGES if (record := read_record(settings.home / "stages", name))]
    live = ReleaseStore(settings.releases).live()
    return Status(
        stages=[
            StageState(
                stage=record.stage,
                finished_at=record.finished_at,
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
