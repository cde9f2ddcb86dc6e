"""Texts for one pair, as published for LR-Recsys: why this consumer would like this product, and why not.

Both questions are asked of every pair whatever its outcome, with the same facts from before its time; they differ
only in the polarity phrase. So no text can carry a label. Two questions and a fixed opening clause are the
published method (LR-Recsys); the wording of the prompts is ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from features.errors import InputError
from features.sentences import spoken_title
from features.types import (
    STANCES,
    Completion,
    Explanation,
    Fact,
    FinishReason,
    ModelIdentity,
    Slot,
    Stance,
    TextRequest,
)
from models.explanations.facets import tidy
from models.explanations.gates import CONTRARY, FUNCTION_WORDS, Failure, failures, stem, stems

PAIR_KIND = "pair_reason"
_CONTENTLESS = frozenset(stem(word) for word in FUNCTION_WORDS)


class PairConfig(BaseModel):
    """How much is shown and asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_facts: int = 2
    """Facts per entity and polarity."""
    max_tokens: int = 48


@dataclass(frozen=True)
class Pair:
    """One pair with what was known of both strictly before its time."""

    consumer_id: str
    product_id: str
    title: str
    time: datetime
    consumer_facts: tuple[Fact, ...]
    product_facts: tuple[Fact, ...]


def pair_requests(
    pair: Pair, identity: ModelIdentity, config: PairConfig | None = None
) -> tuple[TextRequest, TextRequest]:
    """The two requests of a pair, in the order of `STANCES`. Raises InputError on facts that are not earlier."""
    config = config or PairConfig()
    consumer, product = shown_facts(pair, config)
    texts = {"consumer": _listed(consumer), "product": _listed(product)}
    title = spoken_title(pair.title) or "unnamed"
    made = [
        TextRequest(
            PAIR_KIND,
            f"{pair.consumer_id} x {pair.product_id} {stance.value}",
            PAIR_SYSTEM,
            PROMPT.format(title=title, polarity=POLARITY[stance], **texts),
            (Slot(OPENING.format(polarity=POLARITY[stance]), config.max_tokens),),
            identity,
        )
        for stance in STANCES
    ]
    return made[0], made[1]


def shown_facts(pair: Pair, config: PairConfig) -> tuple[list[Fact], list[Fact]]:
    """The facts both prompts of a pair show: the strongest of each polarity, of consumer and product."""
    for fact in (*pair.consumer_facts, *pair.product_facts):
        if fact.evidence_time >= pair.time:
            raise InputError(
                f"Fact {fact.fact_id} rests on evidence of {fact.evidence_time}, the pair is of {pair.time}.",
                "A pair's text may only use facts from strictly before it.",
                "Make the facts from `snapshot.before(time)`.",
            )
    return _strongest(pair.consumer_facts, config.n_facts), _strongest(pair.product_facts, config.n_facts)


def _strongest(facts: Sequence[Fact], limit: int) -> list[Fact]:
    ordered = sorted(facts, key=lambda fact: (-fact.weight, fact.fact_id))
    return [fact for polarity in (0, 1, -1) for fact in [f for f in ordered if f.polarity == polarity][:limit]]


def _listed(facts: Sequence[Fact]) -> str:
    return "\n".join(f"- {fact.text}" for fact in facts) or "- nothing is known"


def parse_pair(
    pair: Pair, stance: Stance, request: TextRequest, completion: Completion, config: PairConfig | None = None
) -> tuple[Explanation | None, list[Failure]]:
    """The explanation an answer holds, or None with the gates it failed."""
    consumer, product = shown_facts(pair, config or PairConfig())
    facts, text = [*consumer, *product], tidy(completion.lines[0]) if completion.lines else ""
    opening = request.slots[0].opening
    cited = cited_facts(text.removeprefix(opening), facts)
    failed = failures(text, stance, [fact.fact_id for fact in cited], facts, opening, context=spoken_title(pair.title))
    if not _takes_side(text.removeprefix(opening), stance, cited) and Failure.STANCE not in failed:
        failed.append(Failure.STANCE)
    if completion.finish is not FinishReason.STOP and Failure.UNFINISHED not in failed:
        failed.append(Failure.UNFINISHED)
    if failed:
        return None, failed
    explanation = Explanation(
        consumer_id=pair.consumer_id,
        product_id=pair.product_id,
        stance=stance,
        text=text,
        fact_ids=tuple(fact.fact_id for fact in cited),
        evidence_time=max(fact.evidence_time for fact in cited),
        granularity="pair",
        model=request.model.name,
        request_key=request.key,
    )
    return explanation, []


def parse_pairs(
    pairs: Sequence[Pair], completions: Mapping[str, Completion], identity: ModelIdentity
) -> list[Explanation]:
    """The texts that passed the gates; of some pairs one side, of some none; facets speak for the rest."""
    texts = []
    for pair in pairs:
        for stance, request in zip(STANCES, pair_requests(pair, identity), strict=True):
            if request.key in completions:
                text, _ = parse_pair(pair, stance, request, completions[request.key])
                texts += [text] if text is not None else []
    return texts


def _takes_side(body: str, stance: Stance, cited: Sequence[Fact]) -> bool:
    """Whether a reason rests on a fact of its side, and says nothing of the other's.

    The prompt shows both sides, so a small model argues with the wrong one: `would not enjoy it because
    they rated such movies above their usual`. A reason against needs a fact against it.
    """
    wanted = {1, 0} if stance is Stance.FOR else {-1}
    said = {word.strip(".,;:") for word in body.lower().split()}
    return any(fact.polarity in wanted for fact in cited) and not said & CONTRARY[stance]


def cited_facts(text: str, facts: Sequence[Fact]) -> list[Fact]:
    """The facts a free sentence draws on: those that carry most of its content words, until all are carried."""
    open_stems, cited = stems(text) - _CONTENTLESS, list[Fact]()
    while open_stems:
        carried = {fact.fact_id: open_stems & stems(f"{fact.text} {fact.aspect}") for fact in facts}
        best = max(facts, key=lambda fact: len(carried[fact.fact_id]), default=None)
        if best is None or not carried[best.fact_id]:
            break
        cited.append(best)
        open_stems -= carried[best.fact_id]
    return cited
