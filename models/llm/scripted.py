"""An engine for tests: answers come from a function. It is no language model and no product path uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from features.types import Claim, Completion, FinishReason, ModelIdentity, TextRequest, claims_of

SCRIPTED = ModelIdentity("scripted", "1")


def continue_openings(request: TextRequest) -> Sequence[str]:
    """The plainest answer: every opening, continued by what the request is about."""
    return [f"{slot.opening.rstrip()} {request.subject} line {n}.".strip() for n, slot in enumerate(request.slots, 1)]


class ScriptedEngine:
    """Answers with `answer(request)`, one text per slot; `seen` holds the requests it got, in order.

    A wrong number of lines comes out as MALFORMED, as from a real server. Tokens are counted as words.
    """

    def __init__(
        self,
        answer: Callable[[TextRequest], Sequence[str]] = continue_openings,
        identity: ModelIdentity = SCRIPTED,
    ) -> None:
        self._answer, self._identity = answer, identity
        self.seen: list[TextRequest] = []

    @property
    def identity(self) -> ModelIdentity:
        """Which model answers: none."""
        return self._identity

    def complete(self, requests: Sequence[TextRequest]) -> Iterator[Completion]:
        """Yields the scripted answers in order."""
        for request in requests:
            self.seen.append(request)
            lines = tuple(self._answer(request))
            fits = len(lines) == len(request.slots)
            yield Completion(
                request_key=request.key,
                claims=claims_of(request.slots, lines) if fits else tuple(map(Claim, lines)),
                finish=FinishReason.STOP if fits else FinishReason.MALFORMED,
                prompt_tokens=len(f"{request.system} {request.prompt}".split()),
                completion_tokens=len(" ".join(lines).split()),
                seconds=0.0,
                model=self._identity,
                note="" if fits else f"{len(lines)} lines for {len(request.slots)} slots",
            )
