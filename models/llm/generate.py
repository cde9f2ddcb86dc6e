"""Buys answers: asks the ledger first, the engine for the rest, and records each answer as it arrives.

A crash or Ctrl-C at any moment loses at most the answers that were being written; the same call again buys only
what is missing. Calls side by side on one ledger share the work: what one is buying, the others wait for.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from features.errors import GenerationError
from features.ledger import Ledger, Run
from features.types import Completion, FinishReason, TextRequest
from models.base import Progress, silent
from models.llm.client import TextEngine

PORTION = 2048
"""Requests reserved and handed to the engine at a time: many, since an engine runs dry at the end of each."""
WAIT_SECONDS = 0.2
"""Between two looks at what other runs are buying."""


@dataclass(frozen=True)
class Budget:
    """What one call may buy at most. None means any amount; tokens are prompt and completion tokens together."""

    calls: int | None = None
    tokens: int | None = None

    def less(self, calls: int, tokens: int) -> Budget:
        """What is left of it after so many calls and tokens."""
        return Budget(
            None if self.calls is None else max(self.calls - calls, 0),
            None if self.tokens is None else max(self.tokens - tokens, 0),
        )


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
    """Requests that failed in an earlier call, or in one side by side, and were not asked again."""
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
    portion: int = PORTION,
) -> GenerationReport:
    """Answers requests, each distinct one at most once.

    Args:
        requests: any; equal ones are asked once.
        engine: answers what the ledger does not know.
        ledger: is asked first and records every new answer at once.
        progress: called with ("texts", answered, distinct requests).
        budget: what may be bought at most.
        retry_failed: asks again what failed before; without a new seed or prompt a greedy model fails again.
        portion: how many requests are reserved at a time, and so kept from calls side by side.

    Raises:
        GenerationError: the engine cannot be reached, broke the protocol or is not the requests' model.
        StoreError: the ledger cannot be read or written.
    """
    started = time.perf_counter()
    distinct = {request.key: request for request in requests}
    _check_model(distinct.values(), engine)
    with ledger.run() as run:
        run.account(asked=len(distinct))
        buyer = _Buyer(engine, ledger, run, budget or Budget(), portion, ledger.mark() if retry_failed else 0)
        for settled in buyer.settle(list(distinct.values())):
            progress("texts", settled, len(distinct))
    return GenerationReport(
        completions=buyer.usable,
        asked=len(distinct),
        from_ledger=buyer.from_ledger,
        known_failures=buyer.known_failures,
        made=len(buyer.made),
        failed=dict(Counter(answer.finish for answer in buyer.made if answer.finish is not FinishReason.STOP)),
        unasked=len(distinct) - buyer.settled,
        prompt_tokens=sum(answer.prompt_tokens for answer in buyer.made),
        completion_tokens=sum(answer.completion_tokens for answer in buyer.made),
        seconds=time.perf_counter() - started,
    )


class _Buyer:
    """The state of one call: what is settled so far, by the ledger or by the engine.

    Args:
        engine, ledger, run, budget, portion: of the call.
        failed_after: what failed up to this mark of the ledger may be asked again.
    """

    def __init__(
        self, engine: TextEngine, ledger: Ledger, run: Run, budget: Budget, portion: int, failed_after: int
    ) -> None:
        self.engine, self.ledger, self.run = engine, ledger, run
        self.budget, self.portion, self.failed_after = budget, portion, failed_after
        self.usable: dict[str, Completion] = {}
        self.made: list[Completion] = []
        self.tokens = self.from_ledger = self.known_failures = 0

    @property
    def settled(self) -> int:
        """Requests that need nothing more."""
        return self.from_ledger + self.known_failures + len(self.made)

    @property
    def room(self) -> int:
        """How many may be asked at once: none when the budget is used up.

        What is asked is paid for, so a budget in tokens is approached by what answers cost so far and never cut short;
        it is overdrawn by at most what the last portion cost more than expected.
        """
        calls, tokens = self.budget.calls, self.budget.tokens
        room = self.portion if calls is None else max(0, min(self.portion, calls - len(self.made)))
        if tokens is None or not room:
            return room
        left, n_known = tokens - self.tokens, len(self.made)
        affordable = min(2 * n_known, left * n_known // max(self.tokens, 1))
        return min(room, max(1, affordable)) if left > 0 else 0

    def settle(self, requests: list[TextRequest]) -> Iterator[int]:
        """Takes what the ledger knows and buys the rest, portion by portion; yields the number settled so far."""
        waiting, held = self._unknown(requests), list[TextRequest]()
        yield self.settled
        while waiting and (room := self.room):
            portion, waiting = waiting[:room], waiting[room:]
            self.run.free_the_dead()
            mine = self.run.reserve(request.key for request in portion)
            unknown = self._unknown(portion)  # again: another run may have recorded one and let go of its key
            held += [request for request in unknown if request.key not in mine]
            for _ in self._buy([request for request in unknown if request.key in mine]):
                yield self.settled
            if held and not waiting:
                time.sleep(WAIT_SECONDS)
                yield self.settled
                waiting, held = held, []

    def _unknown(self, requests: Sequence[TextRequest]) -> list[TextRequest]:
        """Takes what the ledger knows of those requests; returns the others."""
        keys = [request.key for request in requests]
        known, failed = self.ledger.find(keys), self.ledger.failed(keys, self.failed_after)
        if known or failed:
            self.usable.update(known)
            self.from_ledger += len(known)
            self.known_failures += len(failed)
            self.run.account(from_ledger=len(known), known_failures=len(failed))
        return [request for request in requests if request.key not in known and request.key not in failed]

    def _buy(self, requests: list[TextRequest]) -> Iterator[Completion]:
        """New answers, each already recorded."""
        open_requests = {request.key: request for request in requests}
        for completion in self.engine.complete(requests) if requests else ():
            request = open_requests.pop(completion.request_key, None)
            if request is None:
                raise GenerationError(
                    f"The engine {self.engine.identity.name} answered {completion.request_key}, which is not open.",
                    "An engine gives exactly one answer to each request.",
                )
            self.run.record(request, completion)
            self._take(completion)
            yield completion
        if open_requests:
            raise GenerationError(
                f"The engine {self.engine.identity.name} left {len(open_requests)} requests without an answer, "
                f"the first about {next(iter(open_requests.values())).subject!r}.",
                remedy="Run it again: all answers received so far are in the ledger.",
            )

    def _take(self, completion: Completion) -> None:
        self.made.append(completion)
        self.tokens += completion.prompt_tokens + completion.completion_tokens
        if completion.finish is FinishReason.STOP:
            self.usable[completion.request_key] = completion


def _check_model(requests: Iterable[TextRequest], engine: TextEngine) -> None:
    """An answer under the key of another model would be a lie in the ledger."""
    for request in requests:
        if request.model != engine.identity:
            raise GenerationError(
                f"The request about {request.subject!r} is for {request.model}.",
                f"The engine is {engine.identity}.",
                "Build requests with the identity of the engine that answers them.",
            )
