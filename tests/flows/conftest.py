"""A small shop's own files, run once: everything but a trained model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.readers.world import WorldConfig, generate_world, write_world
from features.rows import VIEWS
from features.store import FeatureRows
from features.types import ModelIdentity, RatingScale
from flows.ingest import ingest_data
from flows.materialize import materialize_features
from flows.recipe import REMEMBERED, DataSection, ExplainSection, MethodSection, Recipe
from flows.refresh import RefreshResult, refresh
from flows.workspace import Workspace
from models.base import Progress, silent
from models.llm.scripted import SCRIPTED, ScriptedEngine
from models.release import Release, ReleaseStore, ReleaseTexts


class HashEncoder:
    """Vectors that are quick to make, and equal for equal texts alone."""

    identity = ModelIdentity("hash", "1")

    def __init__(self, encoded: list[str]) -> None:
        self.encoded = encoded

    def encode(self, texts: Sequence[str], progress: Progress = silent) -> np.ndarray:
        self.encoded.extend(texts)
        vectors = [np.random.default_rng(list(text.encode())).normal(size=384) for text in texts]
        return np.stack([vector / np.linalg.norm(vector) for vector in vectors]).astype(np.float32)


@dataclass
class Shop:
    """A folder with `catalog.csv` and `interactions.csv`, and a home in which they were run."""

    folder: Path
    quiet = "product-without-ratings"
    """A product that nobody rated, so that nothing else rests on it."""
    leaver = "consumer-who-leaves"
    quick = MethodSection(
        config={
            "epochs": 2,
            "collaborative": {"rank": 3, "chains": 1, "sweeps": 6, "burn_in": 2, "samples": 2, "folds": 2},
        }
    )
    """A method that is trained in a moment, for tests that do not look at how well."""
    engine: ScriptedEngine = field(default_factory=ScriptedEngine)
    encoded: list[str] = field(default_factory=list)
    """What the encoder got, where it is a `HashEncoder`."""

    @property
    def recipe(self) -> Recipe:
        files = {name: str(self.folder / f"{name}.csv") for name in ("interactions", "catalog")}
        data = DataSection(name="shop", layout="tables", **files)
        return Recipe(data=data, explain=ExplainSection(n_per_stance=1, n_pairs=4))

    @property
    def workspace(self) -> Workspace:
        return Workspace.open()

    @property
    def releases(self) -> ReleaseStore:
        return ReleaseStore(self.workspace.settings.releases)

    def write_files(self) -> None:
        write_world(generate_world(WorldConfig(n_consumers=24, n_products=16, n_interactions=150)), self.folder)
        self.edit("interactions", lambda frame: frame.replace({"consumer_id": {"c20": self.leaver}}))
        quiet = {"product_id": self.quiet, "title": "Velvet Amplifier", "description": "A velvet amplifier for cats."}
        self.edit("catalog", lambda frame: pd.concat([frame, pd.DataFrame([quiet])]).fillna(""))

    def run_once(self) -> None:
        """Fills the stores and makes a release live, whose model is not looked at."""
        materialize_features(self.workspace, self.recipe)
        lake, as_of = self.workspace.lake, ingest_data(self.workspace, self.recipe).as_of
        live = Release(
            release_id="first",
            created_at=datetime.now(UTC),
            method="lr_recsys",
            artifact_tag="counterpoint:first",
            artifact_hash="",
            feature_service="lr_recsys_v1",
            text_set_hash="",
            prompt_hash="",
            data_hash="",
            encoder=HashEncoder.identity,
            llm=SCRIPTED,
            metrics=(),
            scale=RatingScale(),
            as_of=as_of,
        )
        tables = (lake.read(name) for name in ("products", "facets", "facts", "pair_texts"))
        self.releases.publish(live, ReleaseTexts(*tables))
        self.releases.promote("first")

    def edit(self, name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        path = self.folder / f"{name}.csv"
        change(pd.read_csv(path, dtype=str, keep_default_na=False)).to_csv(path, index=False)

    def describe(self, product_id: str, text: str) -> None:
        self.edit(
            "catalog",
            lambda frame: frame.assign(description=frame["description"].mask(frame["product_id"] == product_id, text)),
        )

    def drop(self, name: str, **row: str) -> None:
        ((key, value),) = row.items()
        self.edit(name, lambda frame: frame[frame[key] != value])

    def refresh(self) -> RefreshResult:
        return refresh.fn(self.recipe)

    def tables(self) -> dict[str, pd.DataFrame]:
        """The feature tables of the lake."""
        return {view.table: self.workspace.lake.read(view.table) for view in VIEWS}

    def online(self, product_ids: Sequence[str]) -> list[list[dict[str, object]]]:
        """What serving reads of products, by view."""
        rows = FeatureRows(self.workspace.settings).online_products(product_ids)
        return [part.table.take(part.index).to_pylist() for part in (rows.features, rows.content, rows.facets)]

    def everything(self) -> str:
        """All that the lake's tables hold, as text."""
        return "".join(str(pq.read_table(path).to_pylist()) for path in self.workspace.lake.folder.rglob("*.parquet"))


@pytest.fixture
def new_shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop that was not run yet, with all real parts."""
    monkeypatch.setenv("COUNTERPOINT_HOME", str(tmp_path / "home"))
    shop = Shop(tmp_path)
    shop.write_files()
    shop.workspace.settings.home.joinpath(REMEMBERED).write_text(shop.recipe.model_dump_json())
    return shop


@pytest.fixture
def shop(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop that was run once, with a scripted language model and a quick encoder, for one test to change."""
    return with_stand_ins(Path(copytree(original, tmp_path / "shop")), monkeypatch)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    with pytest.MonkeyPatch.context() as patch:
        shop = with_stand_ins(folder, patch)
        shop.write_files()
        shop.run_once()
    return folder


def with_stand_ins(folder: Path, patch: pytest.MonkeyPatch) -> Shop:
    shop = Shop(folder)
    patch.setenv("COUNTERPOINT_HOME", str(folder / "home"))
    patch.setattr("flows.explain.open_engine", lambda settings: shop.engine)
    patch.setattr("models.text.TextEncoder", lambda: HashEncoder(shop.encoded))
    return shop
