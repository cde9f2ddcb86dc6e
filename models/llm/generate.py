"""Buys answers: asks the ledger first, the engine for the rest, and records each answer as it arrives.

A crash or Ctrl-C at any moment loses at most the answers that were being written; the same call again buys only
what is missing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from features.errors import GenerationError
from features.ledger import Ledger
from features.types import Completion, FinishReason, TextRequest
from models.base import Progress, silent
from models.llm.client import TextEngine

PORTION = 256
"""Most requests handed to the engine at a time under a token budget, which is checked after each answer."""
FIRST_PORTION = 32
"""Requests whose answers tell what one takes."""


@dataclass(frozen=True)
class Budget:
    """What one call may buy at most. None means any amount; tokens are prompt and completion tokens together."""

    calls: int | None = None
    tokens: int | None = None


@dataclass(frozen=True)
class GenerationReport:
    """What a call to `generate` returned and what it cost.

    `asked` counts distinct requests: it is from_ledger + known_failures + made + unasked. Tokens are those
    of the answers made now; `failed` says how the unusable ones among them ended.
    """

    completions: Mapping[str, Completion]
    """Usable answers by request key."""
    asked: int
    from_ledger: int
    known_failures: int
    """Requests that failed in an earlier call and were not asked again."""
    made: int
    failed: Mapping[FinishReason, int]
    unasked: int
    """Requests left over because the budget was used up."""
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    """Wall clock of the whole call."""

    @property
    def complete(self) -> bool:
        """Whether every request has an answer, usable or not."""
        return self.unasked == 0


def generate(
    requests: Sequence[TextRequest],
    engine: TextEngine,
    ledger: Ledger,
    progress: Progress = silent,
    budget: Budget | None = None,
    retry_failed: bool = False,
) -> GenerationReport:
    """Answers requests, each distinct one at most once.

    Args:
        requests: any; equal ones are asked once.
        engine: answers what the ledger does not know.
        ledger: is asked first and records every new answer at once.
        progress: called with ("texts", answered, distinct requests).
        budget: what may be bought at most.
        retry_failed: asks again what failed before; without a new seed or prompt a greedy model fails again.

    Raises:
        GenerationError: the engine cannot be reached, broke the protocol or is not the requests' model.
        StoreError: the ledger cannot be read or written.
    """
    started = time.perf_counter()
    distinct = {request.key: request for request in requests}
    _check_model(distinct.values(), engine)
    known = ledger.find(distinct)
    failed_before = {} if retry_failed else ledger.failed(distinct)
    missing = [request for key, request in distinct.items() if key not in known and key not in failed_before]
    settled, made = len(distinct) - len(missing), list[Completion]()
    progress("texts", settled, len(distinct))
    for completion in _bought(missing, engine, ledger, budget or Budget()):
        made.append(completion)
        progress("texts", settled + len(made), len(distinct))
    usable = {answer.request_key: answer for answer in made if answer.finish is FinishReason.STOP}
    return GenerationReport(
        completions={**known, **usable},
        asked=len(distinct),
        from_ledger=len(known),
        known_failures=len(failed_before),
        made=len(made),
        failed=dict(Counter(answer.finish for answer in made if answer.finish is not FinishReason.STOP)),
        unasked=len(missing) - len(made),
        prompt_tokens=sum(answer.prompt_tokens for answer in made),
        completion_tokens=sum(answer.completion_tokens for answer in made),
        seconds=time.perf_counter() - started,
    )


def _bought(missing: list[TextRequest], engine: TextEngine, ledger: Ledger, budget: Budget) -> Iterator[Completion]:
    """New answers, each already recorded; stops at the budget.

    An engine answers a portion in an order of its own, so under a token budget a portion is no larger than what is
    left for it: what is then left over is the end of `missing`, not its longest prompts.
    """
    tokens, done, wanted = 0, 0, missing[: budget.calls]
    while done < len(wanted):
        portion = _portion(budget.tokens, tokens, done) if budget.tokens is not None else len(wanted)
        open_requests = {request.key: request for request in wanted[done : done + portion]}
        done += len(open_requests)
        for completion in engine.complete(list(open_requests.values())):
            request = open_requests.pop(completion.request_key, None)
            if request is None:
                raise GenerationError(
                    f"The engine {engine.identity.name} answered {completion.request_key}, which is not open.",
                    "An engine gives exactly one answer to each request.",
                )
            ledger.record(request, completion)
            tokens += completion.prompt_tokens + completion.completion_tokens
            yield completion
            if budget.tokens is not None and tokens >= budget.tokens:
                return
        if open_requests:
            raise GenerationError(
                f"The engine {engine.identity.name} left {len(open_requests)} requests without an answer, "
                f"the first about {next(iter(open_requests.values())).subject!r}.",
                remedy="Run it again: all answers received so far are in the ledger.",
            )


def _portion(budget: int, spent: int, made: int) -> int:
    """How many requests the rest of a token budget will pay for, at what the answers so far took."""
    return min(max((budget - spent) * made // max(spent, 1), 1), PORTION) if made else FIRST_PORTION


def _check_model(requests: Iterable[TextRequest], engine: TextEngine) -> None:
    """An answer under the key of another model would be a lie in the ledger."""
    for request in requests:
        if request.model != engine.identity:
            raise GenerationError(
                f"The request about {request.subject!r} is for {request.model}.",
                f"The engine is {engine.identity}.",
                "Build requests with the identity of the engine that answers them.",
            )
