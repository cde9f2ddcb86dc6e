"""Any OpenAI-compatible server (vLLM, Ollama, hosted ones) by its base URL.

A server cannot be made to begin its lines as prescribed, so the prompt asks for it and the answer is checked: an
answer in which a line is missing is MALFORMED and never used. Whether a failed call is worth another try is a
value (`RetryDecision`), made in one place.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from pydantic import BaseModel, ValidationError

from features.errors import GenerationError
from features.types import Claim, Completion, FinishReason, ModelIdentity, Slot, TextRequest, claims_of
from models.llm.decoding import sentence_end

TRIES = 5
LONGEST_WAIT = 120.0
"""Seconds; a server that asks for more is not waited for longer."""
UNKNOWN = "unknown"

_REFUSAL = re.compile(
    r"\s*(i['’]?m sorry|i am sorry|sorry,|i can(?:no|['’])t|i can not|i['’]?m unable|as an ai\b)", re.I
)
_BULLET = re.compile(r"^(?:line\s*)?(?:\d+\s*[.):]|[-*•])\s+", re.I)


@dataclass(frozen=True)
class RetryDecision:
    """Whether a failed call is worth another try, and after how many seconds (None: the usual backoff)."""

    retry: bool
    reason: str
    wait: float | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Answer(BaseModel):
    """The part of a chat completion that is read."""

    choices: list[_Choice]
    usage: _Usage | None = None
    model: str | None = None
    system_fingerprint: str | None = None


class HttpEngine:
    """Answers requests through `/v1/chat/completions`, several at a time.

    Args:
        base_url: of the server, with or without `/v1`.
        model: its name there.
        key: the API key, sent as a bearer token and nowhere else.
        concurrency: calls in flight.
        timeout: seconds until a call without an answer is given up and tried again.
        backoff: seconds before the second try; doubles with each further one.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        key: str = "",
        concurrency: int = 8,
        timeout: float = 60.0,
        backoff: float = 1.0,
    ) -> None:
        root = base_url.rstrip("/").removesuffix("/v1")
        self.address, self.model = f"{root}/v1/chat/completions", model
        self.concurrency, self.timeout, self.backoff = concurrency, timeout, backoff
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    @property
    def identity(self) -> ModelIdentity:
        """The model that is asked for. A server tells its revision only in answers, whose `model` holds it."""
        return ModelIdentity(self.model, UNKNOWN)

    def complete(self, requests: Sequence[TextRequest]) -> Iterator[Completion]:
        """Yields answers as they arrive. Raises GenerationError if the server stays away or refuses the calls."""
        waiting, stop = iter(requests), threading.Event()
        with (
            httpx.Client(headers=self._headers, timeout=self.timeout) as client,
            ThreadPoolExecutor(self.concurrency, thread_name_prefix="llm") as pool,
        ):
            running: set[Future[Completion]] = set()
            failure: BaseException | None = None
            try:
                while True:
                    while len(running) < self.concurrency and (request := next(waiting, None)) is not None:
                        running.add(pool.submit(self._answer, client, request, stop))
                    if not running:
                        break
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        if error := future.exception():  # what else is in flight is paid for and still handed out
                            failure, waiting = failure or error, iter(())
                            stop.set()
                        else:
                            yield future.result()
            finally:
                stop.set()  # calls in backoff give up at once
        if failure is not None:
            raise failure

    def _answer(self, client: httpx.Client, request: TextRequest, stop: threading.Event) -> Completion:
        """One request with its retries."""
        payload = _payload(self.model, request)
        for attempt in range(1, TRIES + 1):
            started = time.perf_counter()
            try:
                outcome: httpx.Response | httpx.TransportError = client.post(self.address, json=payload)
            except httpx.TransportError as error:
                outcome = error
            except httpx.InvalidURL as error:
                raise self._hopeless(RetryDecision(False, f"the address is invalid ({error})"), attempt) from error
            if isinstance(outcome, httpx.Response) and outcome.is_success:
                return self._completion(request, outcome, time.perf_counter() - started)
            if isinstance(outcome, httpx.Response) and _error_code(outcome) == "content_filter":
                return self._unusable(request, FinishReason.REFUSED, "content filter", time.perf_counter() - started)
            decision = decide(outcome)
            pause = self._pause(decision, attempt)
            if not decision.retry or attempt == TRIES or stop.wait(pause):
                raise self._hopeless(decision, attempt)
        raise AssertionError("unreachable: the last try returns or raises")

    def _pause(self, decision: RetryDecision, attempt: int) -> float:
        """Seconds to wait; jittered, so that parallel calls do not come back all at once."""
        if decision.wait is not None:
            return min(decision.wait, LONGEST_WAIT)
        return min(self.backoff * 2 ** (attempt - 1), LONGEST_WAIT) * random.uniform(0.5, 1.0)

    def _hopeless(self, decision: RetryDecision, tries: int) -> GenerationError:
        return GenerationError(
            f"The language model at {self.address} gave no answer: {decision.reason} (try {tries} of {TRIES}).",
            f"An OpenAI-compatible server that serves {self.model!r} was expected there.",
            "Check that it runs and that COUNTERPOINT_LLM_URL, COUNTERPOINT_LLM_MODEL and COUNTERPOINT_LLM_KEY "
            "fit. All answers received so far are in the ledger; run it again to continue.",
        )

    def _completion(self, request: TextRequest, response: httpx.Response, seconds: float) -> Completion:
        try:
            answer = _Answer.model_validate_json(response.content)
            choice = answer.choices[0]
        except (ValidationError, IndexError) as error:
            raise GenerationError(
                f"{self.address} answered {response.text[:200]!r}.",
                "A chat completion with at least one choice was expected.",
                "Check that COUNTERPOINT_LLM_URL is the base URL of an OpenAI-compatible server.",
            ) from error
        finish, lines, note = _judge(request, choice)
        usage = answer.usage or _Usage()
        model = ModelIdentity(answer.model or self.model, answer.system_fingerprint or UNKNOWN)
        fits = finish is FinishReason.STOP
        claims = claims_of(request.slots, lines) if fits else tuple(map(Claim, lines))
        return Completion(
            request.key, claims, finish, usage.prompt_tokens, usage.completion_tokens, seconds, model, note
        )

    def _unusable(self, request: TextRequest, finish: FinishReason, note: str, seconds: float) -> Completion:
        return Completion(request.key, (), finish, 0, 0, seconds, self.identity, note)


def decide(outcome: httpx.Response | httpx.TransportError) -> RetryDecision:
    """Whether a failed call is worth another try: yes when the server is busy, broken or away for now."""
    if isinstance(outcome, httpx.TimeoutException):
        return RetryDecision(True, f"no answer in time ({type(outcome).__name__})")
    if isinstance(outcome, httpx.UnsupportedProtocol):
        return RetryDecision(False, str(outcome))
    if isinstance(outcome, httpx.TransportError):
        return RetryDecision(True, f"the connection failed ({str(outcome) or type(outcome).__name__})")
    reason = f"HTTP {outcome.status_code} {outcome.text[:200]!r}"
    busy = outcome.status_code in (408, 429) and _error_code(outcome) != "insufficient_quota"
    if busy or outcome.status_code >= 500:
        return RetryDecision(True, reason, _retry_after(outcome))
    return RetryDecision(False, reason)


def _retry_after(response: httpx.Response) -> float | None:
    """The seconds a server asks to wait, given as a number or as a date."""
    value = response.headers.get("Retry-After", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _error_code(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return ""


def _payload(model: str, request: TextRequest) -> dict[str, Any]:
    messages = [{"role": "system", "content": request.system}] if request.system else []
    messages.append(
        {"role": "user", "content": "\n\n".join(filter(None, [request.prompt, describe_form(request.slots)]))}
    )
    # Words of an opening are at most as many tokens as characters; half is already generous.
    room = sum(slot.max_tokens + len(slot.opening) // 2 + 8 for slot in request.slots)
    return {
        "model": model,
        "messages": messages,
        "temperature": request.temperature,
        "seed": request.seed,
        "max_tokens": room,
        "stream": False,
    }


def describe_form(slots: Sequence[Slot]) -> str:
    """The words that ask a server for the slots' lines."""
    count = "1 line" if len(slots) == 1 else f"{len(slots)} lines"
    head = f"Answer with exactly {count} and nothing else. Each line is one sentence."
    rules = [f"Line {n} begins with: {slot.opening.strip()}" for n, slot in enumerate(slots, 1) if slot.opening.strip()]
    topics = [f"Line {n} is about this. {slot.about}" for n, slot in enumerate(slots, 1) if slot.about]
    return "\n".join([head, *topics, *rules])


def parse_lines(content: str, slots: Sequence[Slot]) -> tuple[str, ...] | None:
    """One line per slot, in order, or None if one is missing.

    Numbering, bullets, quotes, bold marks, lines in between and the case of openings are forgiven; a missing
    opening, or one that nothing follows, is not. Each line ends with its first sentence.
    """
    candidates = iter([_BULLET.sub("", line.strip()).strip("\"'*` ") for line in content.splitlines()])
    found = []
    for slot in slots:
        opening = slot.opening.strip()
        rest = next((rest for line in candidates if (rest := _rest(line, opening))), None)
        if rest is None:
            return None
        found.append((opening + rest[: sentence_end(rest)]).strip())
    return tuple(found)


def _rest(line: str, opening: str) -> str:
    """What follows the opening in a line, or nothing."""
    rest = line[len(opening) :] if line.lower().startswith(opening.lower()) else ""
    goes_on = not opening or not opening[-1].isalnum() or not rest[:1].isalnum()
    return rest if goes_on and any(character.isalnum() for character in rest) else ""


def _judge(request: TextRequest, choice: _Choice) -> tuple[FinishReason, tuple[str, ...], str]:
    """How an answer ended, its lines, and a note if it cannot be used."""
    content = choice.message.content or ""
    kept = tuple(content.splitlines())
    if choice.message.refusal or choice.finish_reason == "content_filter":
        return FinishReason.REFUSED, kept, choice.message.refusal or "content filter"
    if choice.finish_reason == "length":
        return FinishReason.LENGTH, kept, "the server cut the answer"
    lines = parse_lines(content, request.slots)
    if lines is not None:
        return FinishReason.STOP, lines, ""
    if _REFUSAL.match(content):
        return FinishReason.REFUSED, kept, content[:200]
    return FinishReason.MALFORMED, kept, f"not the {len(request.slots)} lines that were asked for"
