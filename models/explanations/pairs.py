"""Texts for one pair, as published for LR-Recsys: why this consumer would like this product, and why not.

Both questions are asked of every pair whatever its outcome, from facts from before its time, so no text can carry
a label. Two questions are the published method (LR-Recsys). Which facts argue is decided by code
(`models/explanations/matching.py`), the same way for every pair; the model only words them. The published method
shows the model everything and lets it choose, which a small one does not do well: next to no pair had both texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from features.errors import InputError
from features.sentences import spoken_title
from features.types import (
    STANCES,
    Claim,
    Completion,
    Explanation,
    Fact,
    FinishReason,
    ModelIdentity,
    Stance,
    TextRequest,
)
from features.words import FUNCTION_WORDS, TAKES_SIDE, stem, stems
from models.explanations.facets import read_twice, tidy
from models.explanations.gates import Failure, Follows, anything, failures, miscites, turned_round
from models.explanations.matching import argue
from models.explanations.retry import Rejected
from models.explanations.styles import shown_facts, style_of

PAIR_KIND = "pair_reason"
_CONTENTLESS = frozenset(stem(word) for word in FUNCTION_WORDS)
_RATED_IT = re.compile(r"\bthey (?:have |had |did not )?(?:rated?|enjoy(?:ed)?|liked?|disliked?) it\b")
"""Nobody has rated yet what is recommended to them; a small model mixes up who rated what."""


class PairConfig(BaseModel):
    """How much is shown and asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_tokens: int = 96


@dataclass(frozen=True)
class ParsedPairs:
    """The texts that passed, and the model's lines that were refused."""

    texts: tuple[Explanation, ...]
    rejected: tuple[Rejected, ...]


@dataclass(frozen=True)
class Pair:
    """One pair with what was known of both strictly before its time."""

    consumer_id: str
    product_id: str
    title: str
    time: datetime
    consumer_facts: tuple[Fact, ...]
    product_facts: tuple[Fact, ...]


def pair_requests(pair: Pair, identity: ModelIdentity, config: PairConfig | None = None) -> tuple[TextRequest, ...]:
    """The two requests of a pair, in the order of `STANCES`; none where a side has no fact to argue from.

    Raises:
        InputError: a fact is not from strictly before the pair's time.
    """
    config, sides = config or PairConfig(), [chosen_facts(pair, stance) for stance in STANCES]
    if not all(sides):
        return ()
    return tuple(_request(pair, stance, facts, identity, config) for stance, facts in zip(STANCES, sides, strict=True))


def _request(
    pair: Pair, stance: Stance, facts: Sequence[Fact], identity: ModelIdentity, config: PairConfig
) -> TextRequest:
    style, title = style_of(identity), spoken_title(pair.title) or "unnamed"
    return TextRequest(
        PAIR_KIND,
        f"{pair.consumer_id} x {pair.product_id} {stance.value}",
        style.pair_system,
        style.pair_prompt(title, facts, stance),
        style.pair_slots(facts, stance, config.max_tokens),
        identity,
        facts=shown_facts(facts),
    )


def chosen_facts(pair: Pair, stance: Stance) -> tuple[Fact, ...]:
    """The facts that argue one side of a pair. Raises InputError on facts that are not earlier."""
    for fact in (*pair.consumer_facts, *pair.product_facts):
        if fact.evidence_time >= pair.time:
            raise InputError(
                f"Fact {fact.fact_id} rests on evidence of {fact.evidence_time}, the pair is of {pair.time}.",
                "A pair's text may only use facts from strictly before it.",
                "Make the facts from `snapshot.before(time)`.",
            )
    return argue(pair.consumer_facts, pair.product_facts, stance)


def parse_pair(
    pair: Pair, stance: Stance, request: TextRequest, completion: Completion, follows: Follows = anything
) -> tuple[Explanation | None, list[Failure]]:
    """The explanation an answer holds, or None with the gates it failed."""
    facts, claim = chosen_facts(pair, stance), next(iter(completion.claims), Claim(""))
    text, slot = tidy(claim.text), request.slots[0]
    body, fact_ids = text.removeprefix(slot.opening), tuple(fact.fact_id for fact in facts)
    failed = failures(text, stance, fact_ids, facts, slot.opening, request.system, spoken_title(pair.title))
    failed += miscites(claim, slot, [shown.label for shown in request.facts])
    if not _draws_on(body, facts):
        failed.append(Failure.CITATION)
    if _leaves_its_side(body, stance, facts):
        failed.append(Failure.STANCE)
    if completion.finish is not FinishReason.STOP:
        failed.append(Failure.UNFINISHED)
    if not failed and not follows("\n".join(fact.text for fact in facts), text):
        failed.append(Failure.ENTAILMENT)
    if failed:
        return None, list(dict.fromkeys(failed))
    return _explanation(pair, stance, text, facts, request), []


def _explanation(pair: Pair, stance: Stance, text: str, facts: Sequence[Fact], request: TextRequest) -> Explanation:
    return Explanation(
        consumer_id=pair.consumer_id,
        product_id=pair.product_id,
        stance=stance,
        text=text,
        fact_ids=tuple(fact.fact_id for fact in facts),
        evidence_time=max(fact.evidence_time for fact in facts),
        granularity="pair",
        model=request.model.name,
        request_key=request.key,
    )


def parse_pairs(
    pairs: Sequence[Pair],
    completions: Mapping[str, Completion],
    identity: ModelIdentity,
    config: PairConfig | None = None,
    follows: Follows = anything,
) -> ParsedPairs:
    """The texts of the pairs both of whose sides passed the gates and differ; for the others facets speak.

    Args:
        pairs: as given to `pair_requests`.
        completions: answers by request key, those to second requests included.
        identity: as given to `pair_requests`.
        config: as given to `pair_requests`.
        follows: the stricter check of what passed the gates.
    """
    texts: list[Explanation] = []
    rejected: list[Rejected] = []
    for pair in pairs:
        requests = zip(STANCES, pair_requests(pair, identity, config), strict=False)
        read = [
            _read_twice(pair, stance, request, completions, follows)
            for stance, request in requests
            if request.key in completions
        ]
        rejected += [line for _, lines in read for line in lines]
        passed = [(text, request) for (text, request), _ in read if text is not None]
        failure = _unfit(pair_texts := [text for text, _ in passed])
        if failure is None:
            texts += pair_texts
        else:
            rejected += [Rejected(request, 0, text.text, (failure,)) for text, request in passed]
    return ParsedPairs(tuple(texts), tuple(rejected))


def _unfit(texts: Sequence[Explanation]) -> Failure | None:
    """Why what passed of a pair is no argument: one side alone, or both saying the same."""
    if len(texts) < len(STANCES):
        return Failure.ONE_SIDED
    return Failure.CONTRAST if turned_round([(text.stance, text.text) for text in texts]) else None


def _read_twice(
    pair: Pair, stance: Stance, request: TextRequest, completions: Mapping[str, Completion], follows: Follows
) -> tuple[tuple[Explanation | None, TextRequest], list[Rejected]]:
    """One side of a pair from its first answer, or from the second if the first was refused and asked for again."""
    if request.slots[0].about:
        return _read_lines(pair, stance, request, completions, follows)
    text, failed = parse_pair(pair, stance, request, completions[request.key], follows)
    if text is not None:
        return (text, request), []
    refused = Rejected(request, 0, _line(completions[request.key]), tuple(failed))
    second = refused.second
    if second is None or second.key not in completions:
        return (None, request), [refused]
    text, failed = parse_pair(pair, stance, second, completions[second.key], follows)
    if text is not None:
        return (text, second), [replace(refused, recovered=True)]
    return (None, request), [refused, Rejected(second, 0, _line(completions[second.key]), tuple(failed))]


def _read_lines(
    pair: Pair, stance: Stance, request: TextRequest, completions: Mapping[str, Completion], follows: Follows
) -> tuple[tuple[Explanation | None, TextRequest], list[Rejected]]:
    """One side of a pair whose facts were worded one by one: all lines together, if all passed."""
    facts = chosen_facts(pair, stance)
    lines = [read_twice(request, place, fact, completions, follows) for place, fact in enumerate(facts)]
    text = " ".join(line.text for line in lines) if all(line.text for line in lines) else ""
    refused = [rejected for line in lines for rejected in line.rejected]
    return (_explanation(pair, stance, text, facts, request) if text else None, request), refused


def _line(completion: Completion) -> str:
    return completion.lines[0] if completion.lines else ""


def _leaves_its_side(body: str, stance: Stance, facts: Sequence[Fact]) -> bool:
    """Whether a reason from a fact for and a fact against (a taste, and fans who were let down) has but the wrong one.

    Or says that the consumer rated what is only being recommended to them.
    """
    mixed = len({fact.polarity for fact in facts} - {0}) > 1
    said = {word.strip(".,;:") for word in body.lower().split()}
    return (mixed and not said & TAKES_SIDE[stance]) or _RATED_IT.search(body) is not None


def _draws_on(body: str, facts: Sequence[Fact]) -> bool:
    """Whether a text has any content word or number of its facts."""
    texts = " ".join(f"{fact.text} {fact.aspect}" for fact in facts)
    return bool((stems(body) - _CONTENTLESS) & stems(texts))
