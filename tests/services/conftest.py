"""A runtime on fakes: three products, a model whose score can be read off, a store that can be broken."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.browser import CHROMIUM
from features.assemble import training_set
from features.batch import (
    CODE_WIDTH,
    CONTENT_WIDTH,
    N_FACETS,
    PRODUCT_NUMERIC,
    FeatureBatch,
    Indexed,
    PairBlock,
    ProductBlock,
    TrainingSet,
)
from features.errors import StoreError
from features.inbox import Inbox
from features.lake import Lake
from features.settings import HostSettings, ServeSettings
from features.states import consumer_states, product_states
from features.store import FeatureRows
from features.types import (
    INTERACTION_COLUMNS,
    STANCES,
    Catalog,
    EntityKind,
    Interactions,
    ModelIdentity,
    RatingScale,
    Snapshot,
    Stance,
)
from models.base import Recommender, RunContext, Scores
from models.held import Crossed
from models.release import ARTIFACT_FOLDER, ARTIFACT_NAME, Release, ReleaseStore, ReleaseTexts
from models.text import TextEncoder
from services.explain import Reasons
from services.guard import Guard
from services.limits import App, Message
from services.runtime import Runtime
from services.sources import ConsumerNow, absent_consumer
from tests.services.shop import Shop, open_shop

NOW = datetime(2024, 5, 1, tzinfo=UTC)
COUNTS = {"p1": 5.0, "p2": 50.0, "p3": np.nan}
ATTRIBUTES = {"p1": ("genre=Drama", "year=1990"), "p2": ("genre=Drama", "year=2000"), "p3": ("genre=Comedy",)}


def make_release(release_id: str = "r1") -> Release:
    return Release(
        release_id=release_id,
        created_at=NOW,
        method="fake",
        artifact_tag="counterpoint:abc",
        artifact_hash="0" * 64,
        feature_service="lr_recsys_v1",
        text_set_hash="t",
        prompt_hash="p",
        data_hash="d",
        encoder=ModelIdentity("mini", "1"),
        llm=ModelIdentity("smol", "1"),
        metrics=(),
        scale=RatingScale(),
        as_of=NOW,
    )


def make_facet(kind: EntityKind, entity_id: str, stance: Stance, rank: int, fact_id: str) -> dict[str, object]:
    return {
        "facet_id": f"{kind}-{entity_id}-{stance}-{rank}",
        "entity_kind": str(kind),
        "entity_id": entity_id,
        "stance": str(stance),
        "rank": rank,
        "text": f"{entity_id} {stance} {rank}",
        "weight": 1.0,
        "fact_ids": [fact_id],
        "evidence_time": pd.Timestamp(NOW),
        "request_key": "k",
        "input_hash": "h",
        "model": "smol",
        "vector": [3.0, 4.0] if stance == Stance.FOR else [0.0, 1.0],
    }


def make_texts() -> ReleaseTexts:
    facts = [
        {
            "fact_id": fact_id,
            "entity_kind": "product",
            "entity_id": "p1",
            "aspect": f"plot of {fact_id}",
            "text": f"Text of {fact_id}.",
            "polarity": 1,
            "weight": 1.0,
            "source": "review",
            "evidence_time": pd.Timestamp(NOW),
        }
        for fact_id in ("f1", "f2")
    ]
    written = {
        "consumer_id": "c1",
        "product_id": "p2",
        "stance": "for",
        "text": "Written for c1 and p2.",
        "fact_ids": ["f2"],
        "evidence_time": pd.Timestamp(NOW),
        "granularity": "pair",
        "model": "smol",
        "request_key": "k",
    }
    facets = [
        make_facet(EntityKind.CONSUMER, "c1", Stance.FOR, 0, "f2"),
        make_facet(EntityKind.PRODUCT, "p1", Stance.AGAINST, 0, "f1"),
        make_facet(EntityKind.PRODUCT, "p1", Stance.FOR, 0, "f1"),
    ]
    titles = [{"product_id": it, "title": f"Title {it}", "description": ""} for it in COUNTS]
    return ReleaseTexts(*(pd.DataFrame(rows) for rows in (titles, facets, facts, [written])))


def block_of(attributes: Mapping[str, tuple[str, ...]]) -> ProductBlock:
    """Products with attributes, and nothing else known of them."""
    n, nowhere = len(attributes), np.full(len(attributes), -1, np.int32)
    listed = np.empty(n, object)
    listed[:] = list(attributes.values())
    codes = np.zeros((0, 2, N_FACETS, CODE_WIDTH), np.float32)
    return ProductBlock(
        product_ids=np.array(list(attributes), object),
        numeric=np.zeros((n, len(PRODUCT_NUMERIC)), np.float32),
        attributes=listed,
        content=Indexed(np.zeros((0, CONTENT_WIDTH), np.float32), nowhere),
        facet_codes=Indexed(codes, nowhere),
        facet_weights=Indexed(codes[..., 0], nowhere),
    )


@pytest.fixture
def make_products() -> Callable[[Mapping[str, tuple[str, ...]]], ProductBlock]:
    return block_of


@dataclass
class FakeFeatures:
    """Knows the consumer c1, who has seen p1; `broken` makes every read fail."""

    broken: bool = False
    pairs_asked: list[tuple[str, ...]] = field(default_factory=list)

    def consumer(self, consumer_id: str) -> ConsumerNow:
        if self.broken:
            raise StoreError("The online store is away.")
        block = absent_consumer(consumer_id)
        if consumer_id != "c1":
            return ConsumerNow(block, None)
        block.numeric[0] = 2.0
        block.history_ids[0, 0], block.history_ratings[0, 0] = "p1", 5.0
        return ConsumerNow(block, NOW)

    def products(self, product_ids: Sequence[str]) -> ProductBlock:
        block = block_of({it: ATTRIBUTES.get(it, ()) for it in product_ids})
        block.numeric[:, 0] = [COUNTS[it] for it in product_ids]
        return block

    def pairs(self, consumer_id: str, product_ids: Sequence[str]) -> PairBlock:
        self.pairs_asked.append((consumer_id, *product_ids))
        if self.broken:
            raise StoreError("The online store is away.")
        table = np.ones((1, 2, CODE_WIDTH), np.float32)
        return PairBlock(Indexed(table, np.zeros(len(product_ids), np.int32)))


@dataclass
class FakeModel:
    """p3 before p1 before p2; a known consumer adds half a star, a pair text a tenth. `broken` makes it fail."""

    name = "fake"
    additive, levels, adjusted = Recommender.additive, Recommender.levels, Recommender.adjusted

    broken: bool = False
    batches: list[FeatureBatch] = field(default_factory=list)
    bases: dict[str, float] = field(default_factory=lambda: {"p3": 3.0, "p1": 2.0, "p2": 1.0})

    def hold(self, products: ProductBlock) -> Crossed:
        return Crossed(self, products)  # type: ignore[arg-type]

    def score(self, batch: FeatureBatch) -> Scores:
        if self.broken:
            raise RuntimeError("no kernel")
        self.batches.append(batch)
        base = np.array([self.bases[it] for it in batch.products.product_ids])
        known = ~np.isnan(batch.consumers.numeric).all(axis=1)
        rating = (base + 0.5 * known + 0.1 * (batch.pairs.codes.index >= 0)).astype(np.float32)
        attention = np.tile(np.array([[0.25, 0.75]], np.float32), (len(batch), 1))
        return Scores(rating, rating / 5, ("consumer", "product"), attention)


@pytest.fixture
def features() -> FakeFeatures:
    return FakeFeatures()


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
def texts() -> ReleaseTexts:
    return make_texts()


@pytest.fixture
def reasons(texts: ReleaseTexts) -> Reasons:
    return Reasons(texts)


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "inbox.sqlite")


@pytest.fixture
def runtime(features: FakeFeatures, model: FakeModel, reasons: Reasons, inbox: Inbox) -> Runtime:
    return make_runtime(features, model, reasons, inbox)


def make_runtime(
    features: FakeFeatures, model: FakeModel, reasons: Reasons, inbox: Inbox, release_id: str = "r1"
) -> Runtime:
    titles = dict(make_texts().products[["product_id", "title"]].to_numpy())
    return Runtime(make_release(release_id), model, features, reasons, titles, inbox)  # type: ignore[arg-type]


@pytest.fixture
def open_runtime(features: FakeFeatures, model: FakeModel, reasons: Reasons, inbox: Inbox) -> Callable[[str], Runtime]:
    return lambda release_id: make_runtime(features, model, reasons, inbox, release_id)


@pytest.fixture
def new_release() -> Callable[[str], Release]:
    return make_release


@pytest.fixture(name="make_runtime")
def _make_runtime() -> Callable[..., Runtime]:
    return make_runtime


@pytest.fixture
def make_runtime_on(model: FakeModel, reasons: Reasons, inbox: Inbox) -> Callable[[Any], Runtime]:
    return lambda features: make_runtime(features, model, reasons, inbox)


# The console in a real browser.

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; apt-get install chromium")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Shop]]:
    """URL of a console over a catalog that attackers wrote, and what is asked there."""
    with open_shop(tmp_path_factory.mktemp("shop")) as opened:
        yield opened


# Requests through the guard, without a server.

JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Answered:
    """One answer; `body` is parsed if it is JSON."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Guarded:
    """An app behind the guard."""

    guard: Guard
    host: str = "127.0.0.1:3000"
    client: str = "127.0.0.1"

    def __call__(
        self,
        body: bytes = b"{}",
        headers: dict[str, str] | None = None,
        method: str = "POST",
        path: str = "/v1/score",
        chunk: int = 1 << 30,
    ) -> Answered:
        """Status, headers and parsed body of one request."""
        return asyncio.run(self.ask(body, headers, method, path, chunk))

    async def ask(
        self,
        body: bytes = b"{}",
        headers: dict[str, str] | None = None,
        method: str = "POST",
        path: str = "/v1/score",
        chunk: int = 1 << 30,
    ) -> Answered:
        """The same, in an event loop."""
        sent: list[Message] = []
        chunks = [body[n : n + chunk] for n in range(0, len(body), chunk)] or [b""]

        async def receive() -> Message:
            part = chunks.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(chunks)}

        async def send(message: Message) -> None:
            sent.append(message)

        given = {"host": self.host, **(JSON if headers is None else headers)}
        raw = [(name.encode(), value.encode()) for name, value in given.items()]
        ends = {"server": ("127.0.0.1", 3000), "client": (self.client, 50000)}
        await self.guard({"type": "http", "method": method, "path": path, "headers": raw, **ends}, receive, send)
        content = b"".join(message.get("body", b"") for message in sent[1:])
        answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        is_json = "json" in answered.get("content-type", "json")
        return Answered(sent[0]["status"], answered, json.loads(content) if content and is_json else content)


@pytest.fixture
def guarded(tmp_path: Path) -> Callable[..., Guarded]:
    """Puts an app behind a guard of its own; keyword arguments are settings."""

    def build(app: App, **settings: Any) -> Guarded:
        return Guarded(Guard(app, replace(ServeSettings(keys=tmp_path / "keys.json"), **settings)))

    return build


# A real, tiny release: synthetic events through Feast, a model fitted briefly, an artifact, a signed manifest.

N_CONSUMERS, N_PRODUCTS = 12, 20
START = pd.Timestamp("2024-01-01", tz="UTC").as_unit("us")


@pytest.fixture(scope="module")
def artifact_folder(tiny_release: HostSettings) -> Path:
    """Where the live release's artifact lies."""
    live = ReleaseStore(tiny_release.releases).live()
    assert live is not None
    return tiny_release.bentoml / "models" / live.artifact_tag.replace(":", "/") / ARTIFACT_FOLDER


@pytest.fixture(scope="module")
def tiny_release(tiny_home: Path, tmp_path_factory: pytest.TempPathFactory) -> HostSettings:
    """A COUNTERPOINT_HOME with a live release over 12 consumers and 20 products, which no other file's tests change."""
    home = shutil.copytree(tiny_home, tmp_path_factory.mktemp("copies") / "home")
    return HostSettings.from_environment({"COUNTERPOINT_HOME": str(home)})


@pytest.fixture(scope="session")
def tiny_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `tiny_release` is copied from."""
    settings = HostSettings.from_environment({"COUNTERPOINT_HOME": str(tmp_path_factory.mktemp("home"))})
    snapshot = tiny_snapshot()
    write_features(Lake(settings.lake), snapshot)
    rows = FeatureRows(settings)
    rows.apply()
    rows.materialize(snapshot.as_of)
    frame = snapshot.interactions.frame
    train, valid = (training_set(rows, part, snapshot.scale) for part in (frame[:80], frame[80:]))
    publish_release(settings, train, valid, snapshot, "tiny-1")
    return settings.home


def tiny_snapshot() -> Snapshot:
    """Consumer u rates every product but two; even consumers like even products."""
    random = np.random.default_rng(0)
    events = [(f"c{u}", f"p{i}", 5.0 if (u + i) % 2 == 0 else 2.0) for u in range(N_CONSUMERS) for i in range(10)]
    frame = pd.DataFrame(events, columns=["consumer_id", "product_id", "rating"])
    frame = frame.iloc[random.permutation(len(frame))].reset_index(drop=True)
    frame["timestamp"] = START + pd.to_timedelta(np.arange(len(frame)), unit="h")
    frame["row"], frame["review"] = np.arange(len(frame)), None
    product_ids = [f"p{i}" for i in range(N_PRODUCTS)]
    products = pd.DataFrame({"product_id": product_ids, "title": [f"Title {it}" for it in product_ids]})
    attributes = pd.DataFrame({"product_id": product_ids, "name": "parity", "value": ["even", "odd"] * 10})
    catalog = Catalog(products.assign(description=""), attributes)
    as_of = (frame["timestamp"].max() + pd.Timedelta(days=1)).to_pydatetime()
    return Snapshot(Interactions(frame[list(INTERACTION_COLUMNS)]), catalog, RatingScale(), as_of)


def write_features(lake: Lake, snapshot: Snapshot) -> None:
    """All six tables; facets and content are random, pair codes exist for c0 with p15."""
    random = np.random.default_rng(1)
    product_ids = list(snapshot.catalog.products["product_id"])
    consumer_ids = sorted(set(snapshot.interactions.frame["consumer_id"]))

    def vectors(n: int, width: int) -> list[np.ndarray]:
        return list(random.normal(size=(n, width)).astype(np.float32))

    def table(keys: dict[str, list[str]], **columns: object) -> pd.DataFrame:
        return pd.DataFrame({**keys, "event_timestamp": START, "version": "1", **columns})

    n_codes = 2 * N_FACETS * CODE_WIDTH
    for kind, ids in (("consumer", consumer_ids), ("product", product_ids)):
        weights = [np.ones(2 * N_FACETS, np.float32)] * len(ids)
        facets = table({f"{kind}_id": ids}, codes=vectors(len(ids), n_codes), weights=weights)
        lake.write(f"features/{kind}_facets", facets, "")
    lake.write("features/consumer", consumer_states(snapshot), "")
    lake.write("features/product", product_states(snapshot), "")
    content = table({"product_id": product_ids}, vector=vectors(N_PRODUCTS, CONTENT_WIDTH))
    lake.write("features/product_content", content, "")
    pair = table({"consumer_id": ["c0"], "product_id": ["p15"]}, codes=vectors(1, 2 * CODE_WIDTH))
    lake.write("features/pair_codes", pair, "")


def publish_release(
    settings: HostSettings, train: TrainingSet, valid: TrainingSet, snapshot: Snapshot, release_id: str
) -> None:
    """Fits, stores the artifact in the model store, signs a release and makes it live."""
    artifact_tag, artifact_hash = store_artifact(settings, train, valid, snapshot)
    texts = tiny_texts(snapshot)
    release = make_release(release_id).model_copy(
        update={
            "method": "lr_recsys",
            "artifact_tag": artifact_tag,
            "artifact_hash": artifact_hash,
            "as_of": snapshot.as_of,
            "encoder": TextEncoder().identity,
        }
    )
    store = ReleaseStore(settings.releases)
    store.publish(release, texts)
    store.promote(release_id)


def store_artifact(
    settings: HostSettings, train: TrainingSet, valid: TrainingSet, snapshot: Snapshot
) -> tuple[str, str]:
    """Tag and hash of a briefly fitted model in the model store.

    In a process of its own, as BentoML fixes its home when it is first imported.
    """
    from models.artifact import Provenance, save_artifact
    from models.backbones.autoencoder import Autoencoder, AutoencoderConfig, AutoencoderNetwork
    from models.backbones.collaborative import CollaborativeConfig
    from models.methods.lr_recsys import LRRecsys, LRRecsysConfig

    quick = CollaborativeConfig(rank=3, chains=1, sweeps=6, burn_in=2, samples=2, folds=2)
    method = LRRecsys(LRRecsysConfig(epochs=2, collaborative=quick), snapshot.scale)
    method.fit(train, valid, RunContext())
    folder = settings.home / "artifact"
    provenance = Provenance(data_hash="d", text_set_hash="t")
    autoencoder = Autoencoder(AutoencoderConfig(), AutoencoderNetwork(AutoencoderConfig()))
    manifest = save_artifact(folder, method, autoencoder, valid.batch.take(np.arange(8)), provenance)
    script = (
        "import shutil, sys, bentoml\n"
        "with bentoml.models.create(sys.argv[1]) as model:\n"
        "    shutil.copytree(sys.argv[2], model.path_of(sys.argv[3]))\n"
        "print(model.tag)\n"
    )
    settings.bentoml.mkdir(parents=True)
    environment = {**os.environ, "BENTOML_HOME": str(settings.bentoml), "BENTOML_DO_NOT_TRACK": "True"}
    command = [sys.executable, "-c", script, ARTIFACT_NAME, str(folder), ARTIFACT_FOLDER]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()[-1], manifest.artifact_hash


def tiny_texts(snapshot: Snapshot) -> ReleaseTexts:
    """One fact and one facet on each side of c0 and p15, and a text written for c0 with p15."""
    texts = make_texts()
    facets = [
        {**make_facet(kind, entity_id, stance, 0, fact_id), "vector": [1.0] * CONTENT_WIDTH}
        for kind, entity_id, fact_id in ((EntityKind.CONSUMER, "c0", "f1"), (EntityKind.PRODUCT, "p16", "f2"))
        for stance in STANCES
    ]
    pair_texts = texts.pair_texts.assign(consumer_id="c0", product_id="p15")
    return ReleaseTexts(snapshot.catalog.products, pd.DataFrame(facets), texts.facts, pair_texts)
