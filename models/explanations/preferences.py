"""What a consumer looks for, worded by a language model from the titles they chose: LANE's preferences.

Source: Zhao et al., arXiv 2407.02833, and the authors' prompts: m preferences from time-ordered titles, several angles,
no overlap, with up to five tries. Ours: the answer is the platform's list of claims (each preference cites the titles
it rests on, and a server may be held to the schema), and a consumer whose tries all fail is not dropped: the mean of
their titles' vectors stands for each preference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.types import Completion, FinishReason, ModelIdentity, ShownFact, Slot, TextRequest
from models.explanations.gates import unshowable

Ask = Callable[[Sequence[TextRequest]], Mapping[str, Completion]]
KIND = "preferences"
SYSTEM = """\
You read what one person chose, in order of time, and say what they look for, so that what they choose next can be \
foreseen. You may use what you know about the things themselves."""
PROMPT = """\
Name exactly {m} preferences of this person. Look from several angles, be detailed and personal, and let no preference \
repeat another. Give no explanations. Check before you answer that each one fits what the person chose."""
MAX_TITLES = 200
"""The latest titles that are shown."""
TRIES = 5
_MAX_TOKENS = 40


def preference_request(titles: Sequence[str], identity: ModelIdentity, m: int = 5, attempt: int = 0) -> TextRequest:
    """The request for one consumer's preferences.

    Args:
        titles: what the consumer chose, in order of time; from the training period alone.
        identity: the model that will answer.
        m: how many preferences.
        attempt: 0 for the first try; a later one has a seed of its own and so a key of its own.
    """
    shown = tuple(ShownFact(f"F{n}", title) for n, title in enumerate(titles[-MAX_TITLES:], 1))
    slots = tuple(Slot("", _MAX_TOKENS) for _ in range(m))
    temperature = 0.0 if attempt == 0 else 0.7  # greedy again would fail again
    return TextRequest(
        KIND, "preferences of a consumer", SYSTEM, PROMPT.format(m=m), slots, identity, temperature, attempt, shown
    )


@dataclass(frozen=True)
class Preference:
    """One thing a consumer looks for."""

    text: str
    titles: tuple[str, ...]
    """Of those that were shown, what it cites."""
    request: TextRequest
    """Whose answer it is from."""


def read_preferences(request: TextRequest, completion: Completion | None) -> tuple[Preference, ...]:
    """The preferences of an answer, one for each slot of its request.

    Nothing if the answer did not finish, has another number, repeats one, or holds one that fails a gate. They may say
    what the model knows about the things, so what they rest on is no gate; what they look like is.
    """
    if completion is None or completion.finish is not FinishReason.STOP or len(completion.claims) != len(request.slots):
        return ()
    shown = {fact.label: fact.text for fact in request.facts}
    source, titles = f"{request.system}\n{request.prompt}", "\n".join(shown.values())
    told = [
        Preference(claim.text.strip(), tuple(shown[it] for it in claim.cites if it in shown), request)
        for claim in completion.claims
    ]
    distinct = {it.text.casefold().rstrip(".") for it in told}
    refused = any(unshowable(it.text, source, titles) for it in told)
    return () if refused or len(distinct) < len(told) else tuple(told)


def ask_preferences(
    titles: Mapping[str, Sequence[str]], identity: ModelIdentity, ask: Ask, m: int = 5
) -> dict[str, tuple[Preference, ...]]:
    """Preferences by consumer; consumers whose tries all failed are not among them.

    Args:
        titles: what each consumer chose in the training period, in order of time.
        identity: the model that answers.
        ask: has requests answered, through the ledger; gives the usable answers by request key.
        m: how many preferences each.
    """
    found: dict[str, tuple[Preference, ...]] = {}
    for attempt in range(TRIES):
        open_ = [consumer for consumer in titles if consumer not in found]
        requests = {who: preference_request(titles[who], identity, m, attempt) for who in open_}
        answers = ask(list(requests.values()))
        read = {who: read_preferences(request, answers.get(request.key)) for who, request in requests.items()}
        found |= {who: told for who, told in read.items() if told}
        if len(found) == len(titles):
            break
    return found


def mean_preferences(title_vectors: NDArray[np.float32], m: int) -> NDArray[np.float32]:
    """(m, w) for a consumer without preferences: the mean of the vectors (T, w) of their titles, m times."""
    mean = title_vectors.mean(0) if len(title_vectors) else np.zeros(title_vectors.shape[1], np.float32)
    return np.tile(mean.astype(np.float32), (m, 1))
