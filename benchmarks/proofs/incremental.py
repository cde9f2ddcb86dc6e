"""Promise: a changed product buys what mentions it and nothing else, and all other rows stay byte for byte.

This is a proof of accounting: the whole path from files to lake and ledger is the real one, but the answers are
scripted (`models/llm/scripted.py`), so that hundreds of thousands can be counted. The oracle knows nothing of the
code that decides: it searches the requests the ledger holds for the old titles of the changed products.

Then the same world meets changes that concern nobody (key order, white space, a price that prompts do not use), which
must buy nothing, and other attributes of the products, which may buy texts of those products and of consumers whose
evidence holds them, and none else.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.proofs import Proof
from features.readers.world import WorldConfig, generate_world
from features.settings import HostSettings
from features.types import TextRequest
from flows.explain import explain_entities
from flows.recipe import DataSection, ExplainSection, Recipe
from flows.workspace import Workspace
from models.llm.scripted import ScriptedEngine, continue_openings

SHARE = 0.01
"""Of the products that change."""
ALLOWED = 1.02
TABLES = ("facts", "facets", "pair_texts")
NEW_VALUE = "Unheard Of"
MAPPING = "[catalog]\nattributes = [{names}]\n"


@dataclass(frozen=True)
class Size:
    """How much is explained."""

    n_consumers: int
    n_products: int
    n_interactions: int
    n_pairs: int = 0


PAIRS = Size(10_000, 2_000, 450_000, 100_000)
ENTITIES = Size(4_000, 1_000, 80_000)


def prove(sizes: Iterable[Size] = (ENTITIES, PAIRS)) -> Proof:
    """Changes 1 % of the products and counts the calls, by entity and by pair."""
    measured = [measure(size) for size in sizes]
    return Proof(
        "1 % of the products change: at most 1.02 x the calls of an oracle, all other rows byte-equal",
        all(one["kept"] for one in measured),
        {"answers": "scripted: a proof of accounting", "worlds": measured},
    )


def measure(size: Size) -> dict[str, Any]:
    """One world: explained, changed in three ways, and explained again after each."""
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder), size)
        first = shop.explain()
        chosen = shop.products["product_id"].tolist()[:: round(1 / SHARE)]
        cosmetic, renamed, other = shop.cosmetic(), shop.rename(chosen), shop.other_attributes(chosen)
    return {
        **asdict(size),
        "first_run": first,
        "changed_products": len(chosen),
        "cosmetic": cosmetic,
        "renamed": renamed,
        "other_attributes": other,
        "kept": all(one["kept"] for one in (cosmetic, renamed, other)),
    }


class Shop:
    """The built-in world as files of a home, with titles that name one product each."""

    def __init__(self, folder: Path, size: Size) -> None:
        self.folder, self.engine = folder, ScriptedEngine(reason_from_facts)
        world = generate_world(WorldConfig(1, size.n_consumers, size.n_products, size.n_interactions)).dataset
        self.interactions, self.products = world.interactions.frame, world.catalog.products
        self.products = self.products.assign(title=self.products["title"] + " " + self.products["product_id"])
        wide = world.catalog.attributes.groupby(["product_id", "name"])["value"].agg("|".join).unstack().fillna("")
        self.names = list(wide.columns)
        self.products = self.products.join(wide, on="product_id").assign(price=20.0)
        (folder / "mapping.toml").write_text(MAPPING.format(names=", ".join(f'"{n}"' for n in self.names)))
        self.interactions.drop(columns="row").to_parquet(folder / "interactions.parquet")
        self._write_catalog()
        data = DataSection(name="shop", layout="tables", folder=str(folder))
        self.recipe = Recipe(data=data, explain=ExplainSection(n_pairs=size.n_pairs))
        home = {"COUNTERPOINT_HOME": str(folder / "home")}
        self.workspace = Workspace.of(HostSettings.from_environment(home))

    def explain(self) -> dict[str, Any]:
        """Explains the files as they are; `engine.seen` holds what was asked for it."""
        self.engine.seen.clear()
        started = time.perf_counter()
        result = explain_entities(self.workspace, self.recipe, engine=self.engine)
        seconds = round(time.perf_counter() - started, 1)
        sizes = {"facts": result.n_facts, "facets": result.n_facets, "pair_texts": result.n_pair_texts}
        return {"requests": result.requests, "calls": len(self.engine.seen), "seconds": seconds, **sizes}

    def cosmetic(self) -> dict[str, Any]:
        """Other key order, white space, and a price that no prompt uses, in every row."""
        before = self._tables()
        spaced = self.products["description"].str.replace(" ", "  ")
        self.products = self.products.assign(title="  " + self.products["title"], description=spaced, price=99.0)
        self.products = self.products[reversed(self.products.columns)]
        self._write_catalog()
        figures, after = self.explain(), self._tables()
        same = all(before[name].equals(after[name]) for name in TABLES)
        return {**figures, "rows_equal": same, "kept": not figures["calls"] and same}

    def rename(self, chosen: list[str]) -> dict[str, Any]:
        """Another title and another description."""
        before, named = self._tables(), self.products["product_id"].isin(chosen)
        titles = self.products["title"].str.strip()
        old = titles[named].tolist()
        oracle = self._concerned(old, set(chosen))
        mentions = self._entities_naming(before["facts"], old) | set(chosen)
        self.products["title"] = titles.mask(named, "Renamed " + self.products["product_id"].str.upper())
        made = "A quiet closed model with a soft headband and a long cable, number " + self.products["product_id"]
        self.products["description"] = self.products["description"].mask(named, made)
        self._write_catalog()
        figures, after = self.explain(), self._tables()
        stale = sum(self._naming(frame["text"], old).sum() for frame in after.values())
        same = _rows_equal(before, after, mentions)
        calls = figures["calls"]
        kept = 0 < calls <= ALLOWED * oracle and calls >= oracle / ALLOWED and same and not stale
        return {**figures, "oracle": oracle, "rows_equal": same, "stale_mentions": int(stale), "kept": bool(kept)}

    def other_attributes(self, chosen: list[str]) -> dict[str, Any]:
        """A value of one attribute that none had before: ranks and counts of aspects move for the whole catalog."""
        before, named = self._tables(), self.products["product_id"].isin(chosen)
        name = self.names[0]
        self.products[name] = self.products[name].mask(named, NEW_VALUE)
        met = self.interactions["product_id"].isin(chosen)
        concerned = set(chosen) | set(self.interactions["consumer_id"][met])
        self._write_catalog()
        figures, after = self.explain(), self._tables()
        outside = [request.subject for request in self.engine.seen if not concerned & set(request.subject.split())]
        same = _rows_equal(before, after, concerned)
        told = after["facts"][after["facts"]["text"].str.contains(NEW_VALUE)]
        kept = set(chosen) <= set(told["entity_id"]) and not outside and same
        return {**figures, "attribute": name, "calls_outside": len(outside), "rows_equal": same, "kept": kept}

    def _write_catalog(self) -> None:
        lines = [json.dumps(row, ensure_ascii=False) for row in self.products.to_dict("records")]
        (self.folder / "catalog.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _tables(self) -> dict[str, pd.DataFrame]:
        return {name: _plain(self.workspace.lake.read(name)) for name in TABLES}

    def _concerned(self, titles: list[str], products: set[str]) -> int:
        """How many requests of the ledger's file are about one of the products, or hold one of the titles."""
        with sqlite3.connect(self.workspace.settings.home / "ledger.sqlite") as connection:
            table = connection.execute("SELECT name FROM sqlite_master WHERE name LIKE 'answers%'").fetchone()[0]
            rows = connection.execute(f"SELECT subject, request FROM {table}")
            return sum(
                not products.isdisjoint(subject.split()) or any(title in request for title in titles)
                for subject, request in rows
            )

    def _entities_naming(self, facts: pd.DataFrame, titles: list[str]) -> set[str]:
        return set(facts["entity_id"][self._naming(facts["text"], titles)])

    @staticmethod
    def _naming(texts: pd.Series, titles: list[str]) -> pd.Series:
        return texts.map(lambda text: any(title in text for title in titles))


def reason_from_facts(request: TextRequest) -> list[str]:
    """Answers that are true to their request: facets as they come, pairs with the first fact of the side asked."""
    if not request.kind.startswith("pair"):
        return list(continue_openings(request))
    side = "below" if " not " in request.slots[0].opening else "above"
    shown = [line[2:] for line in request.prompt.splitlines() if line.startswith("- ")]
    fact = next((line for line in shown if f", {side} " in line), shown[0])
    return [f"{request.slots[0].opening} {fact}."]


def _rows_equal(before: dict[str, pd.DataFrame], after: dict[str, pd.DataFrame], concerned: set[str]) -> bool:
    """Whether the rows about nobody concerned are the same ones, in the same order."""
    return all(_others(before[name], concerned).equals(_others(after[name], concerned)) for name in TABLES)


def _others(frame: pd.DataFrame, concerned: set[str]) -> pd.DataFrame:
    about = [name for name in ("entity_id", "consumer_id", "product_id") if name in frame]
    return frame[~frame[about].isin(concerned).any(axis=1)].reset_index(drop=True)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Lists as text, so that rows can be compared to the last byte."""
    return frame.assign(fact_ids=frame["fact_ids"].map(list).map(json.dumps)) if "fact_ids" in frame else frame
