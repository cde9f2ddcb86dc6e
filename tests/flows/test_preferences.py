"""Preferences in a run: they take the place of what attracts a consumer, through ledger, budget, gates and contract."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd
import pytest

from features.ledger import Ledger
from features.types import (
    ATTRIBUTE_COLUMNS,
    Catalog,
    EntityKind,
    Fact,
    Interactions,
    RatingScale,
    Snapshot,
    TextRequest,
)
from flows.explain import explain_entities, plan_explanations
from flows.preferences import Chosen, chosen_titles
from flows.recipe import DataSection, ExplainSection, Recipe
from flows.workspace import Workspace
from models.explanations.plan import Fate, PlannedRequest
from models.explanations.preferences import KIND, TRIES
from models.llm.scripted import SCRIPTED, ScriptedEngine, continue_openings

M = 3
WORLD = DataSection(name="world", layout="world", n_consumers=30, n_products=40, n_interactions=450)
LOOKED_FOR = ["Slow stories that end well.", "Things that last for years.", "Whatever is new this year."]
SILENT = 5
"""One in so many consumers gets no usable answer, by the number of their titles."""


def recipe(n_preferences: int = M, **section: int) -> Recipe:
    return Recipe(data=WORLD, explain=ExplainSection(n_preferences=n_preferences, **section))


def answer(request: TextRequest) -> Sequence[str]:
    """Three preferences for most consumers; for some three times the same, whatever the try."""
    silent = request.kind == KIND and len(request.facts) % SILENT == 0
    return LOOKED_FOR[:1] * M if silent else always_usable(request)


def always_usable(request: TextRequest) -> Sequence[str]:
    """Three preferences for everybody at the first try."""
    return LOOKED_FOR if request.kind == KIND else continue_openings(request)


@pytest.fixture
def workspace(own_home: object) -> Workspace:
    return Workspace.open()


def asked(engine: ScriptedEngine) -> list[TextRequest]:
    return [request for request in engine.seen if request.kind == KIND]


def attracting(workspace: Workspace) -> pd.DataFrame:
    facets = workspace.lake.read("facets")
    return facets[(facets["entity_kind"] == "consumer") & (facets["stance"] == "for")]


@pytest.mark.slow
def test_preferences_take_the_place_of_what_attracts_and_leave_the_rest(workspace: Workspace) -> None:
    explain_entities(workspace, recipe(0), engine=ScriptedEngine(answer))
    before = workspace.lake.read("facets").set_index("facet_id")
    explain_entities(workspace, recipe(), engine=ScriptedEngine(answer))
    after, attractors = workspace.lake.read("facets").set_index("facet_id"), attracting(workspace)
    preferences = attractors[attractors["facet_id"].str.contains(".preference.", regex=False)]
    by_consumer = preferences.groupby("entity_id")
    assert len(by_consumer) > 10
    assert all(list(rows.sort_values("rank")["text"]) == LOOKED_FOR for _, rows in by_consumer)
    others = before[~((before["stance"] == "for") & before["entity_id"].isin(set(preferences["entity_id"])))]
    pd.testing.assert_frame_equal(after.loc[others.index], others)
    assert len(after) == len(others) + len(preferences)


@pytest.mark.slow
def test_a_consumer_without_a_usable_answer_keeps_their_facets_after_all_tries(workspace: Workspace) -> None:
    engine = ScriptedEngine(answer)
    result = explain_entities(workspace, recipe(), engine=engine)
    tries = pd.Series([tuple(fact.text for fact in request.facts) for request in asked(engine)]).value_counts()
    assert set(tries) == {1, TRIES}
    kept = attracting(workspace).groupby("entity_id")["facet_id"].agg(lambda ids: ".preference." in ids.iloc[0])
    assert (~kept).sum() >= (tries == TRIES).sum()
    assert result.made == len(engine.seen)
    with Ledger(workspace.settings.ledger_url) as ledger:
        assert len(ledger.find({request.key for request in engine.seen})) == len(engine.seen)


@pytest.mark.slow
def test_a_second_run_buys_nothing(workspace: Workspace) -> None:
    explain_entities(workspace, recipe(), engine=ScriptedEngine(answer))
    first = workspace.lake.read("facets")
    workspace.lake.path("facets").unlink()  # so that the stage runs again
    engine = ScriptedEngine(answer)
    explain_entities(workspace, recipe(), engine=engine)
    assert not engine.seen
    pd.testing.assert_frame_equal(workspace.lake.read("facets"), first)


@pytest.mark.slow
def test_a_used_up_budget_leaves_the_facets(workspace: Workspace) -> None:
    engine = ScriptedEngine(answer)
    explain_entities(workspace, recipe(max_calls=5), engine=engine)
    assert len(engine.seen) == 5
    assert not asked(engine)
    assert not attracting(workspace)["facet_id"].str.contains(".preference.", regex=False).any()


@pytest.mark.slow
def test_a_plan_counts_the_first_tries_in_the_order_in_which_they_are_made(workspace: Workspace) -> None:
    def planned(n_calls: int = 0) -> list[PlannedRequest]:
        plan = plan_explanations(workspace, recipe(max_calls=n_calls), SCRIPTED)
        return [row for row in plan.rows if row.request.kind == KIND]

    before, engine = (
        planned(),
        ScriptedEngine(always_usable),
    )
    assert {row.fate for row in before} == {Fate.BUY}
    explain_entities(workspace, recipe(), engine=engine)
    assert [row.request.key for row in before] == [request.key for request in asked(engine)]
    assert {row.fate for row in planned()} == {Fate.LEDGER}


@pytest.mark.slow
def test_a_plan_leaves_to_preferences_what_facets_leave_of_the_budget(workspace: Workspace) -> None:
    others = len(plan_explanations(workspace, recipe(0), SCRIPTED).rows)
    plan = plan_explanations(workspace, recipe(max_calls=others + 2), SCRIPTED)
    fates = Counter(row.fate for row in plan.rows if row.request.kind == KIND)
    assert fates[Fate.BUY] == 2
    assert fates[Fate.WAITING] > 0


def test_titles_are_of_what_was_liked_by_the_time_of_the_latest_fact() -> None:
    """One later event of the consumer, and one that was not liked, are in no request."""
    times = pd.date_range("2024-01-01", periods=5, freq="D", tz="UTC")
    frame = pd.DataFrame(
        {"row": range(5), "consumer_id": "a", "product_id": [f"p{n}" for n in range(5)], "timestamp": times,
         "rating": [5.0, 1.0, 4.0, 5.0, 5.0], "review": None}
    )  # fmt: skip
    products = pd.DataFrame({"product_id": [f"p{n}" for n in range(5)], "title": list("ABCDE"), "description": ""})
    catalog = Catalog(products, pd.DataFrame(columns=list(ATTRIBUTE_COLUMNS)))
    snapshot = Snapshot(Interactions(frame), catalog, RatingScale(), times[-1].to_pydatetime())
    fact = Fact("ca.x", EntityKind.CONSUMER, "a", "x", "rated A 5 of 5", 1, 1.0, "title", times[3].to_pydatetime())
    assert chosen_titles(snapshot, [fact]) == {"a": Chosen(("A", "C", "D"), times[3].to_pydatetime())}
    assert chosen_titles(snapshot, []) == {}
