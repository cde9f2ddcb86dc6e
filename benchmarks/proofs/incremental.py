"""Promise: a changed product buys what mentions it and nothing else, and all other rows stay byte for byte.

This is a proof of accounting, so no language model answers. It is given twice:

- By pair, at full size: files, readers, facts, requests, plan and lake are the real ones; the ledger is a set of keys
  that takes every request for answered. What is bought is what the plan says is missing. Rows are the facts, and of
  every pair the requests its texts are made from, to the byte.
- By entity, with everything: the whole stage with its contracts, gates, SQL ledger and lake, the answers scripted
  (`models/llm/scripted.py`). This world also meets changes that concern nobody (key order, white space, a price that
  prompts do not use), which must buy nothing, and other attributes, which may buy texts of the changed products and of
  consumers whose evidence holds them, and none else.

The oracle knows nothing of the code that decides: it searches the requests made before for the changed products' ids
and old titles.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.proofs import Proof
from features.freshness import EntityState
from features.lake import Lake
from features.ledger import Ledger, PastUse
from features.readers.world import WorldConfig, generate_world
from features.records import to_frame
from features.settings import HostSettings
from features.types import Completion, Fact, FinishReason, ModelIdentity, TextRequest
from flows.explain import explain_entities
from flows.ingest import preview
from flows.prepare import STATES, Prepared, prepare, worded_states
from flows.recipe import DataSection, ExplainSection, Recipe
from flows.workspace import Workspace
from models.llm.scripted import SCRIPTED, ScriptedEngine

SHARE = 0.01
"""Of the products that change."""
BEGINNING = 60
"""Characters of a description that tell it from others with its product."""
ALLOWED = 1.02
TABLES = ("facts", "facets")
NEW_VALUE = "Unheard Of"
MAPPING = '[catalog]\nattributes = ["brand", "category"]\n'


@dataclass(frozen=True)
class Size:
    """How much is explained."""

    n_consumers: int
    n_products: int
    n_interactions: int
    n_pairs: int = 0


PAIRS = Size(8_000, 2_000, 250_000, 100_000)
ENTITIES = Size(1_000, 500, 20_000)


def prove(pairs: Size = PAIRS, entities: Size = ENTITIES) -> Proof:
    """Changes 1 % of the products and counts the calls, by pair and by entity."""
    by_pair, by_entity = measure_pairs(pairs), measure_entities(entities)
    return Proof(
        "1 % of the products change: at most 1.02 x the calls of an oracle, all other rows byte-equal",
        by_pair["kept"] and by_entity["kept"],
        {"by_pair": by_pair, "by_entity": by_entity},
    )


class Shop:
    """The built-in world as files, with titles that name one product each."""

    def __init__(self, folder: Path, size: Size, explain: ExplainSection | None = None) -> None:
        world = generate_world(WorldConfig(3, size.n_consumers, size.n_products, size.n_interactions)).dataset
        wide = world.catalog.attributes.groupby(["product_id", "name"])["value"].agg("|".join).unstack().fillna("")
        self.folder, self.interactions = folder, world.interactions.frame.drop(columns="row")
        self.products = world.catalog.products.join(wide, on="product_id").assign(price=20.0)
        self.products["title"] += " " + self.products["product_id"]
        (folder / "mapping.toml").write_text(MAPPING)
        section = explain or ExplainSection(n_pairs=size.n_pairs)
        self.recipe = Recipe(data=DataSection(name="shop", layout="tables", folder=str(folder)), explain=section)

    def write(self) -> None:
        """Writes the tables as they are now."""
        self.interactions.to_parquet(self.folder / "interactions.parquet")
        lines = [json.dumps(row, ensure_ascii=False) for row in self.products.to_dict("records")]
        (self.folder / "catalog.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def chosen(self, share: float = SHARE) -> list[str]:
        """The products that change."""
        return self.products["product_id"].tolist()[:: round(1 / share)]

    def rename(self, chosen: Collection[str]) -> list[str]:
        """Gives products another title and description; returns the old titles and how the descriptions began."""
        named = self.products["product_id"].isin(chosen)
        old = [*self.products["title"][named], *self.products["description"][named].str[:BEGINNING]]
        titles = "Renamed " + self.products["product_id"].str.upper()
        said = "A quiet closed model with a soft headband and a long cable, number " + self.products["product_id"]
        self.products["title"] = self.products["title"].mask(named, titles)
        self.products["description"] = self.products["description"].mask(named, said)
        return old


class AllAnswered(Ledger):
    """A ledger that takes every request it was told of for answered; it holds keys alone."""

    def __init__(self) -> None:
        super().__init__("sqlite://")
        self.keys: set[str] = set()

    def exists(self) -> bool:
        """It does."""
        return True

    def find(self, keys: Iterable[str]) -> dict[str, Completion]:
        """One and the same answer to every known key."""
        answer = Completion("", (), FinishReason.STOP, 0, 0, 0.0, SCRIPTED)
        return dict.fromkeys(self.keys.intersection(keys), answer)

    def failed(self, keys: Iterable[str]) -> dict[str, FinishReason]:
        """None of them."""
        return {}

    def past_use(self, model: ModelIdentity) -> dict[str, PastUse]:
        """Nothing was paid."""
        return {}


def measure_pairs(size: Size, share: float = SHARE) -> dict[str, Any]:
    """Plans a world's texts, renames some products, and plans again."""
    with tempfile.TemporaryDirectory() as folder:
        # A short evidence window leaves more interactions after it, each of which is a pair with texts of its own.
        shop = Shop(Path(folder), size, ExplainSection(n_pairs=size.n_pairs, evidence_share=0.3))
        shop.interactions = shop.interactions.drop(columns="review")  # to wash them takes longer than all the rest
        lake, ledger, started = Lake(Path(folder) / "lake"), AllAnswered(), time.perf_counter()
        before = _planned(shop, lake, ledger)
        asked = {item.request.subject: item.request for item in before.asked}
        facts, chosen = _plain(lake.read("facts")), shop.chosen(share)
        old = shop.rename(chosen)
        seconds, started = time.perf_counter() - started, time.perf_counter()
        after = _planned(shop, lake, ledger)
        again = time.perf_counter() - started
        later = _plain(lake.read("facts"))
    concerned = {subject for subject, request in asked.items() if _mentions(request, set(), old)}
    naming = set(facts["entity_id"][_naming(facts["text"], old)]) | set(chosen)
    keys = {item.request.subject: item.request.key for item in after.asked}
    calls = len(after.plan.to_make)
    figures = {
        "pairs": len(before.pairs),
        "requests": len(before.plan.rows),
        "changed_products": len(chosen),
        "calls": calls,
        "oracle": len({asked[subject].key for subject in concerned}),
        "rows_equal": _others(facts, naming).equals(_others(later, naming))
        and all(keys.get(subject) == request.key for subject, request in asked.items() if subject not in concerned),
        "stale_mentions": int(_naming(later["text"], old).sum()),
        "seconds_first": round(seconds, 1),
        "seconds_again": round(again, 1),
    }
    return {**asdict(size), **figures, "kept": _kept(figures)}


def _planned(shop: Shop, lake: Lake, ledger: AllAnswered) -> Prepared:
    """Reads the files and plans; then everything counts as bought."""
    shop.write()
    ingested, world = preview(shop.recipe)
    prepared = prepare(lake, ledger, world, ingested.cut_valid, shop.recipe.explain, SCRIPTED)
    ledger.keys |= {row.request.key for row in prepared.plan.rows}
    lake.write("facts", to_frame(prepared.facts, Fact), str(prepared.now))
    lake.write(STATES, to_frame(worded_states(prepared, ledger.keys), EntityState), str(prepared.now))
    return prepared


def measure_entities(size: Size) -> dict[str, Any]:
    """Explains a world with everything, changes it in three ways, and explains it again after each."""
    with tempfile.TemporaryDirectory() as folder:
        shop = Explained(Path(folder), size)
        first, chosen = shop.explain(), shop.chosen()
        changes = {
            "renamed": shop.renamed(chosen),
            "cosmetic": shop.cosmetic(),
            "other_attributes": shop.other_attributes(chosen),
        }
    kept = all(change["kept"] for change in changes.values())
    return {**asdict(size), "changed_products": len(chosen), "first_run": first, **changes, "kept": kept}


class Explained(Shop):
    """A shop with a home in which the whole stage runs, with scripted answers."""

    def __init__(self, folder: Path, size: Size) -> None:
        super().__init__(folder, size)
        self.engine, self.asked = ScriptedEngine(), list[TextRequest]()
        self.workspace = Workspace.of(HostSettings.from_environment({"COUNTERPOINT_HOME": str(folder / "home")}))

    def explain(self) -> dict[str, Any]:
        """Explains the files as they are; `engine.seen` holds what was asked for it, `asked` all so far."""
        self.write()
        self.engine.seen.clear()
        started = time.perf_counter()
        result = explain_entities(self.workspace, self.recipe, engine=self.engine)
        seconds = round(time.perf_counter() - started, 1)
        self.asked += self.engine.seen
        sizes = {"facts": result.n_facts, "facets": result.n_facets}
        return {"requests": result.requests, "calls": len(self.engine.seen), "seconds": seconds, **sizes}

    def renamed(self, chosen: list[str]) -> dict[str, Any]:
        """Another title and another description."""
        before, old = self._tables(), self.rename(chosen)
        concerned = [request for request in self.asked if _mentions(request, set(chosen), old)]
        naming = set(before["facts"]["entity_id"][_naming(before["facts"]["text"], old)]) | set(chosen)
        figures, after = {**self.explain(), "oracle": len(concerned)}, self._tables()
        figures["rows_equal"] = _rows_equal(before, after, naming)
        figures["stale_mentions"] = sum(int(_naming(frame["text"], old).sum()) for frame in after.values())
        return {**figures, "kept": _kept(figures)}

    def cosmetic(self) -> dict[str, Any]:
        """Other key order, white space, and a price that no prompt uses, in every row."""
        before, spaced = self._tables(), self.products["description"].str.replace(" ", "  ")
        self.products = self.products.assign(title="  " + self.products["title"], description=spaced, price=99.0)
        self.products = self.products[reversed(self.products.columns)]
        figures, after = self.explain(), self._tables()
        same = _rows_equal(before, after, set())
        return {**figures, "rows_equal": same, "kept": not figures["calls"] and same}

    def other_attributes(self, chosen: list[str]) -> dict[str, Any]:
        """A value of one attribute that none had before: ranks and counts of aspects move for the whole catalog."""
        before, named = self._tables(), self.products["product_id"].isin(chosen)
        self.products["brand"] = self.products["brand"].mask(named, NEW_VALUE)
        met = self.interactions["product_id"].isin(chosen)
        concerned = set(chosen) | set(self.interactions["consumer_id"][met])
        figures, after = self.explain(), self._tables()
        outside = [request.subject for request in self.engine.seen if concerned.isdisjoint(request.subject.split())]
        same = _rows_equal(before, after, concerned)
        told = after["facts"]["entity_id"][_naming(after["facts"]["text"], [NEW_VALUE])]
        kept = not outside and same and set(chosen) <= set(told)
        return {**figures, "calls_outside": len(outside), "rows_equal": same, "kept": kept}

    def _tables(self) -> dict[str, pd.DataFrame]:
        return {name: _plain(self.workspace.lake.read(name)) for name in TABLES}


def _kept(figures: dict[str, Any]) -> bool:
    """Whether as much was bought as the oracle says, nothing else moved, and nothing names what is gone."""
    right = 0 < figures["oracle"] / ALLOWED <= figures["calls"] <= ALLOWED * figures["oracle"]
    return bool(right and figures["rows_equal"] and not figures["stale_mentions"])


def _mentions(request: TextRequest, products: set[str], titles: Collection[str]) -> bool:
    """Whether a request is about one of the products, or holds one of the old texts anywhere.

    Of a pair's request only the texts count: its facts may be about ratings alone, which a new title leaves be.
    """
    if not products.isdisjoint(request.subject.split()):
        return True
    text = request.canonical()
    return any(title in text for title in titles)


def _naming(texts: pd.Series, titles: Collection[str]) -> pd.Series:
    return texts.map(lambda text: any(title in text for title in titles))


def _rows_equal(before: dict[str, pd.DataFrame], after: dict[str, pd.DataFrame], concerned: set[str]) -> bool:
    """Whether the rows about nobody concerned are the same ones, in the same order."""
    return all(_others(before[name], concerned).equals(_others(after[name], concerned)) for name in before)


def _others(frame: pd.DataFrame, concerned: set[str]) -> pd.DataFrame:
    return frame[~frame["entity_id"].isin(concerned)].reset_index(drop=True)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Lists as text, so that rows can be compared to the last byte."""
    return frame.assign(fact_ids=frame["fact_ids"].map(list).map(json.dumps)) if "fact_ids" in frame else frame
