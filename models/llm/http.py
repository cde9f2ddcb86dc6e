"""Any OpenAI-compatible server (vLLM, llama.cpp, Ollama, hosted ones) by its base URL.

Every request ends as one completion or as a GenerationError. Whether a failed call is worth another try is a value
(`retry.decide`); how many calls go out at once, and when, is `pace.Pace`.

Few servers say whether they hold answers to a schema. So the first calls, one at a time, ask for the most binding form
(`answers.Form`); a server that refuses it or ignores it is asked in the next simpler one, and the form of the first
usable answer stays.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import httpx

from features.errors import GenerationError
from features.types import Claim, Completion, FinishReason, ModelIdentity, TextRequest
from models.llm.answers import Form, holds_json
from models.llm.chat import ChatCompletion, judge, parse, payload, usage_of
from models.llm.pace import Effect, Pace
from models.llm.retry import RetryDecision, decide, error_code

TRIES = 5
"""Faults of one request until it is given up; being busy is no fault."""
LARGEST_ANSWER = 4_000_000
"""Bytes; what sends more is no chat completion of a few sentences."""
UNKNOWN = "unknown"
REFUSED_FORM = (400, 415, 422, 501)
"""What servers answer to a `response_format` they do not know."""
UNUSABLE = {
    "content_filter": (FinishReason.REFUSED, "content filter"),
    "context_length_exceeded": (FinishReason.LENGTH, "the prompt is longer than the model's context"),
}
"""Errors that are about one request and not about the server, by their code."""


@dataclass
class _Task:
    """One request while it is answered, over all its tries; tokens and seconds count the failed ones too."""

    request: TextRequest
    deadline: float
    patience: float
    """Seconds for one call. Doubles with each that was too slow: a server that works on while nobody waits only gets
    slower by being asked again."""
    tries: int = 0
    faults: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    def bill(self, body: bytes) -> None:
        """Adds the usage that a body reports."""
        usage = usage_of(body)
        self.prompt_tokens += usage.prompt_tokens
        self.completion_tokens += usage.completion_tokens

    def completion(
        self, finish: FinishReason, claims: tuple[Claim, ...], model: ModelIdentity, note: str
    ) -> Completion:
        """The answer with what all tries cost."""
        note = f"{note}, try {self.tries}" if self.tries > 1 else note
        usage = (self.prompt_tokens, self.completion_tokens)
        return Completion(self.request.key, claims, finish, *usage, self.seconds, model, note)


class HttpEngine:
    """Answers requests through `/v1/chat/completions`, several at a time.

    Args:
        base_url: of the server, with or without `/v1`.
        model: its name there.
        key: the API key, sent as a bearer token and nowhere else.
        concurrency: calls in flight at most.
        timeout: seconds until a call without a whole answer is given up and tried again, with twice the time.
        backoff: seconds before the second try; doubles with each further one.
        deadline: seconds for one request with all its tries and waits.
        pause: seconds for which a server that stopped answering is left alone at first (see `Pace`).
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        key: str = "",
        concurrency: int = 8,
        timeout: float = 60.0,
        backoff: float = 1.0,
        deadline: float = 600.0,
        pause: float = 15.0,
    ) -> None:
        root = base_url.rstrip("/").removesuffix("/v1")
        self.address, self.model = f"{root}/v1/chat/completions", model
        self.concurrency, self.timeout, self.backoff = concurrency, timeout, backoff
        self.deadline, self._pace = deadline, Pace(concurrency, pause=pause)
        self.form, self._form_settled = Form.SCHEMA, False
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    @property
    def identity(self) -> ModelIdentity:
        """The model that is asked for. A server tells its revision only in answers, whose `model` holds it."""
        return ModelIdentity(self.model, UNKNOWN)

    def complete(self, requests: Sequence[TextRequest]) -> Iterator[Completion]:
        """Yields answers as they arrive. Raises GenerationError if the server stays away or refuses the calls."""
        waiting, pace = iter(requests), self._pace.again()
        self._pace = pace
        with (
            httpx.Client(headers=self._headers, limits=httpx.Limits(max_connections=self.concurrency)) as client,
            ThreadPoolExecutor(self.concurrency, thread_name_prefix="llm") as pool,
        ):
            running: set[Future[Completion]] = set()
            failure: BaseException | None = None
            try:
                while True:
                    while len(running) < self.concurrency and (request := next(waiting, None)) is not None:
                        running.add(pool.submit(self._answer, client, request, pace))
                    if not running:
                        break
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        if error := future.exception():  # what else is in flight is paid for and still handed out
                            failure, waiting = failure or error, iter(())
                            pace.stop()
                        else:
                            yield future.result()
            finally:
                pace.stop()  # calls that wait for their turn give up at once
        if failure is not None:
            raise failure

    def _answer(self, client: httpx.Client, request: TextRequest, pace: Pace) -> Completion:
        """One request with its retries."""
        task, reason = _Task(request, time.monotonic() + self.deadline, self.timeout), ""
        while True:
            if why_not := pace.enter(task.deadline):
                raise self._hopeless(" and then ".join(filter(None, [reason, why_not])), task)
            effect, pause = Effect.NONE, 0.0
            try:
                result = self._try(client, task)
                if isinstance(result, Completion):
                    effect = Effect.ANSWERED
                    return result
                effect, pause, reason = result.effect, result.pause(task.tries, self.backoff), result.reason
            finally:
                pace.leave(effect, pause)
            if not result.retry or (task.faults >= TRIES and not pace.waiting):
                raise self._hopeless(reason, task)
            if effect is Effect.AWAY:
                pace.sleep(pause)

    def _try(self, client: httpx.Client, task: _Task) -> Completion | RetryDecision:
        """One call and what becomes of it."""
        form = self.form
        task.tries += 1
        try:
            result = self._read(task, self._call(client, task, form), form)
        except httpx.InvalidURL as error:
            return RetryDecision(False, f"the address is invalid ({error})")
        except httpx.RequestError as error:
            result = decide(error)
            task.patience *= 2 if isinstance(error, httpx.TimeoutException) else 1
        task.faults += isinstance(result, RetryDecision) and result.effect is Effect.AWAY
        return result

    def _call(self, client: httpx.Client, task: _Task, form: Form) -> httpx.Response:
        """A call whose answer is whole in time; the client's own timeout is for each read, so drops could go on."""
        started, received = time.monotonic(), bytearray()
        try:
            body = payload(self.model, task.request, form)
            with client.stream("POST", self.address, json=body, timeout=task.patience) as response:
                for chunk in response.iter_bytes():
                    received += chunk
                    if time.monotonic() > started + task.patience:
                        raise httpx.ReadTimeout("the answer came too slowly")
                    if len(received) > LARGEST_ANSWER:
                        raise httpx.DecodingError(f"the answer has more than {LARGEST_ANSWER} bytes")
        finally:
            task.seconds += time.monotonic() - started
        kept = {name: value for name, value in response.headers.items() if name == "retry-after"}
        return httpx.Response(response.status_code, headers=kept, content=bytes(received))

    def _read(self, task: _Task, response: httpx.Response, form: Form) -> Completion | RetryDecision:
        """What a response means for its request."""
        task.bill(response.content)
        if unusable := UNUSABLE.get(error_code(response)):
            finish, note = unusable
            return task.completion(finish, (), self.identity, note)
        if response.status_code in REFUSED_FORM and self._simplify(form):
            return RetryDecision(True, f"the form {form} was refused")
        answer = parse(response.content) if response.is_success else None
        return decide(response) if answer is None else self._accept(task, answer, form)

    def _accept(self, task: _Task, answer: ChatCompletion, form: Form) -> Completion | RetryDecision:
        """The completion of an answer, or another try if the server turned out to ignore the form."""
        choice = answer.choices[0]
        finish, claims, problem = judge(task.request, choice)
        followed = form is Form.LINES or holds_json(choice.content)
        moved_on = not followed and finish is not FinishReason.REFUSED and self._simplify(form)
        if moved_on and finish is not FinishReason.STOP:
            return RetryDecision(True, f"the form {form} was ignored")
        self._form_settled = self._form_settled or (followed and finish is FinishReason.STOP)
        model = ModelIdentity(answer.model or self.model, answer.system_fingerprint or UNKNOWN)
        return task.completion(finish, claims, model, "; ".join(filter(None, [problem, f"asked for {form}"])))

    def _simplify(self, form: Form) -> bool:
        """Moves on from a form that the server does not keep to; False once a form has worked, or none is left."""
        if self._form_settled or form.simpler is None:
            return False
        if self.form is form:  # otherwise another call did so meanwhile
            self.form = form.simpler
        return True

    def _hopeless(self, reason: str, task: _Task) -> GenerationError:
        tokens = task.prompt_tokens + task.completion_tokens
        spent = f" Its tries used up {tokens} tokens." if tokens else ""
        return GenerationError(
            f"The language model at {self.address} gave no answer: {reason} (try {task.tries}).{spent}",
            f"An OpenAI-compatible server that serves {self.model!r} was expected there.",
            "Check that it runs and that COUNTERPOINT_LLM_URL, COUNTERPOINT_LLM_MODEL and COUNTERPOINT_LLM_KEY "
            "fit. All answers received so far are in the ledger; run it again to continue.",
        )
