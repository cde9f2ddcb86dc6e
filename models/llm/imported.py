"""Texts that were generated elsewhere: open requests go out as JSON lines, answers come back as JSON lines.

For machines and batch services that this host cannot call. An answer is read, judged and kept like one of a server
(`chat.judge`, then the ledger, then the gates), under a model named `imported:<model>`. What a file lacks stays
unasked, and is reported as such.

A file of requests holds no id of a consumer or a product: a request's key stands for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from features.errors import GenerationError, InputError
from features.types import Completion, ModelIdentity, TextRequest
from models.llm.answers import Form, allowed_labels, json_schema, room, user_message
from models.llm.chat import ChatCompletion, Choice, Usage, judge, payload
from models.llm.client import TextEngine

PREFIX = "imported:"
"""Begins the name of every model whose texts were imported."""
SHOWN_FAULTS = 5


def imported_identity(model: str, revision: str) -> ModelIdentity:
    """The identity of requests that are answered elsewhere by a model."""
    return ModelIdentity(PREFIX + model, revision)


class AnswerLine(BaseModel):
    """One line of a file of answers: provenance, the request, and either claims or plain text."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(min_length=1)
    revision: str = Field(min_length=1)
    source: str = Field(min_length=1)
    """What made it: a job, a script, the hash of a prompt."""
    made_at: AwareDatetime
    request: str = ""
    """The key of the request it answers."""
    kind: str = ""
    entity: str = ""
    """In place of a key: the kind of request and what it is about, like `product 50`."""
    claims: list[dict[str, Any]] | None = None
    """As a server would answer: text, stance, weight, cites."""
    text: str | None = None
    """In place of claims: one line per claim."""
    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    seconds: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if bool(self.request) == bool(self.kind and self.entity):
            raise ValueError("either `request`, or `kind` and `entity`")
        if (self.claims is None) == (self.text is None):
            raise ValueError("either `claims` or `text`")
        return self


class _BatchBody(ChatCompletion):
    usage: Usage = Usage()
    created: int = 0


class _BatchResponse(BaseModel):
    body: _BatchBody


class BatchLine(BaseModel):
    """One line of the result of a batch service, as OpenAI defines it (vLLM's `run-batch` writes it too)."""

    custom_id: str = Field(pattern=r"^.+@.+#[0-9a-f]{64}$")
    """As `batch_line` wrote it: model, revision and the key of the request."""
    response: _BatchResponse


@dataclass(frozen=True)
class _Text:
    """One answer of a file."""

    identity: ModelIdentity
    address: str | tuple[str, str]
    """The request's key, or its kind and subject."""
    choice: Choice
    usage: Usage
    seconds: float
    source: str


class ImportEngine:
    """Answers the requests that a file of answers has texts for.

    Args:
        path: JSON lines, each an `AnswerLine` or a `BatchLine`; all of one model and revision.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def texts(self) -> dict[str | tuple[str, str], _Text]:
        """The file's texts by what they answer. Raises InputError naming the lines that cannot be used."""
        return _read(self.path)

    @property
    def identity(self) -> ModelIdentity:
        """The model that made the texts."""
        return next(iter(self.texts.values())).identity

    def has(self, request: TextRequest) -> bool:
        """Whether the file answers a request."""
        return self._find(request) is not None

    def complete(self, requests: Sequence[TextRequest]) -> Iterator[Completion]:
        """Yields the file's answers in order. Raises GenerationError for a request it has none for."""
        for request in requests:
            text = self._find(request)
            if text is None:
                raise GenerationError(
                    f"{self.path} has no text for the request {request.key}.",
                    "Only requests that it answers can be asked of it.",
                    "Choose them by `answerable`.",
                )
            finish, claims, problem = judge(request, text.choice)
            tokens = (text.usage.prompt_tokens, text.usage.completion_tokens)
            note = "; ".join(filter(None, [problem, text.source]))
            yield Completion(request.key, claims, finish, *tokens, text.seconds, self.identity, note)

    def _find(self, request: TextRequest) -> _Text | None:
        return self.texts.get(request.key) or self.texts.get((request.kind, request.subject))


def answerable(requests: Iterable[TextRequest], engine: TextEngine) -> list[TextRequest]:
    """Those of the requests that an engine can answer: all, but for a file of imported texts."""
    return [request for request in requests if not isinstance(engine, ImportEngine) or engine.has(request)]


def request_line(request: TextRequest) -> str:
    """A request as a JSON line: the words for a model, and the same as data for whatever else answers it."""
    claims = [
        {**asdict(slot), "opening": slot.opening.strip(), "cites": allowed_labels(slot, request)}
        for slot in request.slots
    ]
    line = {
        "request": request.key,
        "kind": request.kind,
        "model": request.model.name.removeprefix(PREFIX),
        "revision": request.model.revision,
        "system": request.system,
        "prompt": user_message(request, Form.SCHEMA),
        "schema": json_schema(request),
        "max_tokens": room(request, Form.SCHEMA),
        "temperature": request.temperature,
        "seed": request.seed,
        "facts": [asdict(fact) for fact in request.facts],
        "claims": claims,
    }
    return json.dumps(line, ensure_ascii=False)


def batch_line(request: TextRequest) -> str:
    """A request as a line of a batch job; its id says what a result's line needs to be imported."""
    model = request.model.name.removeprefix(PREFIX)
    line = {
        "custom_id": f"{_named(request.model)}#{request.key}",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": payload(model, request, Form.SCHEMA),
    }
    return json.dumps(line, ensure_ascii=False)


def _read(path: Path) -> dict[str | tuple[str, str], _Text]:
    found: dict[str | tuple[str, str], _Text] = {}
    lines: dict[str | tuple[str, str], int] = {}
    faults: list[str] = []
    for number, line in _numbered(path):
        try:
            text = _parse(line)
            _check_fits(text, next(iter(found.values()), text), lines.get(text.address))
        except ValueError as error:
            faults.append(f"line {number}: {_cause(error)}")
        else:
            found[text.address], lines[text.address] = text, number
    if faults or not found:
        more = f" and {len(faults) - SHOWN_FAULTS} more" if len(faults) > SHOWN_FAULTS else ""
        raise InputError(
            f"The texts in {path} cannot be used: {'; '.join(faults[:SHOWN_FAULTS]) or 'there are none'}{more}.",
            "Each line is JSON with model, revision, source, made_at, a request (or kind and entity) and claims (or "
            "text), or a result line of a batch job; all of one model, one per request.",
            "Correct or remove these lines. docs/explanations.md shows a file; nothing was imported.",
        )
    return found


def _check_fits(text: _Text, first: _Text, same_at: int | None) -> None:
    """Whether a text belongs into a file with those before it. Raises ValueError."""
    if text.identity != first.identity:
        raise ValueError(f"is of {_named(text.identity)}, the first one is of {_named(first.identity)}")
    if same_at is not None:
        raise ValueError(f"answers the same request as line {same_at}")


def _named(identity: ModelIdentity) -> str:
    return f"{identity.name.removeprefix(PREFIX)}@{identity.revision}"


def _numbered(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not empty, counted from 1."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from ((n, line) for n, line in enumerate(file, 1) if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The texts in {path} cannot be read: {error}.",
            "A file of JSON lines in UTF-8 was expected.",
            "Correct the path given (COUNTERPOINT_TEXTS).",
        ) from error


def _parse(line: str) -> _Text:
    """One line. Raises ValueError."""
    parsed = json.loads(line)
    if isinstance(parsed, dict) and "custom_id" in parsed:
        return _from_batch(BatchLine.model_validate(parsed))
    answer = AnswerLine.model_validate(parsed)
    content = answer.text if answer.claims is None else json.dumps({"claims": answer.claims}, ensure_ascii=False)
    return _Text(
        imported_identity(answer.model, answer.revision),
        answer.request or (answer.kind, answer.entity),
        Choice.model_validate({"message": {"content": content}}),
        Usage(prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens),
        answer.seconds,
        f"{answer.source}, {answer.made_at:%Y-%m-%d %H:%M}",
    )


def _from_batch(line: BatchLine) -> _Text:
    about, _, key = line.custom_id.rpartition("#")
    model, _, revision = about.rpartition("@")
    body = line.response.body
    if not body.choices:
        raise ValueError("a response without an answer")
    made_at = datetime.fromtimestamp(body.created, UTC)
    return _Text(
        imported_identity(model, revision),
        key,
        body.choices[0],
        body.usage,
        0.0,
        f"batch job of {body.model or model}, {made_at:%Y-%m-%d %H:%M}",
    )


def _cause(error: ValueError) -> str:
    """The first of what is wrong with a line, and where in it."""
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON ({error})"
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]
