"""The language model's work, a shard of requests at a time: one Prefect task each, resumed through the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect import task
from prefect.cache_policies import NO_CACHE

from features.ledger import Ledger
from features.types import Completion, FinishReason, TextRequest
from flows.artifacts import in_run
from models.base import Progress
from models.llm.generate import Budget, GenerationReport, generate

if TYPE_CHECKING:
    from models.llm.client import TextEngine


NOTHING = Budget(calls=0)
"""A budget for what the ledger knows already."""


@dataclass(frozen=True)
class Bought:
    """What the shards came to."""

    completions: Mapping[str, Completion]
    """Usable answers by request key."""
    failed: Mapping[str, FinishReason]
    """Unusable ones."""
    reports: Sequence[GenerationReport]

    @property
    def made(self) -> int:
        """Answers of the model."""
        return sum(report.made for report in self.reports)

    @property
    def prompt_tokens(self) -> int:
        """Of the answers made."""
        return sum(report.prompt_tokens for report in self.reports)

    @property
    def completion_tokens(self) -> int:
        """Of the answers made."""
        return sum(report.completion_tokens for report in self.reports)

    @property
    def seconds(self) -> float:
        """Wall clock."""
        return sum(report.seconds for report in self.reports)


def buy(
    requests: Sequence[TextRequest],
    engine: TextEngine,
    ledger_url: str,
    progress: Progress,
    budget: Budget,
    shard_size: int,
) -> Bought:
    """Has requests answered in their order, most valuable first, until the budget is used up; the ledger is free.

    Inside a flow run each shard is a task of its own, so its record tells how far a run came; elsewhere it is a plain
    call. Which requests a run may ask is decided by `models/explanations/plan.py`.
    """
    ask = _ask_task if in_run() else _ask
    reports: list[GenerationReport] = []
    with Ledger(ledger_url) as ledger:
        for start in range(0, len(requests), shard_size):
            rest = left(budget, reports)
            if rest.calls == 0 or rest.tokens == 0:
                break
            shard = _Shard(requests[start : start + shard_size])
            reports.append(ask(shard, engine, ledger, _Part(progress, start, len(requests)), rest))
        completions = {key: answer for report in reports for key, answer in report.completions.items()}
        completions |= ledger.find(request.key for request in requests if request.key not in completions)
        failed = ledger.failed(request.key for request in requests)
    return Bought(completions, failed, reports)


def left(budget: Budget, reports: Sequence[GenerationReport]) -> Budget:
    """What is left of a budget after some shards."""
    calls = sum(report.made for report in reports)
    tokens = sum(report.prompt_tokens + report.completion_tokens for report in reports)
    return budget.less(calls, tokens)


def joined(first: Bought, second: Bought) -> Bought:
    """Two purchases as one."""
    completions, failed = {**first.completions, **second.completions}, {**first.failed, **second.failed}
    return Bought(completions, failed, [*first.reports, *second.reports])


class _Shard:
    """Requests as one thing: Prefect looks into lists and dataclasses for futures, item by item."""

    def __init__(self, requests: Sequence[TextRequest]) -> None:
        self.requests = requests


class _Part:
    """Progress of a shard as progress of the whole."""

    def __init__(self, whole: Progress, before: int, total: int) -> None:
        self.whole, self.before, self.total = whole, before, total

    def __call__(self, what: str, done: int, _: int) -> None:
        self.whole(what, self.before + done, self.total)


def _ask(shard: _Shard, engine: TextEngine, ledger: Ledger, progress: _Part, budget: Budget) -> GenerationReport:
    return generate(shard.requests, engine, ledger, progress, budget)


_ask_task = task(name="texts", cache_policy=NO_CACHE)(_ask)
