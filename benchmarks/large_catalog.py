"""A home with a live release over a catalog of any size, without a language model: for measuring the service.

Ratings come from planted tastes (8 factors, a popularity with a long tail, noise); content vectors tell the products'
factors with noise; facet codes are random, two facets a side and entity. Everything goes through the lake, Feast, the
method's own fit, the artifact and a signed release, as in a run.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.assemble import training_set
from features.batch import CODE_WIDTH, CONTENT_WIDTH, N_FACETS
from features.definitions import SERVICE
from features.lake import Lake
from features.records import to_frame
from features.rows import VIEWS
from features.settings import HostSettings
from features.states import consumer_states, product_states
from features.store import FeatureRows
from features.types import (
    INTERACTION_COLUMNS,
    STANCES,
    Catalog,
    EntityKind,
    Explanation,
    Facet,
    Fact,
    Interactions,
    ModelIdentity,
    RatingScale,
    Snapshot,
    Stance,
)
from models.artifact import Provenance, save_artifact
from models.backbones.collaborative import CollaborativeConfig
from models.base import RunContext
from models.methods.lr_recsys import LRRecsys, LRRecsysConfig
from models.release import ARTIFACT_FOLDER, ARTIFACT_NAME, Release, ReleaseStore, ReleaseTexts

START = pd.Timestamp("2024-01-01", tz="UTC").as_unit("us")
N_FACTORS, N_GENRES, FILLED = 8, 18, 2
RELEASE_ID = "large-1"
NOBODY = ModelIdentity("none", "0")


@dataclass(frozen=True)
class CatalogSize:
    """How large the world is."""

    products: int = 10_000
    consumers: int = 2_000
    ratings: int = 80_000
    seed: int = 0


def build_home(settings: HostSettings, size: CatalogSize) -> LRRecsys:
    """Fills the home and makes the release live; returns its model."""
    random = np.random.default_rng(size.seed)
    snapshot, taste = _world(size, random)
    lake, rows = Lake(settings.lake), FeatureRows(settings)
    _write_tables(lake, snapshot, taste, random)
    rows.apply()
    rows.materialize(snapshot.as_of)
    cut = int(0.9 * len(snapshot.interactions))
    frame = snapshot.interactions.frame
    train, valid = (training_set(rows, part, snapshot.scale) for part in (frame[:cut], frame[cut:]))
    ratings_alone = CollaborativeConfig(sweeps=60, burn_in=12, folds=2, starts=(0.3,))
    method = LRRecsys(LRRecsysConfig(epochs=6, collaborative=ratings_alone), snapshot.scale)
    method.fit(train, valid, RunContext())
    folder = settings.home / "artifact"
    manifest = save_artifact(
        folder, method, None, valid.batch.take(np.arange(8)), Provenance(data_hash="", text_set_hash="")
    )
    _publish(settings, snapshot, manifest.artifact_hash)
    return method


def _world(size: CatalogSize, random: np.random.Generator) -> tuple[Snapshot, NDArray[np.float64]]:
    """Ratings in order of time and the catalog, and the products' factors."""
    tastes, factors = (random.normal(size=(n, N_FACTORS)) / N_FACTORS**0.25 for n in (size.consumers, size.products))
    popularity = 1 / (1 + np.arange(size.products)) ** 0.7
    who = random.integers(0, size.consumers, size.ratings)
    what = random.choice(size.products, size.ratings, p=popularity / popularity.sum())
    liking = 3.4 + (tastes[who] * factors[what]).sum(1) + random.normal(scale=0.7, size=size.ratings)
    frame = pd.DataFrame(
        {
            "row": np.arange(size.ratings),
            "consumer_id": [f"c{n}" for n in who],
            "product_id": [f"p{n}" for n in what],
            "timestamp": START + pd.to_timedelta(np.arange(size.ratings), unit="min"),
            "rating": np.clip(np.rint(liking), 1, 5),
            "review": None,
        }
    )
    frame = frame.drop_duplicates(["consumer_id", "product_id"], keep="last").reset_index(drop=True)
    ids = [f"p{n}" for n in range(size.products)]
    products = pd.DataFrame({"product_id": ids, "title": [f"Product {n}" for n in range(size.products)]})
    genre = factors @ random.normal(size=(N_FACTORS, N_GENRES))
    attributes = pd.DataFrame({"product_id": ids, "name": "genre", "value": [f"g{n}" for n in genre.argmax(1)]})
    catalog = Catalog(products.assign(description=""), attributes)
    as_of = (frame["timestamp"].max() + pd.Timedelta(days=1)).to_pydatetime()
    return Snapshot(Interactions(frame[list(INTERACTION_COLUMNS)]), catalog, RatingScale(), as_of), factors


def _write_tables(lake: Lake, snapshot: Snapshot, factors: NDArray[np.float64], random: np.random.Generator) -> None:
    product_ids = list(snapshot.catalog.products["product_id"])
    consumer_ids = sorted(set(snapshot.interactions.frame["consumer_id"]))
    lake.write("interactions", snapshot.interactions.frame, "")
    lake.write("features/consumer", consumer_states(snapshot), "")
    lake.write("features/product", product_states(snapshot), "")
    for kind, ids in (("consumer", consumer_ids), ("product", product_ids)):
        codes = random.normal(size=(len(ids), len(STANCES), N_FACETS, CODE_WIDTH)).astype(np.float32)
        weights = np.broadcast_to(np.arange(N_FACETS) < FILLED, codes.shape[:3]).astype(np.float32)
        columns = {"codes": list(codes.reshape(len(ids), -1)), "weights": list(weights.reshape(len(ids), -1))}
        lake.write(f"features/{kind}_facets", _derived(f"{kind}_id", ids, **columns), "")
    content = factors @ random.normal(size=(N_FACTORS, CONTENT_WIDTH)) + random.normal(
        size=(len(factors), CONTENT_WIDTH)
    )
    lake.write(
        "features/product_content", _derived("product_id", product_ids, vector=list(content.astype(np.float32))), ""
    )
    pairs = next(view for view in VIEWS if view.table == "features/pair_codes")
    lake.write("features/pair_codes", pairs.schema.empty_table().to_pandas(), "")


def _derived(key: str, ids: list[str], **columns: object) -> pd.DataFrame:
    return pd.DataFrame({key: ids, "event_timestamp": START, "version": "1", **columns})


def _publish(settings: HostSettings, snapshot: Snapshot, artifact_hash: str) -> None:
    """Stores the artifact and signs the release."""
    import bentoml

    tag = f"{ARTIFACT_NAME}:{RELEASE_ID}"
    with bentoml.models.create(tag) as model:
        shutil.copytree(settings.home / "artifact", model.path_of(ARTIFACT_FOLDER))
    release = Release(
        release_id=RELEASE_ID,
        created_at=datetime.now(UTC),
        method="lr_recsys",
        artifact_tag=tag,
        artifact_hash=artifact_hash,
        feature_service=SERVICE,
        text_set_hash="",
        prompt_hash="",
        data_hash="",
        encoder=NOBODY,
        llm=NOBODY,
        metrics=(),
        scale=snapshot.scale,
        as_of=snapshot.as_of,
    )
    store = ReleaseStore(settings.releases)
    store.publish(release, _texts(snapshot))
    store.promote(RELEASE_ID)


def _texts(snapshot: Snapshot) -> ReleaseTexts:
    """A fact and a facet for and against each entity, about the genre; their vectors say no more than the stance."""
    genres = dict(snapshot.catalog.attributes[["product_id", "value"]].to_numpy())
    first = snapshot.interactions.frame.drop_duplicates("consumer_id")
    rated = {who: genres[what] for who, what in zip(first["consumer_id"], first["product_id"], strict=True)}
    facts, facets = [], []
    for kind, entities in ((EntityKind.PRODUCT, genres), (EntityKind.CONSUMER, rated)):
        for entity_id, genre in entities.items():
            for stance in STANCES:
                fact, facet = _said(kind, entity_id, genre, stance)
                facts.append(fact)
                facets.append(facet)
    vectors = [np.eye(2, CONTENT_WIDTH, dtype=np.float32)[STANCES.index(facet.stance)] for facet in facets]
    return ReleaseTexts(
        snapshot.catalog.products,
        to_frame(facets, Facet).assign(vector=vectors),
        to_frame(facts, Fact),
        to_frame([], Explanation),
    )


def _said(kind: EntityKind, entity_id: str, genre: str, stance: Stance) -> tuple[Fact, Facet]:
    fact_id, sign = f"{kind}-{entity_id}-{stance}", 1 if stance is Stance.FOR else -1
    source, text = ("review" if kind is EntityKind.PRODUCT else "taste"), f"Said {stance} {entity_id}: {genre}."
    fact = Fact(fact_id, kind, entity_id, genre, text, sign, 1.0, source, START.to_pydatetime())
    facet = Facet(fact_id, kind, entity_id, stance, 0, text, 1.0, (fact_id,), START.to_pydatetime(), "", "", "none")
    return fact, facet
