"""Both sides of one pair's argument, worded now: through the same engine, ledger and gates as a run's texts.

There is a deadline, and one pair is worded at a time: whoever waits for longer than they may gets the release's
texts and is told why. What the model says after that is not lost: it is in the ledger, and the next who asks has it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from features.ledger import Ledger
from features.types import STANCES, Completion, EntityKind, Explanation, TextRequest
from models.explanations.pairs import Pair, pair_requests, parse_pairs
from models.explanations.published import Published
from models.explanations.retry import second_requests
from models.llm.client import TextEngine
from models.llm.generate import generate

logger = logging.getLogger(__name__)

NO_FACTS = "there are no facts to argue both sides from"
REFUSED = "the model's words did not pass the gates"
LATE = "the model did not answer in time; asked again, it may have"
FAILED = "the model could not be asked"


@dataclass(frozen=True)
class Worded:
    """The texts in the order of `STANCES`; without any, why there are none."""

    texts: tuple[Explanation, ...]
    note: str = ""


class LiveExplainer:
    """Words pairs from the facts of a release. Safe to call from several threads."""

    def __init__(self, published: Published, open_engine: Callable[[], TextEngine], ledger_url: str) -> None:
        """Opens nothing yet: the engine is opened by the first who asks, within their deadline."""
        self._published, self._open_engine, self._ledger_url = published, open_engine, ledger_url
        self._worker = ThreadPoolExecutor(1, "explain-live")
        self._open: dict[tuple[str, str], Future[Worded]] = {}

    def explain(self, consumer_id: str, product_id: str, at: datetime, seconds: float) -> Worded:
        """Both sides for one pair.

        Args:
            consumer_id, product_id: the pair.
            at: when it is asked; facts are from before.
            seconds: how long the caller waits, for the engine, those before them and the answer together.
        """
        pair = self._pair(consumer_id, product_id, at)
        try:
            return self._submit(pair).result(seconds)
        except NotInTime:
            return Worded((), LATE)
        except Exception:  # whatever an engine or the ledger raises: the release's texts are still there
            logger.exception("a pair could not be worded")
            return Worded((), FAILED)

    def _submit(self, pair: Pair) -> Future[Worded]:
        """Starts the work, unless the same pair is being worded already: impatient callers do not queue up."""
        name = (pair.consumer_id, pair.product_id)
        waiting = self._open.get(name)
        if waiting is None:
            waiting = self._open[name] = self._worker.submit(self._word, pair)
            waiting.add_done_callback(lambda _: self._open.pop(name, None))
        return waiting

    def _pair(self, consumer_id: str, product_id: str, at: datetime) -> Pair:
        consumer = self._published.side(EntityKind.CONSUMER, consumer_id)
        product = self._published.side(EntityKind.PRODUCT, product_id)
        known = [tuple(fact for fact in side.facts.values() if fact.evidence_time < at) for side in (consumer, product)]
        return Pair(consumer_id, product_id, product.title, at, known[0], known[1])

    def _word(self, pair: Pair) -> Worded:
        requests = pair_requests(pair, self._engine.identity)
        if not requests:
            return Worded((), NO_FACTS)
        started = time.monotonic()
        with Ledger(self._ledger_url) as ledger:
            completions = self._ask(requests, ledger)
            parsed = parse_pairs([pair], completions, self._engine.identity)
            if again := second_requests(parsed.rejected):
                completions = {**completions, **self._ask(again, ledger)}
                parsed = parse_pairs([pair], completions, self._engine.identity)
        logger.info("a pair was worded in %.1f s", time.monotonic() - started)
        return Worded(parsed.texts) if len(parsed.texts) == len(STANCES) else Worded((), REFUSED)

    def _ask(self, requests: Sequence[TextRequest], ledger: Ledger) -> Mapping[str, Completion]:
        return generate(requests, self._engine, ledger).completions

    @cached_property
    def _engine(self) -> TextEngine:
        return self._open_engine()
