"""Before a generation: the facts that are explained, the requests they call for, and the plan. Writes nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from features.facts import EvidenceWindow, consumer_facts, product_facts
from features.freshness import Entity, EntityState, Renewal, own_inputs, renew
from features.lake import Lake
from features.ledger import Ledger
from features.records import from_frame
from features.types import Completion, EntityKind, Fact, FinishReason, ModelIdentity, Snapshot
from features.wording import Wording
from flows.preferences import first_tries
from flows.recipe import ExplainSection
from models.explanations.facets import FacetConfig, by_entity, facet_requests
from models.explanations.pairs import Pair, pair_requests
from models.explanations.plan import Asked, Plan, entity_worths, make_plan
from models.explanations.selection import choose_pairs

STATES = "explain_state"
"""The lake's table of what each entity's facts were made from (`features/freshness.py`)."""


PAIR = 2
"""Entities a pair's request is about."""


@dataclass(frozen=True)
class Prepared:
    """Everything a generation starts from."""

    snapshot: Snapshot
    """The training period."""
    renewal: Renewal
    pairs: Sequence[Pair]
    asked: Sequence[Asked]
    plan: Plan
    """Of facets and pairs."""
    preferences: Plan
    """First tries of the consumers' preferences, with what the plan leaves of the budget; empty if none are wanted."""
    known: Mapping[str, Completion]
    """What the ledger answers of facets and pairs."""
    failed: Mapping[str, FinishReason]
    now: datetime

    @property
    def facts(self) -> Sequence[Fact]:
        """The facts to explain from."""
        return self.renewal.facts

    def n_pairs_answered(self, answered: Collection[str]) -> int:
        """How many pairs have an answer, usable or not, to each of their requests."""
        waiting = {item.entities for item in self.asked if item.request.key not in answered}
        return len({item.entities for item in self.asked if len(item.entities) == PAIR} - waiting)


def prepare(
    lake: Lake,
    ledger: Ledger,
    world: Snapshot,
    cut: datetime,
    section: ExplainSection,
    identity: ModelIdentity,
    seconds_per_text: float | None = None,
) -> Prepared:
    """Makes the facts again where they have to be, and plans the requests for all of them.

    Args:
        lake: holds the last generation.
        ledger: says what is known already; not made where there is none.
        world: all interactions and the catalog.
        cut: facts know nothing from here on.
        section: of the recipe.
        identity: the model that will answer.
        seconds_per_text: of past runs with that model.
    """
    now, snapshot = datetime.now(UTC), world.before(cut)
    facts_before, states = last_generation(lake)
    window = EvidenceWindow(share=section.evidence_share)
    fresh = gather_facts(snapshot, window, section.wording)
    inputs = own_inputs(snapshot, window, section.wording)
    renewal = renew(fresh, inputs, facts_before, states, section.debounce, now)
    pairs = choose_pairs(snapshot, renewal.facts, section.n_pairs)
    asked = _asked(renewal.facts, pairs, section, identity)
    known, failed = _answered(ledger, asked)
    past = ledger.past_use(identity)
    if seconds_per_text is None and past:
        seconds_per_text = sum(use.seconds for use in past.values()) / sum(use.answers for use in past.values())
    worth = entity_worths(world, states, now)
    plan = make_plan(asked, known, failed, renewal.kept, worth, past, section.budget, seconds_per_text)
    wanted = first_tries(renewal.facts, snapshot, identity, section.n_preferences) if section.n_preferences else []
    there, unusable = _answered(ledger, wanted)
    later = make_plan(wanted, there, unusable, renewal.kept, worth, past, plan.rest_of(section.budget))
    return Prepared(snapshot, renewal, pairs, asked, plan, later, known, failed, now)


def _answered(ledger: Ledger, asked: Sequence[Asked]) -> tuple[Mapping[str, Completion], Mapping[str, FinishReason]]:
    """What the ledger answers of the requests, and what failed before."""
    keys = [item.request.key for item in asked]
    return ledger.find(keys), ledger.failed(keys)


def gather_facts(snapshot: Snapshot, window: EvidenceWindow, wording: Wording) -> list[Fact]:
    """Facts about all consumers and products of a snapshot."""
    return [*consumer_facts(snapshot, window, wording), *product_facts(snapshot, window, wording)]


def facet_config(section: ExplainSection) -> FacetConfig:
    """How facets are asked for."""
    return FacetConfig(n_per_stance=section.n_per_stance, wording=section.wording)


def last_generation(lake: Lake) -> tuple[list[Fact], list[EntityState]]:
    """The facts of the last generation and what they were made from; nothing unless both are of the same one."""
    if not lake.made_from(STATES) or lake.made_from(STATES) != lake.made_from("facts"):
        return [], []
    try:
        return from_frame(lake.read("facts"), Fact), from_frame(lake.read(STATES), EntityState)
    except KeyError:  # tables of another version of the code lack a column
        return [], []


def worded_states(prepared: Prepared, answered: Collection[str]) -> list[EntityState]:
    """The entities' states after a generation, given everything that has an answer, usable or not."""
    waiting: set[Entity] = set()
    for item in prepared.asked:
        if item.request.key not in answered:
            waiting.update(item.entities)
    return [state.worded(state.entity not in waiting, prepared.now) for state in prepared.renewal.states]


def _asked(
    facts: Sequence[Fact], pairs: Sequence[Pair], section: ExplainSection, identity: ModelIdentity
) -> list[Asked]:
    """Every request of the facts, with the entities it is about."""
    config = facet_config(section)
    of_entities = [
        Asked(request, (entity,))
        for entity, group in by_entity(facts).items()
        for request in facet_requests(group, identity, config)
    ]
    of_pairs = [
        Asked(request, ((EntityKind.CONSUMER, pair.consumer_id), (EntityKind.PRODUCT, pair.product_id)))
        for pair in pairs
        for request in pair_requests(pair, identity)
    ]
    return of_entities + of_pairs
