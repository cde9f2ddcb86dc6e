"""Facts are made again when what they rest on changed, and for consumers not before enough happened."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.evidence import EvidenceWindow
from features.facts import Wording, consumer_facts, product_facts
from features.freshness import WRITERS, DebounceRule, Entity, Renewal, cosine_distance, own_inputs, renew
from features.lake import Lake
from features.records import from_frame, to_frame
from features.types import Catalog, EntityKind, Fact, Interactions, RatingScale, Snapshot

ROOT = Path(__file__).resolve().parents[2]
START = datetime(2020, 1, 1, tzinfo=UTC)
NOW = datetime(2024, 1, 1, tzinfo=UTC)
ALL, WORDING, RULE = EvidenceWindow(share=1.0), Wording(), DebounceRule()
U: Entity = (EntityKind.CONSUMER, "u")
NEVER_MOVED = DebounceRule(moved=2.0)
TITLES = {"d": "Drama", "h": "Horror", "c": "Comedy"}

Event = tuple[str, str, float]


def shop(events: list[Event], genre: dict[str, str] | None = None, title: dict[str, str] | None = None) -> Snapshot:
    """One event a day; a product's genre is its first letter's unless given."""
    frame = pd.DataFrame(events, columns=["consumer_id", "product_id", "rating"])
    times = [START + timedelta(days=n) for n in range(len(frame))]
    frame = frame.assign(timestamp=pd.DatetimeIndex(times).as_unit("us"), row=np.arange(len(frame)), review=None)
    ids = [f"{letter}{n}" for letter in TITLES for n in range(12)]
    titles = [(title or {}).get(i, f"Title {i}") for i in ids]
    products = pd.DataFrame({"product_id": ids, "title": titles, "description": ""})
    values = [(genre or {}).get(i, TITLES[i[0]]) for i in ids]
    attributes = pd.DataFrame({"product_id": ids, "name": "genre", "value": values})
    return Snapshot(Interactions(frame), Catalog(products, attributes), RatingScale(), NOW)


def history(n: int = 6, consumer: str = "u") -> list[Event]:
    """Dramas rated 5 and horror rated 2, in turn."""
    return [(consumer, f"{'dh'[k % 2]}{k // 2}", (5.0, 2.0)[k % 2]) for k in range(2 * n)]


def consumers(snapshot: Snapshot) -> list[Fact]:
    return consumer_facts(snapshot, ALL, WORDING)


def products(snapshot: Snapshot) -> list[Fact]:
    return product_facts(snapshot, ALL, WORDING)


def made(
    snapshot: Snapshot,
    before: Renewal | None = None,
    rule: DebounceRule = RULE,
    now: datetime = NOW,
    write: Callable[[Snapshot], list[Fact]] = consumers,
) -> Renewal:
    """A generation of facts about consumers or products, the first one or after another."""
    facts, states = (before.facts, before.states) if before else ((), ())
    return renew(write(snapshot), own_inputs(snapshot, ALL, WORDING), facts, states, rule, now)


def of(renewal: Renewal, entity: Entity = U) -> list[Fact]:
    return [fact for fact in renewal.facts if (fact.entity_kind, fact.entity_id) == entity]


def test_a_first_generation_makes_all_facts_in_their_own_order() -> None:
    snapshot = shop(history() + history(6, "v"))
    first = made(snapshot)
    assert list(first.facts) == consumers(snapshot)
    assert U in first.remade
    assert not first.kept


def test_nothing_changed_means_nothing_is_remade() -> None:
    first = made(shop(history()))
    second = made(shop(history()), first)
    assert (second.facts, second.states) == (first.facts, first.states)
    assert not second.remade


@pytest.mark.parametrize(("n_new", "remade"), [(1, False), (4, False), (5, True)])
def test_a_consumer_waits_for_enough_new_events(n_new: int, remade: bool) -> None:
    first = made(shop(history()))
    more = [("u", f"d{6 + n}", 5.0) for n in range(n_new)]
    second = made(shop(history() + more), first, NEVER_MOVED)
    assert (U in second.remade, U in second.kept) == (remade, not remade)
    assert (of(second) == of(first)) is not remade


def test_waiting_events_add_up_over_generations() -> None:
    first = made(shop(history()))
    second = made(shop([*history(), ("u", "d6", 5.0), ("u", "d7", 5.0), ("u", "d8", 5.0)]), first, NEVER_MOVED)
    more = [("u", f"d{n}", 5.0) for n in range(6, 11)]
    assert U in made(shop(history() + more), second, NEVER_MOVED).remade


def test_a_moved_history_does_not_wait() -> None:
    first = made(shop(history(3)))
    turned = shop([*history(3), ("u", "c0", 5.0), ("u", "c1", 5.0)])
    assert U in made(turned, first).remade
    assert U in made(turned, first, NEVER_MOVED).kept


def test_both_thresholds_are_settings() -> None:
    first, grown = made(shop(history())), shop([*history(), ("u", "d6", 5.0)])
    assert U in made(grown, first).kept
    assert U in made(grown, first, DebounceRule(new_events=1)).remade
    assert U in made(grown, first, DebounceRule(moved=0.0)).remade


def test_a_renamed_product_of_the_history_does_not_wait() -> None:
    first = made(shop(history()))
    named = next(f"{letter}{n}" for letter in "dh" for n in range(6) if f"Title {letter}{n}" in str(of(first)))
    second = made(shop(history(), title={named: "Another Name"}), first)
    assert U in second.remade
    assert "Another Name" in str(of(second))
    assert f"Title {named}" not in str(second.facts)


@pytest.mark.parametrize("gone", [0, 5, 11], ids=["first", "middle", "last"])
def test_a_removed_interaction_does_not_wait(gone: int) -> None:
    events = history()
    first = made(shop(events))
    assert U in made(shop(events[:gone] + events[gone + 1 :]), first).remade


def test_a_changed_rating_does_not_wait() -> None:
    events = history()
    first = made(shop(events))
    events[2] = ("u", events[2][1], 1.0)
    assert U in made(shop(events), first).remade


def test_deleted_consumers_and_products_vanish() -> None:
    both = made(shop(history() + history(6, "v")))
    alone = made(shop(history()), both)
    assert {state.entity_id for state in both.states} - {state.entity_id for state in alone.states} == {"v"}
    assert not of(alone, (EntityKind.CONSUMER, "v"))


def test_others_keep_the_corpus_figures_of_their_day() -> None:
    """New aspects and new ratings move ranks and means of the whole catalog; facts of others stay."""
    events = history()
    first = made(shop(events), write=products)
    changed = shop(events + history(6, "v"), genre={"c0": "Western", "c1": "Western"})
    later = made(changed, first, write=products)
    untouched = (EntityKind.PRODUCT, "c5")
    assert of(later, untouched) == of(first, untouched)
    assert untouched not in later.remade
    assert (EntityKind.PRODUCT, "c0") in later.remade


def test_old_facts_are_made_again_in_any_case() -> None:
    first = made(shop(history()))
    assert not made(shop(history()), first, now=NOW + timedelta(days=89)).remade
    assert U in made(shop(history()), first, now=NOW + timedelta(days=90)).remade


def test_a_distance_needs_two_directions() -> None:
    assert cosine_distance({"a": 1.0}, {"a": 2.0}) == pytest.approx(0)
    assert cosine_distance({"a": 1.0}, {"b": 2.0}) == pytest.approx(1)
    assert cosine_distance({"a": 1.0}, {"a": -1.0}) == pytest.approx(2)
    assert (cosine_distance({}, {}), cosine_distance({}, {"a": 1.0})) == (0.0, 1.0)


def test_texts_are_as_old_as_their_last_complete_wording() -> None:
    state = made(shop(history())).states[0]
    assert state.worded(complete=False, now=NOW).worded_at is None
    done = state.worded(complete=True, now=NOW)
    assert done.worded_at == NOW
    later = NOW + timedelta(days=9)
    assert done.worded(complete=True, now=later).worded_at == NOW
    assert replace(done, made_at=later).worded(complete=True, now=later).worded_at == later


def test_all_code_that_writes_facts_counts_as_such() -> None:
    folder, found, open_names = ROOT / "features", set[str](), {"facts"}
    while open_names:
        found |= open_names
        texts = [(folder / f"{name}.py").read_text() for name in open_names]
        open_names = {
            name for text in texts for name in re.findall(r"^from features\.(\w+) import", text, re.M)
        } - found
    assert found - {"types", "errors"} == set(WRITERS)


def test_states_come_back_from_the_lake(tmp_path_factory: pytest.TempPathFactory) -> None:
    lake, first = Lake(tmp_path_factory.mktemp("lake")), made(shop(history()))
    states = [state.worded(state.entity == U, NOW) for state in first.states]
    lake.write("states", to_frame(states, type(states[0])), "x")
    assert from_frame(lake.read("states"), type(states[0])) == states
