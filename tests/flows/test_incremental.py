"""What is asked again when files change: through the real readers, facts, requests, plan and ledger."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.proofs.incremental import Shop, Size, measure_entities, measure_pairs
from features.freshness import EntityState
from features.lake import Lake
from features.ledger import Ledger
from features.records import to_frame
from features.types import Fact, TextRequest
from flows.explain import explain_entities
from flows.ingest import preview
from flows.prepare import STATES, Prepared, prepare, worded_states
from flows.recipe import DataSection, ExplainSection, Recipe
from flows.shards import buy
from flows.workspace import Workspace
from models.base import silent
from models.explanations.plan import Fate
from models.llm.scripted import SCRIPTED, ScriptedEngine

EXPLAIN = ExplainSection(n_pairs=40, evidence_share=0.6)

SLOW = pytest.mark.slow
NAMED = 4
"""A product that facts of consumers name."""

Change = Callable[[pd.DataFrame], pd.DataFrame]


class Files(Shop):
    """A shop explained without contracts and gates."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Size(20, 15, 110), EXPLAIN)
        self.engine, self.lake = ScriptedEngine(), Lake(folder / "lake")
        self.ledger_url, self.section = f"sqlite:///{folder / 'ledger.sqlite'}", EXPLAIN

    def prepared(self) -> Prepared:
        """Reads the files and plans."""
        self.write()
        ingested, world = preview(self.recipe)
        with Ledger(self.ledger_url) as ledger:
            return prepare(self.lake, ledger, world, ingested.as_of, self.section, SCRIPTED)

    def generation(self) -> tuple[list[TextRequest], Prepared]:
        """Has everything answered that the budget allows; returns what was asked."""
        self.engine.seen.clear()
        prepared = self.prepared()
        requests = [row.request for row in prepared.plan.to_make]
        bought = buy(requests, self.engine, self.ledger_url, silent, self.section.budget, self.section.shard_size)
        answered = {**prepared.known, **bought.completions}
        self.lake.write("facts", to_frame(prepared.facts, Fact), str(prepared.now))
        self.lake.write(STATES, to_frame(worded_states(prepared, answered), EntityState), str(prepared.now))
        return list(self.engine.seen), prepared


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


COSMETIC: dict[str, Change] = {
    "key order": lambda products: products[reversed(products.columns)],
    "row order": lambda products: products[::-1],
    "white space": lambda products: products.assign(
        title="  " + products["title"] + " ", description=products["description"].str.replace(" ", "\n ")
    ),
    "a price that no prompt uses": lambda products: products.assign(price=products["price"] * 3),
}


@pytest.mark.parametrize(
    "change", [name if name == "white space" else pytest.param(name, marks=SLOW) for name in COSMETIC]
)
def test_a_cosmetic_change_of_the_catalog_asks_nothing_and_moves_no_row(files: Files, change: str) -> None:
    _, before = files.generation()
    files.products = COSMETIC[change](files.products)
    asked, after = files.generation()
    assert asked == []
    assert list(after.facts) == list(before.facts)
    assert not after.renewal.remade


@SLOW
def test_a_price_within_its_band_asks_nothing_and_one_outside_asks_for_its_product(files: Files) -> None:
    (files.folder / "mapping.toml").write_text('[catalog]\nattributes = ["brand", "price"]\n')
    files.generation()
    files.products["price"] = 21.0
    assert files.generation()[0] == []
    files.products.loc[0, "price"] = 900.0
    _, after = files.generation()
    assert ("product", files.products.loc[0, "product_id"]) in {
        (kind.value, name) for kind, name in after.renewal.remade
    }
    assert after.renewal.remade != {state.entity for state in after.renewal.states}


def test_a_renamed_product_asks_for_what_names_it_and_nothing_else(files: Files) -> None:
    first, _ = files.generation()
    product, old = files.products.loc[NAMED, ["product_id", "title"]]
    naming = {r.subject for r in first if old in r.canonical() or product in r.subject.split()}
    assert any(subject.startswith("consumer") for subject in naming)
    files.products.loc[NAMED, "title"] = "Something Else Altogether"
    files.products.loc[NAMED, "description"] = "A headphone of which nothing was known so far, with a long cable."
    asked, after = files.generation()
    assert {request.subject for request in asked} == naming
    assert not any(old in fact.text for fact in after.facts)


@SLOW
def test_deleted_products_and_consumers_are_nowhere(files: Files) -> None:
    files.generation()
    product, consumer = files.products.loc[NAMED, "product_id"], files.interactions["consumer_id"].iloc[0]
    files.products = files.products.drop(index=NAMED)
    gone = files.interactions["product_id"].eq(product) | files.interactions["consumer_id"].eq(consumer)
    files.interactions = files.interactions[~gone]
    _, after = files.generation()
    assert {product, consumer}.isdisjoint(fact.entity_id for fact in after.facts)
    assert {product, consumer}.isdisjoint(name for item in after.asked for _, name in item.entities)
    assert {product, consumer}.isdisjoint(files.lake.read(STATES)["entity_id"])


def test_a_new_interaction_leaves_the_consumer_and_asks_for_the_product(files: Files) -> None:
    files.generation()
    busiest = files.interactions["consumer_id"].value_counts().index[0]
    other = files.products["product_id"][
        ~files.products["product_id"].isin(
            files.interactions["product_id"][files.interactions["consumer_id"] == busiest]
        )
    ].iloc[0]
    event = files.interactions.iloc[[-1]].assign(consumer_id=busiest, product_id=other, rating=1.0)
    files.interactions = pd.concat([files.interactions, event], ignore_index=True)
    asked, after = files.generation()
    assert f"consumer {busiest}" not in {request.subject for request in asked}
    assert {state.n_events for state in after.renewal.states if state.entity_id == busiest} == {
        files.interactions["consumer_id"].eq(busiest).sum() - 1
    }


def test_a_budget_is_spent_on_the_most_valuable_and_the_next_run_goes_on(files: Files) -> None:
    files.section = EXPLAIN.model_copy(update={"max_calls": 10, "shard_size": 4})
    plan = files.prepared().plan
    asked, _ = files.generation()
    assert asked == [row.request for row in plan.rows if row.fate is Fate.BUY]
    assert len(asked) == 10
    assert files.generation()[0] == [row.request for row in plan.to_make[10:20]]


@SLOW
def test_a_budget_in_tokens_holds_over_shards(files: Files) -> None:
    each = max(len(f"{item.request.system} {item.request.prompt}".split()) for item in files.prepared().asked) + 200
    files.section = EXPLAIN.model_copy(update={"max_tokens": 5000, "shard_size": 7})
    files.generation()
    with Ledger(files.ledger_url) as ledger:
        summary = ledger.summary()
    assert 5000 <= summary.prompt_tokens + summary.completion_tokens <= 5000 + each


@SLOW
def test_facts_of_another_generation_than_the_states_count_for_nothing(files: Files) -> None:
    _, before = files.generation()
    files.lake.write("facts", files.lake.read("facts").head(3), "a run that was killed before it wrote the states")
    assert list(files.prepared().facts) == list(before.facts)
    assert len(files.prepared().renewal.remade) == len(before.renewal.states)


def test_a_dry_run_prints_the_cost_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from counterpoint import cli
    from flows import explain

    monkeypatch.setattr(explain, "open_engine", lambda settings: ScriptedEngine())
    monkeypatch.setenv("COUNTERPOINT_HOME", str(tmp_path / "home"))
    recipe = tmp_path / "small.toml"
    recipe.write_text('[data]\nname = "w"\nlayout = "world"\nn_consumers = 30\nn_products = 20\nn_interactions = 200\n')
    arguments = ["explain", "--recipe", str(recipe), "--dry-run", "--max-calls", "7", "--json"]
    cli.app(arguments, standalone_mode=False)
    plan = json.loads(capsys.readouterr().out)
    assert (plan["total"]["to_buy"], plan["total"]["from_ledger"]) == (7, 0)
    assert plan["total"]["waiting"] > 0
    assert plan["next"][0]["priority"] >= plan["next"][1]["priority"]
    cli.app(arguments[:-1], standalone_mode=False)
    assert "What comes first" in capsys.readouterr().out
    assert not (tmp_path / "home").exists()


@SLOW
def test_a_budget_is_spent_once_per_run_and_the_stage_goes_on_when_asked(own_home: Path) -> None:
    data = DataSection(name="w", layout="world", n_consumers=30, n_products=20, n_interactions=200)
    recipe = Recipe(data=data, explain=ExplainSection(max_calls=5))
    engine, workspace = ScriptedEngine(), Workspace.open()
    first = explain_entities(workspace, recipe, go_on=True, engine=engine)
    assert len(engine.seen) == 5
    assert first.unasked >= first.requests - 5
    assert explain_entities(workspace, recipe, engine=engine) == first  # as later stages ask
    assert len(engine.seen) == 5
    again = explain_entities(workspace, recipe, go_on=True, engine=engine)
    assert (len(engine.seen), again.from_ledger) == (10, 5)
    assert sum(again.refused.values()) <= 10 * len(engine.seen[0].slots)  # what waits was not refused


@SLOW
def test_one_percent_of_the_products_costs_by_pair_what_the_oracle_says() -> None:
    measured = measure_pairs(Size(60, 100, 1000, 300))
    assert measured["oracle"] > 0
    assert measured["kept"], measured


@SLOW
def test_one_percent_of_the_products_costs_by_entity_what_the_oracle_says() -> None:
    measured = measure_entities(Size(60, 100, 1000))
    assert measured["kept"], measured
