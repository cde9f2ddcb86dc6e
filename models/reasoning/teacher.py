"""What a teacher is asked: a product's description, a consumer's profile, and why a pair turned out as it did.

Source: ReasoningRec (Bismay, Dong, Caverlee, arXiv 2410.23180), authors' code. The requests go through the ledger to
any engine, or to another machine and back (`models/llm/imported.py`); what they may rest on are labelled facts.
Deviations, ours: a review of a product by the consumer in question, or one written at the cut or later, is never
shown; a rationale can be kept only where a judge that does not know the outcome comes to it too (`agreed`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.redaction import redact
from features.types import Completion, FinishReason, ModelIdentity, ShownFact, Slot, Stance, TextRequest
from models.explanations.gates import loops
from models.reasoning.cases import Case, Described, clip

DESCRIBE = (
    "You describe products for people who choose. From the reviews, name strong and weak features in one sentence of "
    "at most 25 words. Say nothing that the reviews do not say."
)
PROFILE = (
    "You describe a consumer's taste. From what they liked and disliked, say in at most 100 words which features they "
    "like and which they dislike. Say nothing beyond the given products, and name no person."
)
RATIONALE = (
    "You explain how a consumer decided. From their profile, what they liked and disliked and the target, give the "
    "reason for the decision that is stated, in at most 100 words. Use only what is given."
)
JUDGE = (
    "You judge whether a consumer will like a product, from their profile and from what they liked and disliked. "
    "Answer Yes or No."
)
KINDS = {"item_description": DESCRIBE, "consumer_profile": PROFILE, "rationale": RATIONALE, "verdict": JUDGE}
"""The shared part of each prompt, by kind of request."""
N_REVIEWS, REVIEW_WORDS = 10, 100
DESCRIPTION_TOKENS, PROFILE_TOKENS, RATIONALE_TOKENS, VERDICT_TOKENS = 64, 256, 256, 4
MAX_WORDS = {"item_description": 50, "consumer_profile": 200, "rationale": 200, "verdict": 4}
"""Longer answers are refused."""


def description_request(
    product_id: str, title: str, reviews: pd.DataFrame, identity: ModelIdentity, seed: int = 0
) -> TextRequest | None:
    """Asks what a product's reviews say of it; None where there is none.

    Args:
        product_id: what it is about.
        title: how the product is called.
        reviews: columns `rating` and `review`: of the product, from before the cut, none by a consumer for whose pairs
            the description will be used as evidence (`reviews_before` chooses them).
        identity: the model that will answer.
        seed: of the sample, which keeps the proportions of the stars.
    """
    texts = reviews[reviews["review"].fillna("").str.strip() != ""]
    if texts.empty:
        return None
    sample = texts.sort_values("rating", kind="stable").iloc[_evenly(len(texts), N_REVIEWS, seed)]
    shown = [
        f"{stars:g} stars: {clip(redact(text), REVIEW_WORDS)}"
        for stars, text in zip(sample["rating"], sample["review"], strict=True)
    ]
    return _request("item_description", f"product {product_id}", f"Product: {title}", shown, identity)


def reviews_before(frame: pd.DataFrame, product_id: str, cut: pd.Timestamp, without: str = "") -> pd.DataFrame:
    """A product's rows strictly before a cut, without those of one consumer: their own review would give them away."""
    mine = frame["consumer_id"] == without
    return frame[(frame["product_id"] == product_id) & (frame["timestamp"] < cut) & ~mine]


def profile_request(
    consumer_id: str, events: Sequence[tuple[Described, bool]], identity: ModelIdentity
) -> TextRequest | None:
    """Asks what a consumer likes, from events before all histories (`Window.profile`); None where there are none."""
    if not events:
        return None
    return _request("consumer_profile", f"consumer {consumer_id}", "", _events(events), identity)


def rationale_request(subject: str, case: Case, liked: bool, identity: ModelIdentity) -> TextRequest:
    """Asks why, and tells the outcome: a rationalisation by design, fit for tuning and never for an input."""
    outcome = "will like" if liked else "will dislike"
    prompt = _about(case, f"The consumer {outcome} the target. Why?")
    stance = Stance.FOR if liked else Stance.AGAINST
    return _request("rationale", subject, prompt, _events(case.history), identity, stance)


def verdict_request(subject: str, case: Case, identity: ModelIdentity) -> TextRequest:
    """Asks for the outcome, which it does not tell."""
    return _request(
        "verdict", subject, _about(case, "Will the consumer like the target?"), _events(case.history), identity
    )


@dataclass(frozen=True)
class Taught:
    """A text that may be used, or why not."""

    text: str
    refused: str = ""


def read_text(request: TextRequest, completions: Mapping[str, Completion]) -> Taught:
    """The one text of an answer, if it is one: finished, of the length asked for, without loops or personal data."""
    completion = completions.get(request.key)
    if completion is None or completion.finish is not FinishReason.STOP:
        return Taught("", "unanswered")
    text = " ".join(completion.lines[0].split())
    if not text:
        return Taught("", "empty")
    if len(text.split()) > MAX_WORDS[request.kind]:
        return Taught("", "length")
    if request.kind != "verdict" and loops(text, size=6):
        return Taught("", "loop")
    return Taught("", "personal") if redact(text) != text else Taught(text)


def read_verdict(request: TextRequest, completions: Mapping[str, Completion]) -> bool | None:
    """Whether a judge says Yes; None where it says neither."""
    word = read_text(request, completions).text.strip(" .!").lower().split(" ")[0].strip(".,!")
    return {"yes": True, "no": False}.get(word)


def agreed(rationales: Sequence[str], liked: NDArray[np.bool_], judged: Sequence[bool | None]) -> list[str]:
    """Rationales of outcomes that a judge without knowledge of them expected; the others are emptied.

    Beyond the paper. Label-conditioned texts justify any outcome; those that evidence alone would not lead to teach
    fluency, not reasons.
    """
    return [
        text if verdict is not None and verdict == bool(truth) else ""
        for text, truth, verdict in zip(rationales, liked, judged, strict=True)
    ]


def _request(
    kind: str,
    subject: str,
    prompt: str,
    shown: Sequence[str],
    identity: ModelIdentity,
    stance: Stance | None = None,
) -> TextRequest:
    facts = tuple(ShownFact(f"F{n}", text) for n, text in enumerate(shown, 1))
    room = {
        "item_description": DESCRIPTION_TOKENS,
        "consumer_profile": PROFILE_TOKENS,
        "rationale": RATIONALE_TOKENS,
        "verdict": VERDICT_TOKENS,
    }[kind]
    slot = Slot("", room, stance=stance, cites=tuple(fact.label for fact in facts))
    return TextRequest(kind, subject, KINDS[kind], prompt, (slot,), identity, facts=facts)


def _about(case: Case, question: str) -> str:
    target = f"Target: {case.target.title}. {case.target.description}".strip()
    return "\n".join(filter(None, [f"Profile: {case.profile}" if case.profile else "", target, question]))


def _events(events: Sequence[tuple[Described, bool]]) -> list[str]:
    return [
        f"{'Liked' if liked else 'Disliked'}: {' '.join(filter(None, [it.title, it.description]))}"
        for it, liked in events
    ]


def _evenly(n: int, k: int, seed: int) -> NDArray[np.intp]:
    """At most k of n places in order, evenly spread, so that sorted stars keep their proportions."""
    if n <= k:
        return np.arange(n)
    start = np.random.default_rng(seed).random()
    return np.floor((np.arange(k) + start) * n / k).astype(np.intp)
