"""Texts for one pair, as published for LR-Recsys: why this consumer would like this product, and why not.

Both questions are asked of every pair whatever its outcome, with the same facts from before its time; they differ
only in the polarity phrase. So no text can carry a label. Two questions and a fixed opening clause are the
published method (LR-Recsys); the wording of the prompts is ours.
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
    ShownFact,
    Slot,
    Stance,
    TextRequest,
)
from features.words import CONTRARY, FUNCTION_WORDS, stem, stems
from models.explanations.facets import tidy
from models.explanations.gates import Failure, failures, miscites, turned_round
from models.explanations.retry import Rejected

PAIR_KIND = "pair_reason"
PAIR_SYSTEM = """\
You give one reason, in one plain sentence, from facts about a person and a product. Add nothing to the facts.

The person:
- rated 12 jazz records 4.6 of 5 on average, above their usual 3.4; among them Kind of Blue
- rated 7 opera records 2.1 of 5 on average, below their usual 3.4; among them Tosca
The product, Blue Hour:
- its genre is Jazz
- the 5 consumers who enjoy opera records rated it 2.1 of 5 on average, below its overall 3.9
Why would this person enjoy it?
This person would enjoy it because it is one of the jazz records, which they rated above their usual.
Why would this person not enjoy it?
This person would not enjoy it because those who enjoy opera records rated it below its overall 3.9."""

POLARITY = {Stance.FOR: "enjoy", Stance.AGAINST: "not enjoy"}
"""The phrase in which the two questions, and the two openings, differ. Nothing else does."""
PROMPT = "The person:\n{consumer}\nThe product, {title}:\n{product}\nWhy would this person {polarity} it?"
OPENING = "This person would {polarity} it because"
_CONTENTLESS = frozenset(stem(word) for word in FUNCTION_WORDS)
_RATED_IT = re.compile(r"\bthey (?:have |had |did not )?(?:rated?|enjoy(?:ed)?|liked?|disliked?) it\b")
"""Nobody has rated yet what is recommended to them; a small model mixes up who rated what."""
_OF_TASTES = frozenset(("enjoy", "enjoys", "enjoyed", "like", "likes", "liked"))
"""May be said of others on either side: `those who enjoy opera rated it below its overall 3.9`."""


class PairConfig(BaseModel):
    """How much is shown and asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_facts: int = 2
    """Facts per entity and polarity."""
    max_tokens: int = 48


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


def pair_requests(
    pair: Pair, identity: ModelIdentity, config: PairConfig | None = None
) -> tuple[TextRequest, TextRequest]:
    """The two requests of a pair, in the order of `STANCES`. Raises InputError on facts that are not earlier."""
    config = config or PairConfig()
    consumer, product = shown_facts(pair, config)
    texts = {"consumer": _listed(consumer), "product": _listed(product)}
    title = spoken_title(pair.title) or "unnamed"
    shown = tuple(ShownFact(f"F{n}", fact.text) for n, fact in enumerate([*consumer, *product], 1))
    labels = tuple(fact.label for fact in shown)
    made = [
        TextRequest(
            PAIR_KIND,
            f"{pair.consumer_id} x {pair.product_id} {stance.value}",
            PAIR_SYSTEM,
            PROMPT.format(title=title, polarity=POLARITY[stance], **texts),
            (Slot(OPENING.format(polarity=POLARITY[stance]), config.max_tokens, stance=stance, cites=labels),),
            identity,
            facts=shown,
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
    facts, claim = [*consumer, *product], next(iter(completion.claims), Claim(""))
    text, slot = tidy(claim.text), request.slots[0]
    cited = cited_facts(text.removeprefix(slot.opening), facts)
    fact_ids, title = tuple(fact.fact_id for fact in cited), spoken_title(pair.title)
    failed = failures(text, stance, fact_ids, facts, slot.opening, request.system, title)
    failed += miscites(claim, slot, [shown.label for shown in request.facts])
    if _argues_the_other_side(text.removeprefix(slot.opening), stance):
        failed.append(Failure.STANCE)
    if completion.finish is not FinishReason.STOP:
        failed.append(Failure.UNFINISHED)
    if failed:
        return None, list(dict.fromkeys(failed))
    explanation = Explanation(
        consumer_id=pair.consumer_id,
        product_id=pair.product_id,
        stance=stance,
        text=text,
        fact_ids=fact_ids,
        evidence_time=max(fact.evidence_time for fact in cited),
        granularity="pair",
        model=request.model.name,
        request_key=request.key,
    )
    return explanation, []


def parse_pairs(
    pairs: Sequence[Pair],
    completions: Mapping[str, Completion],
    identity: ModelIdentity,
    config: PairConfig | None = None,
) -> ParsedPairs:
    """The texts of the pairs both of whose sides passed the gates and differ; for the others facets speak.

    Args:
        pairs: as given to `pair_requests`.
        completions: answers by request key, those to second requests included.
        identity: as given to `pair_requests`.
        config: as given to `pair_requests`.
    """
    texts: list[Explanation] = []
    rejected: list[Rejected] = []
    for pair in pairs:
        requests = zip(STANCES, pair_requests(pair, identity, config), strict=True)
        read = [
            _read_twice(pair, stance, request, completions, config)
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
    pair: Pair, stance: Stance, request: TextRequest, completions: Mapping[str, Completion], config: PairConfig | None
) -> tuple[tuple[Explanation | None, TextRequest], list[Rejected]]:
    """One side of a pair from its first answer, or from the second if the first was refused and asked for again."""
    text, failed = parse_pair(pair, stance, request, completions[request.key], config)
    if text is not None:
        return (text, request), []
    refused = Rejected(request, 0, _line(completions[request.key]), tuple(failed))
    second = refused.second
    if second is None or second.key not in completions:
        return (None, request), [refused]
    text, failed = parse_pair(pair, stance, second, completions[second.key], config)
    if text is not None:
        return (text, second), [replace(refused, recovered=True)]
    return (None, request), [refused, Rejected(second, 0, _line(completions[second.key]), tuple(failed))]


def _line(completion: Completion) -> str:
    return completion.lines[0] if completion.lines else ""


def _argues_the_other_side(body: str, stance: Stance) -> bool:
    """Whether a reason has words of the other side, be they carried by a fact or not.

    The prompt shows both sides, so a small model argues with the wrong one: `would not enjoy it because
    they rated such movies above their usual`.
    """
    said = {word.strip(".,;:") for word in body.lower().split()}
    return bool(said & (CONTRARY[stance] - _OF_TASTES)) or _RATED_IT.search(body) is not None


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
