"""What a consumer looks for, worded by a language model from the titles they chose: LANE's preferences.

Source: Zhao et al., arXiv 2407.02833, and the authors' prompts: m preferences from time-ordered titles, several angles,
no overlap, with up to five tries. Ours: the answer is the platform's list of claims (each preference cites the titles
it rests on, and a server may be held to the schema), and a consumer whose tries all fail is not dropped: the mean of
their titles' vectors stands for each preference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from features.ledger import Ledger
from features.types import Completion, FinishReason, ModelIdentity, ShownFact, Slot, TextRequest
from models.base import Progress, silent
from models.llm.client import TextEngine
from models.llm.generate import generate

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


def read_preferences(completion: Completion | None, m: int) -> tuple[str, ...]:
    """The m preferences of an answer; nothing if it did not finish, has another number or repeats one."""
    if completion is None or completion.finish is not FinishReason.STOP:
        return ()
    texts = tuple(line.strip() for line in completion.lines)
    distinct = {text.casefold().rstrip(".") for text in texts}
    return texts if len(texts) == m and len(distinct) == m and all(texts) else ()


def ask_preferences(
    titles: Mapping[str, Sequence[str]], engine: TextEngine, ledger: Ledger, m: int = 5, progress: Progress = silent
) -> dict[str, tuple[str, ...]]:
    """Preferences by consumer, through the ledger; consumers whose tries all failed are not among them.

    Args:
        titles: what each consumer chose in the training period, in order of time.
        engine: answers what the ledger does not know.
        ledger: is asked first, and records each answer.
        m: how many preferences each.
        progress: sees the requests being answered.
    """
    found: dict[str, tuple[str, ...]] = {}
    for attempt in range(TRIES):
        open_ = [consumer for consumer in titles if consumer not in found]
        requests = {who: preference_request(titles[who], engine.identity, m, attempt) for who in open_}
        answers = generate(list(requests.values()), engine, ledger, progress).completions
        read = {who: read_preferences(answers.get(request.key), m) for who, request in requests.items()}
        found |= {who: texts for who, texts in read.items() if texts}
        if len(found) == len(titles):
            break
    return found


def mean_preferences(title_vectors: NDArray[np.float32], m: int) -> NDArray[np.float32]:
    """(m, w) for a consumer without preferences: the mean of the vectors (T, w) of their titles, m times."""
    mean = title_vectors.mean(0) if len(title_vectors) else np.zeros(title_vectors.shape[1], np.float32)
    return np.tile(mean.astype(np.float32), (m, 1))
