"""The wire: what is sent to `/v1/chat/completions` and what is read of what comes back."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ValidationError

from features.types import Claim, FinishReason, TextRequest
from models.llm.answers import Form, read_answer, response_format, room, user_message

_REFUSAL = re.compile(
    r"\s*(i['’]?m sorry|i am sorry|sorry,|i can(?:no|['’])t|i can not|i['’]?m unable|as an ai\b)", re.I
)


class Usage(BaseModel):
    """Tokens that a call was charged for."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class Choice(BaseModel):
    """One answer of a chat completion."""

    message: _Message
    finish_reason: str | None = None

    @property
    def content(self) -> str:
        """What the model wrote."""
        return self.message.content or ""


class ChatCompletion(BaseModel):
    """The part of a chat completion that is read."""

    choices: list[Choice]
    model: str | None = None
    system_fingerprint: str | None = None


class _Billed(BaseModel):
    usage: Usage


def payload(model: str, request: TextRequest, form: Form) -> dict[str, Any]:
    """The body of a call that asks for one request in a form."""
    messages = [{"role": "system", "content": request.system}] if request.system else []
    messages.append({"role": "user", "content": user_message(request, form)})
    body = {
        "model": model,
        "messages": messages,
        "temperature": request.temperature,
        "seed": request.seed,
        "max_tokens": room(request, form),
        "stream": False,
    }
    wanted = response_format(request, form)
    return {**body, "response_format": wanted} if wanted else body


def parse(body: bytes) -> ChatCompletion | None:
    """A body as a chat completion with at least one answer, or None if it is something else, or cut off."""
    try:
        answer = ChatCompletion.model_validate_json(body)
    except ValidationError:
        return None
    return answer if answer.choices else None


def usage_of(body: bytes) -> Usage:
    """The tokens that a body of whatever kind reports."""
    try:
        return _Billed.model_validate_json(body).usage
    except ValidationError:
        return Usage()


def judge(request: TextRequest, choice: Choice) -> tuple[FinishReason, tuple[Claim, ...], str]:
    """How an answer ended, its claims (of an unusable one its lines, to be looked at), and why it is unusable."""
    kept = tuple(map(Claim, choice.content.splitlines()))
    if choice.message.refusal or choice.finish_reason == "content_filter":
        return FinishReason.REFUSED, kept, f"refused: {choice.message.refusal or 'by a content filter'}"[:200]
    if choice.finish_reason == "length":
        return FinishReason.LENGTH, kept, "cut off: the answer reached its limit of tokens"
    reading = read_answer(choice.content, request)
    if not reading.problem:
        return FinishReason.STOP, reading.claims, ""
    if _REFUSAL.match(choice.content):
        return FinishReason.REFUSED, kept, f"refused: {choice.content}"[:200]
    return FinishReason.MALFORMED, kept, reading.problem
