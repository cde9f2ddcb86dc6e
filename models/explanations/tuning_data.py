"""What the embedded model is tuned on: facts of invented worlds, each with a lead and one right way to go on.

Targets come from sentence families; only those that pass the gates are kept, so the model never sees a text that
would be refused. Some domains are held out, to see whether what was learned is the task and not the words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from random import Random

from features.sentences import spoken_title
from features.types import STANCES, EntityKind, Fact, Stance
from models.explanations.gates import failures
from models.explanations.leads import leads_of
from models.explanations.matching import argue
from models.explanations.statements import Kind, take_apart
from models.explanations.styles import TUNED, own_side
from models.explanations.tuning_domains import DOMAINS, Domain
from models.explanations.tuning_targets import PAIR_LEADS, continuations, pair_continuations
from models.explanations.tuning_worlds import world_facts

SHARES: dict[Kind | None, float] = {
    Kind.TASTE: 0.21,
    Kind.TITLE: 0.08,
    Kind.WROTE: 0.14,
    Kind.MEAN: 0.1,
    Kind.COUNT: 0.07,
    Kind.FEW: 0.01,
    Kind.AFFINITY: 0.09,
    Kind.REVIEW: 0.1,
    Kind.DESCRIPTION: 0.1,
    Kind.ATTRIBUTE: 0.01,
    None: 0.09,
}
"""Wanted of each kind of fact among the examples; None is a pair of facts."""
SLACK = 1.3
"""By so much a common kind may exceed its share, in place of those that are rare in the invented worlds."""
PER_WORLD = 4
"""Of each kind from one world, so that even few examples are of all domains."""
PAIRS_PER_WORLD = 20
"""Drawn at random; most have no facts about the same thing."""


@dataclass(frozen=True)
class Example:
    """One answer to learn: the prompt, the forced opening, and what should follow it."""

    domain: str
    kind: Kind | None
    prompt: str
    opening: str
    answer: str
    stance: Stance
    facts: tuple[Fact, ...]


def examples(n: int, seed: int, held_out: bool = False) -> list[Example]:
    """`n` different examples of the trained domains, or of the held-out ones; the same seed gives the same."""
    return list(islice(_stream(seed, held_out, n), n))


def _stream(seed: int, held_out: bool, n: int) -> Iterator[Example]:
    """Examples world by world, each kind up to its share of `n`, no prompt and opening twice."""
    domains = [domain for domain in DOMAINS if domain.held_out is held_out]
    rng, seen = Random(f"{seed}/{held_out}"), set[tuple[str, str]]()
    room = {kind: SLACK * share * n + 1 for kind, share in SHARES.items()}
    for turn in count():
        wanted = {kind: min(PER_WORLD, int(left)) for kind, left in room.items()}
        for example in _of_world(domains[turn % len(domains)], seed * 1000 + turn, wanted, rng):
            if (example.prompt, example.opening) not in seen:
                room[example.kind] -= 1
                seen.add((example.prompt, example.opening))
                yield example


def _of_world(domain: Domain, seed: int, wanted: dict[Kind | None, int], rng: Random) -> Iterator[Example]:
    """Examples of one invented world, of each kind as many as are wanted, as far as it has them."""
    facts, titles = world_facts(domain, seed)
    for fact in rng.sample(facts, len(facts)):
        kind = take_apart(fact).kind
        if wanted[kind] and (made := _worded(domain, fact, rng)) is not None:
            wanted[kind] -= 1
            yield made
    consumers, products = _grouped(facts, EntityKind.CONSUMER), _grouped(facts, EntityKind.PRODUCT)
    for _ in range(PAIRS_PER_WORLD if wanted[None] else 0):
        product, stance = rng.choice(list(products)), rng.choice(STANCES)
        chosen = argue(consumers[rng.choice(list(consumers))], products[product], stance)
        made = _argued(domain, spoken_title(titles[product]), chosen, stance, rng) if len(chosen) == 2 else None
        if made is not None and wanted[None]:
            wanted[None] -= 1
            yield made


def _worded(domain: Domain, fact: Fact, rng: Random) -> Example | None:
    statement = take_apart(fact)
    stance = own_side(fact)
    opening = statement.fill(rng.choice(leads_of(statement, stance)))
    prompt, answers = TUNED.about(fact, stance), continuations(statement, opening)
    return _checked(domain, statement.kind, prompt, opening, answers, stance, (fact,), rng)


def _argued(domain: Domain, title: str, facts: tuple[Fact, ...], stance: Stance, rng: Random) -> Example | None:
    opening = rng.choice(PAIR_LEADS[stance]).format(title=title)
    answers = pair_continuations(take_apart(facts[0]), take_apart(facts[1]), stance)
    prompt = f"pair {stance}: {title}\n" + "\n".join(f"{fact.entity_kind}: {fact.text}" for fact in facts)
    return _checked(domain, None, prompt, opening, answers, stance, facts, rng)


def _checked(
    domain: Domain,
    kind: Kind | None,
    prompt: str,
    opening: str,
    answers: Sequence[str],
    stance: Stance,
    facts: tuple[Fact, ...],
    rng: Random,
) -> Example | None:
    """One of the answers, if it would be published."""
    answer, cited = rng.choice(answers), [fact.fact_id for fact in facts]
    if failures(f"{opening} {answer}", stance, cited, facts, opening):
        return None
    return Example(domain.many, kind, prompt, opening, answer, stance, facts)


def _grouped(facts: Sequence[Fact], kind: EntityKind) -> dict[str, list[Fact]]:
    groups: dict[str, list[Fact]] = {}
    for fact in facts:
        if fact.entity_kind is kind:
            groups.setdefault(fact.entity_id, []).append(fact)
    return groups
