"""Both sides of the argument of pairs, and LANE's four steps, worded now: by a run's engine, ledger and gates.

There is a deadline, and a few pairs are worded at a time: whoever waits for longer than they may gets the release's
texts and is told why. What the model says after that is not lost: it is in the ledger, and the next who asks has it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from threading import Lock
from typing import Any, TypeVar

from features.ledger import Ledger
from features.types import STANCES, Completion, EntityKind, Explanation, TextRequest
from models.explanations.pairs import Pair, pair_requests, parse_pairs
from models.explanations.published import Published
from models.explanations.retry import second_requests
from models.explanations.steps import Grounds, Steps, read_steps, steps_request
from models.llm.client import TextEngine
from models.llm.generate import generate

logger = logging.getLogger(__name__)

Item, Result = TypeVar("Item"), TypeVar("Result")

NO_FACTS = "there are no facts to argue both sides from"
NO_HISTORY = "nothing is known that the consumer chose before"
TOO_SMALL = "the steps are asked of a language model behind a server only: the embedded one repeats the question"
REFUSED = "the model's words did not pass the gates"
LATE = "the model did not answer in time; asked again, it may have"
FAILED = "the model could not be asked"
TOGETHER = 4
"""Pairs that are worded at once: more would be quicker in all, but the first of them would be there later."""


@dataclass(frozen=True)
class Worded:
    """The texts in the order of `STANCES`; without any, why there are none."""

    texts: tuple[Explanation, ...]
    note: str = ""


@dataclass(frozen=True)
class Stepped:
    """The four steps; without them, why there are none."""

    steps: Steps | None
    note: str = ""


class LiveExplainer:
    """Words pairs from the facts of a release, and steps from their grounds. Safe to call from several threads."""

    def __init__(
        self, published: Published, open_engine: Callable[[], TextEngine], ledger_url: str, words_steps: bool = True
    ) -> None:
        """Opens nothing yet: the engine is opened by the first who asks, within their deadline.

        Args:
            published: of the release.
            open_engine: opens what answers.
            ledger_url: where answers are kept.
            words_steps: whether what answers is up to the four steps; asking it in vain would keep others waiting.
        """
        self._published, self._open_engine, self._ledger_url = published, open_engine, ledger_url
        self._words_steps = words_steps
        self._worker = ThreadPoolExecutor(1, "explain-live")
        self._open: dict[Hashable, Future[Any]] = {}
        self._lock = Lock()

    def explain(self, consumer_id: str, product_ids: Sequence[str], at: datetime, seconds: float) -> tuple[Worded, ...]:
        """Both sides for a consumer and each product, in the order of the products.

        Args:
            consumer_id, product_ids: the pairs; those first are worded first.
            at: when it is asked; facts are from before.
            seconds: how long the caller waits, for the engine, those before them and the answers together.
        """
        pairs = [self._pair(consumer_id, product_id, at) for product_id in product_ids]
        promises = self._promised({_name(pair): pair for pair in pairs}, self._word, Worded((), FAILED))
        wait(promises.values(), seconds)
        return tuple(_kept(promises[_name(pair)], Worded((), LATE)) for pair in pairs)

    def steps(self, grounds: Grounds, seconds: float) -> Stepped:
        """The four steps of one recommendation, with `seconds` as in `explain`."""
        if not self._words_steps:
            return Stepped(None, TOO_SMALL)
        if not grounds.history:
            return Stepped(None, NO_HISTORY)
        name = (grounds.preferences, grounds.history, grounds.title)
        (promise,) = self._promised({name: grounds}, self._word_steps, Stepped(None, FAILED)).values()
        wait([promise], seconds)
        return _kept(promise, Stepped(None, LATE))

    def _promised(
        self, items: Mapping[Hashable, Item], word: Callable[[Sequence[Item]], Sequence[Result]], failed: Result
    ) -> dict[Hashable, Future[Result]]:
        """Starts the work, except on items that are being worded already: impatient callers do not queue up."""
        with self._lock:
            new = {name: item for name, item in items.items() if name not in self._open}
            self._open |= {name: Future() for name in new}
            promises = {name: self._open[name] for name in items}
        names = list(new)
        for start in range(0, len(names), TOGETHER):
            some = {name: new[name] for name in names[start : start + TOGETHER]}
            self._worker.submit(self._keep_promises, some, word, failed)
        return promises

    def _keep_promises(
        self, items: Mapping[Hashable, Item], word: Callable[[Sequence[Item]], Sequence[Result]], failed: Result
    ) -> None:
        try:
            worded = word(list(items.values()))
        except Exception:  # whatever an engine or the ledger raises: the release's texts are still there
            logger.exception("what was asked for live could not be worded")
            worded = [failed] * len(items)
        with self._lock:
            promises = [self._open.pop(name) for name in items]
        for promise, result in zip(promises, worded, strict=True):
            promise.set_result(result)

    def _pair(self, consumer_id: str, product_id: str, at: datetime) -> Pair:
        consumer = self._published.side(EntityKind.CONSUMER, consumer_id)
        product = self._published.side(EntityKind.PRODUCT, product_id)
        known = [tuple(fact for fact in side.facts.values() if fact.evidence_time < at) for side in (consumer, product)]
        return Pair(consumer_id, product_id, product.title, at, known[0], known[1])

    def _word(self, pairs: Sequence[Pair]) -> list[Worded]:
        requests = [pair_requests(pair, self._engine.identity) for pair in pairs]
        if not any(requests):
            return [Worded((), NO_FACTS)] * len(pairs)
        started = time.monotonic()
        texts = self._texts(pairs, [request for asked in requests for request in asked])
        logger.info("%d pairs were worded in %.1f s", len(pairs), time.monotonic() - started)
        return [_worded(pair, bool(asked), texts) for pair, asked in zip(pairs, requests, strict=True)]

    def _texts(self, pairs: Sequence[Pair], requests: Sequence[TextRequest]) -> Sequence[Explanation]:
        """What passes the gates; a refused line is asked for once more."""
        with Ledger(self._ledger_url) as ledger:
            completions = self._ask(requests, ledger)
            parsed = parse_pairs(pairs, completions, self._engine.identity)
            if again := second_requests(parsed.rejected):
                completions = {**completions, **self._ask(again, ledger)}
                parsed = parse_pairs(pairs, completions, self._engine.identity)
        return parsed.texts

    def _word_steps(self, every: Sequence[Grounds]) -> list[Stepped]:
        requests = [steps_request(grounds, self._engine.identity) for grounds in every]
        with Ledger(self._ledger_url) as ledger:
            completions = self._ask(requests, ledger)
        read = [
            read_steps(completions.get(request.key), grounds) for request, grounds in zip(requests, every, strict=True)
        ]
        return [Stepped(steps, "" if steps else REFUSED) for steps in read]

    def _ask(self, requests: Sequence[TextRequest], ledger: Ledger) -> Mapping[str, Completion]:
        return generate(requests, self._engine, ledger).completions

    @cached_property
    def _engine(self) -> TextEngine:
        return self._open_engine()


def _name(pair: Pair) -> tuple[str, str]:
    return pair.consumer_id, pair.product_id


def _kept(promise: Future[Result], late: Result) -> Result:
    return promise.result() if promise.done() else late


def _worded(pair: Pair, asked: bool, texts: Sequence[Explanation]) -> Worded:
    """What became of one pair: both sides, or none."""
    if not asked:
        return Worded((), NO_FACTS)
    own = tuple(text for text in texts if (text.consumer_id, text.product_id) == _name(pair))
    return Worded(own) if len(own) == len(STANCES) else Worded((), REFUSED)
