"""After a change of the source only what rests on it is made again, and what vanished is nowhere any more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.errors import CheckError
from features.readers.world import WorldConfig, generate_world, write_world
from features.rows import PRODUCT_CONTENT, PRODUCT_FACETS, VIEWS
from features.store import FeatureRows
from features.types import ModelIdentity, RatingScale
from flows import refresh
from flows.materialize import autoencoder_folder, materialize_features
from flows.recipe import DataSection, ExplainSection, Recipe
from flows.refresh import CatalogChanged, Count, RefreshResult
from flows.release import refresh_release
from flows.workspace import Workspace
from models.base import Progress, silent
from models.llm.scripted import ScriptedEngine
from models.release import Release, ReleaseStore, ReleaseTexts

QUIET = "product-without-ratings"


class HashEncoder:
    """Vectors made of a text's characters: quick, and equal for equal texts alone."""

    identity = ModelIdentity("hash", "1")
    encoded: list[str] = []  # noqa: RUF012  # of all encoders of a test

    def encode(self, texts: Sequence[str], progress: Progress = silent) -> np.ndarray:
        self.encoded.extend(texts)
        seeds = [int.from_bytes(text.encode()[-4:] + text.encode()[:4], "big") + len(text) for text in texts]
        vectors = np.stack([np.random.default_rng(seed).normal(size=384) for seed in seeds]).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@dataclass
class Shop:
    """A small shop's own files, run once, with a release live."""

    folder: Path
    workspace: Workspace
    recipe: Recipe
    engine: ScriptedEngine
    before: dict[str, pd.DataFrame] = field(default_factory=dict)

    def edit(self, name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        path = self.folder / f"{name}.csv"
        change(pd.read_csv(path, dtype=str, keep_default_na=False)).to_csv(path, index=False)

    def describe(self, product_id: str, description: str) -> None:
        self.edit(
            "catalog",
            lambda f: f.assign(description=f["description"].where(f["product_id"] != product_id, description)),
        )

    def refresh(self) -> tuple[CatalogChanged, RefreshResult]:
        self.engine.seen.clear()
        HashEncoder.encoded.clear()
        found = refresh.find(self.workspace, self.recipe)
        refresh.settle(self.workspace)
        return found, refresh.remake(self.workspace, self.recipe, found)

    def tables(self) -> dict[str, pd.DataFrame]:
        return {view.table: self.workspace.lake.read(view.table) for view in VIEWS}

    def online(self, product_ids: Sequence[str]) -> list[object]:
        rows = FeatureRows(self.workspace.settings).online_products(product_ids)
        return [part.table.take(part.index) for part in (rows.features, rows.content, rows.facets)]

    @property
    def releases(self) -> ReleaseStore:
        return ReleaseStore(self.workspace.settings.releases)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    write_world(generate_world(WorldConfig(n_consumers=24, n_products=16, n_interactions=150)), tmp_path)
    engine = ScriptedEngine()
    monkeypatch.setattr("flows.explain.open_engine", lambda settings: engine)
    monkeypatch.setattr("models.text.TextEncoder", HashEncoder)
    data = DataSection(
        name="shop",
        layout="tables",
        interactions=str(tmp_path / "interactions.csv"),
        catalog=str(tmp_path / "catalog.csv"),
    )
    made = Shop(
        tmp_path, Workspace.open(), Recipe(data=data, explain=ExplainSection(n_per_stance=1, n_pairs=4)), engine
    )
    quiet = {"product_id": QUIET, "title": "Velvet Amplifier", "description": "A velvet amplifier for cats."}
    made.edit("catalog", lambda f: pd.concat([f, pd.DataFrame([quiet])]).fillna(""))
    materialize_features(made.workspace, made.recipe)
    release(made)
    return made


def release(shop: Shop) -> None:
    """Makes a release live; its model is not looked at here."""
    lake, now = shop.workspace.lake, datetime.now(UTC)
    model = Release(
        release_id="first",
        created_at=now,
        method="lr_recsys",
        artifact_tag="counterpoint:first",
        artifact_hash="0",
        feature_service="lr_recsys_v1",
        text_set_hash="",
        prompt_hash="",
        data_hash="",
        encoder=HashEncoder.identity,
        llm=shop.engine.identity,
        metrics=(),
        scale=RatingScale(),
        as_of=now,
    )
    shop.releases.publish(
        model, ReleaseTexts(*(lake.read(name) for name in ("products", "facets", "facts", "pair_texts")))
    )
    shop.releases.promote("first")


def others(frame: pd.DataFrame, **but: str) -> pd.DataFrame:
    ((key, value),) = but.items()
    return frame[frame[key] != value].reset_index(drop=True) if key in frame else frame


def test_a_new_description_reaches_its_product_alone(shop: Shop) -> None:
    tables, rest = shop.tables(), [f"p{n:02}" for n in range(2, 17)]
    online = shop.online(rest)
    shop.describe("p01", "A theremin with a cracked antenna.")
    found, result = shop.refresh()
    assert (found.products, found.consumers, found.changed) == (Count(changed=1), Count(), ("p01",))
    assert [request.subject for request in shop.engine.seen] == ["product p01"]
    assert result.calls == 1
    assert result.written == {PRODUCT_CONTENT.name: 1, PRODUCT_FACETS.name: 1}
    for name, table in shop.tables().items():
        pd.testing.assert_frame_equal(others(table, product_id="p01"), others(tables[name], product_id="p01"))
    assert shop.online(rest) == online
    assert len(HashEncoder.encoded) == 2  # what it is, and its strength
    (row,) = shop.online(["p01"])[1].to_pylist()
    assert row["vector"] == shop.tables()[PRODUCT_CONTENT.table].set_index("product_id")["vector"]["p01"].tolist()


@pytest.mark.parametrize("kind", ["product", "consumer"])
def test_what_vanished_is_in_no_table_and_in_no_online_row(shop: Shop, kind: str) -> None:
    tables, others_online = shop.tables(), shop.online(["p01", "p02"])
    if kind == "product":
        gone = QUIET
        shop.edit("catalog", lambda f: f[f["product_id"] != gone])
    else:
        gone = "c20"
        shop.edit("interactions", lambda f: f[f["consumer_id"] != gone])
    assert gone in everything(shop)
    found, result = shop.refresh()
    assert getattr(found, f"{kind}s") == Count(removed=1)
    assert result.calls == 0
    assert gone not in everything(shop)
    assert set(result.deleted.values()) == {1}
    store = FeatureRows(shop.workspace.settings)
    read = store.online_products([gone]) if kind == "product" else store.online_consumers([gone])
    assert read.features.index.tolist() == [-1]
    if kind == "product":
        assert gone.encode() not in (shop.workspace.settings.feast / "online.db").read_bytes()
        assert shop.online(["p01", "p02"]) == others_online
        assert "Velvet" not in everything(shop)
        for name, table in shop.tables().items():
            pd.testing.assert_frame_equal(table, others(tables[name], product_id=gone))


def everything(shop: Shop) -> str:
    """All that the lake's tables hold, as text."""
    return "".join(str(pq.read_table(path).to_pylist()) for path in shop.workspace.lake.folder.rglob("*.parquet"))


def test_a_cosmetic_edit_moves_nothing(shop: Shop) -> None:
    shop.refresh()
    tables, live = shop.tables(), shop.releases.live_id()
    shop.edit("catalog", lambda f: f.assign(description="  " + f["description"].str.replace(". ", ".  "))[::-1])
    found, result = shop.refresh()
    assert not found.anything
    assert (result.calls, result.written, result.deleted, result.release_id) == (0, {}, {}, live)
    assert shop.engine.seen == HashEncoder.encoded == []
    for name, table in shop.tables().items():
        pd.testing.assert_frame_equal(table, tables[name])


def test_a_live_model_keeps_its_codes(shop: Shop) -> None:
    stored = {path.name: path.read_bytes() for path in autoencoder_folder(shop.workspace).iterdir()}
    shop.describe("p01", "A theremin with a cracked antenna.")
    shop.refresh()
    made = materialize_features(shop.workspace, shop.recipe)
    assert made.autoencoder == "frozen"
    assert made.reconstruction_after > 0
    assert {path.name: path.read_bytes() for path in autoencoder_folder(shop.workspace).iterdir()} == stored


def test_the_new_texts_go_live_with_the_same_model(shop: Shop) -> None:
    shop.edit("catalog", lambda f: f[f["product_id"] != QUIET])
    _, result = shop.refresh()
    live = shop.releases.live()
    assert live is not None
    assert (live.release_id, live.model_of, live.artifact_tag) == (result.release_id, "first", "counterpoint:first")
    texts = shop.releases.read_texts(live)
    assert QUIET not in set(texts.products["product_id"])
    assert QUIET not in set(texts.facets["entity_id"])
    assert refresh_release(shop.workspace, shop.recipe) == result.release_id  # nothing new: nothing published


def test_what_was_not_announced_is_found_again(shop: Shop) -> None:
    shop.describe("p01", "A theremin with a cracked antenna.")
    first = refresh.find(shop.workspace, shop.recipe)
    assert refresh.find(shop.workspace, shop.recipe) == first
    refresh.settle(shop.workspace)
    assert not refresh.find(shop.workspace, shop.recipe).anything


def test_many_ids_stay_in_the_lake(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "LISTED", 2)
    for product_id in ("p01", "p02", "p03"):
        shop.describe(product_id, f"The {product_id} of a kind.")
    found = refresh.find(shop.workspace, shop.recipe)
    assert (found.listed, found.changed, found.products.changed) == (False, (), 3)
    listed = shop.workspace.lake.read(found.table)
    assert listed.to_numpy().tolist() == [["product", f"p0{n}", "changed"] for n in (1, 2, 3)]
    refresh.remake(shop.workspace, shop.recipe, found)
    assert not shop.workspace.lake.has(found.table)


def test_a_spoiled_source_changes_nothing(shop: Shop) -> None:
    tables = shop.tables()
    shop.edit("catalog", lambda f: f.assign(title="\x00"))
    with pytest.raises(CheckError):
        shop.refresh()
    assert shop.tables().keys() == tables.keys()
