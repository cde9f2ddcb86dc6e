"""What the embedded model is tuned on: facts of invented worlds, each with a lead and one right way to go on.

Targets come from sentence families; only those that pass the gates are kept, so the model never sees a text that
would be refused. Some domains are held out, to see whether what was learned is the task and not the words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from random import Random

from features.types import Fact
from models.explanations.gates import failures
from models.explanations.leads import leads_of
from models.explanations.statements import Kind, take_apart
from models.explanations.styles import TUNED, own_side
from models.explanations.tuning_domains import DOMAINS, Domain
from models.explanations.tuning_targets import continuations
from models.explanations.tuning_worlds import world_facts

SHARES = {
    Kind.TASTE: 0.24,
    Kind.TITLE: 0.08,
    Kind.WROTE: 0.14,
    Kind.MEAN: 0.1,
    Kind.COUNT: 0.07,
    Kind.AFFINITY: 0.12,
    Kind.REVIEW: 0.1,
    Kind.DESCRIPTION: 0.13,
    Kind.ATTRIBUTE: 0.01,
}
"""Wanted of each kind of fact among the examples."""
SLACK = 1.3
"""By so much a common kind may exceed its share, in place of those that are rare in the invented worlds."""
PER_WORLD = 4
"""Of each kind from one world, so that even few examples are of all domains."""


@dataclass(frozen=True)
class Example:
    """One answer to learn: the prompt, the forced opening, and what should follow it."""

    domain: str
    fact: Fact
    prompt: str
    opening: str
    answer: str


def examples(n: int, seed: int, held_out: bool = False) -> list[Example]:
    """`n` different examples of the trained domains, or of the held-out ones; the same seed gives the same."""
    return list(islice(_stream(seed, held_out, n), n))


def _stream(seed: int, held_out: bool, n: int) -> Iterator[Example]:
    """Examples world by world, each kind up to its share of `n`, no prompt and opening twice."""
    domains = [domain for domain in DOMAINS if domain.held_out is held_out]
    rng, seen = Random(f"{seed}/{held_out}"), set[tuple[str, str]]()
    room = {kind: SLACK * share * n + 1 for kind, share in SHARES.items()}
    for turn in count():
        domain, wanted = domains[turn % len(domains)], {kind: min(PER_WORLD, int(left)) for kind, left in room.items()}
        facts = world_facts(domain, seed * 1000 + turn)
        for fact in rng.sample(facts, len(facts)):
            kind = take_apart(fact).kind
            example = _worded(domain, fact, rng) if wanted[kind] else None
            if example is not None and (example.prompt, example.opening) not in seen:
                seen.add((example.prompt, example.opening))
                wanted[kind] -= 1
                room[kind] -= 1
                yield example


def _worded(domain: Domain, fact: Fact, rng: Random) -> Example | None:
    """A fact with one of its leads and one way to go on, if that would be published."""
    statement, stance = take_apart(fact), own_side(fact)
    opening = statement.fill(rng.choice(leads_of(statement, stance)))
    answer = rng.choice(continuations(statement, opening))
    if failures(f"{opening} {answer}", stance, [fact.fact_id], [fact], opening):
        return None
    return Example(domain.many, fact, TUNED.about(fact, stance), opening, answer)
