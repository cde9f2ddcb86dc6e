"""What consumers look for, worded by the language model from the titles they chose: LANE's preferences as facets.

They take the place of the facets that attract a consumer, so that codes, feature store, ranker and service know them as
facets: a method that attends over a consumer's facets attends over them, and its weights are theirs. Titles are of
what was liked, since histories hold that too, and of no later time than the consumer's facts. A consumer of whom no
answer is usable keeps the facets that were there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from features.sentences import spoken_title
from features.types import EntityKind, Facet, Fact, ModelIdentity, Snapshot, Stance, content_hash
from models.explanations.facets import by_entity
from models.explanations.plan import Asked
from models.explanations.preferences import MAX_TITLES, Ask, Preference, ask_preferences, preference_request

WEIGHT = 1.0
"""Of every preference: the model was asked for no weights, and the ranker's attention gives them theirs."""


@dataclass(frozen=True)
class Chosen:
    """What a consumer chose within the evidence window."""

    titles: tuple[str, ...]
    """In order of time."""
    until: datetime
    """When the last of them was chosen."""


def with_preferences(
    facets: Sequence[Facet], facts: Sequence[Fact], snapshot: Snapshot, identity: ModelIdentity, ask: Ask, m: int
) -> tuple[Facet, ...]:
    """Facets with m preferences in the place of what attracts each consumer who has an answer.

    Args:
        facets: as they were worded, by entity, stance and rank.
        facts: of all entities; a preference rests on those of its consumer that name a title it cites, or else on all
            that speak for something.
        snapshot: the training period.
        identity: the model that answers.
        ask: has requests answered, through the ledger.
        m: preferences per consumer.
    """
    own, chosen = _of_consumers(facts), _drawn_to_something(facts, snapshot)
    found = ask_preferences({who: it.titles for who, it in chosen.items()}, identity, ask, m) if chosen else {}
    made = [
        _facet(who, rank, preference, own[who], chosen[who])
        for who, preferences in found.items()
        for rank, preference in enumerate(preferences)
    ]
    kept = [facet for facet in facets if not (_attracts(facet) and facet.entity_id in found)]
    return tuple(sorted([*kept, *made], key=_order))


def first_tries(facts: Sequence[Fact], snapshot: Snapshot, identity: ModelIdentity, m: int) -> list[Asked]:
    """What `with_preferences` asks if every answer is usable at once; how many tries fail nobody knows before."""
    chosen = _drawn_to_something(facts, snapshot)
    return [
        Asked(preference_request(it.titles, identity, m), ((EntityKind.CONSUMER, who),)) for who, it in chosen.items()
    ]


def _drawn_to_something(facts: Sequence[Fact], snapshot: Snapshot) -> dict[str, Chosen]:
    """`chosen_titles` of the consumers of whom a fact says what attracts them, which a preference may rest on."""
    drawn = {who for who, own in _of_consumers(facts).items() if any(fact.polarity > 0 for fact in own)}
    return {who: it for who, it in chosen_titles(snapshot, facts).items() if who in drawn}


def chosen_titles(snapshot: Snapshot, facts: Sequence[Fact]) -> dict[str, Chosen]:
    """What each consumer had liked by the time of their latest fact, by consumer; the latest titles only.

    So preferences rest on what the facts rest on, and are worded anew when those are made again.
    """
    frame = snapshot.interactions.frame
    until = {who: max(it.evidence_time for it in own) for who, own in _of_consumers(facts).items()}
    known = frame["timestamp"] <= pd.to_datetime(frame["consumer_id"].map(until), utc=True)
    kept = frame[known & ~(frame["rating"] < snapshot.scale.like_from)]
    titles = snapshot.catalog.products.set_index("product_id")["title"]
    told = kept.assign(title=kept["product_id"].map(titles).fillna("").map(spoken_title))
    told = told[told["title"] != ""]
    return {
        str(who): Chosen(tuple(rows["title"].tail(MAX_TITLES)), rows["timestamp"].iloc[-1].to_pydatetime())
        for who, rows in told.groupby("consumer_id")
    }


def _of_consumers(facts: Sequence[Fact]) -> dict[str, list[Fact]]:
    return {who: group for (kind, who), group in by_entity(facts).items() if kind is EntityKind.CONSUMER}


def _facet(who: str, rank: int, preference: Preference, facts: Sequence[Fact], chosen: Chosen) -> Facet:
    attracting = [fact for fact in facts if fact.polarity > 0]
    naming = [fact for fact in attracting if any(title in fact.text for title in preference.titles)]
    cited = naming or attracting
    return Facet(
        facet_id=f"c{who}.preference.{rank}.{Stance.FOR.value}",
        entity_kind=EntityKind.CONSUMER,
        entity_id=who,
        stance=Stance.FOR,
        rank=rank,
        text=preference.text,
        weight=WEIGHT,
        fact_ids=tuple(fact.fact_id for fact in cited),
        evidence_time=max([chosen.until, *(fact.evidence_time for fact in cited)]),
        request_key=preference.request.key,
        input_hash=content_hash(chosen.titles),
        model=preference.request.model.name,
    )


def _attracts(facet: Facet) -> bool:
    return facet.entity_kind is EntityKind.CONSUMER and facet.stance is Stance.FOR


def _order(facet: Facet) -> tuple[str, str, int, int]:
    return facet.entity_kind.value, facet.entity_id, list(Stance).index(facet.stance), facet.rank
