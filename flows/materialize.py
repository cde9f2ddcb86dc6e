"""Stage 3: texts become vectors and codes, everything becomes feature rows, and the online store is filled."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd
from prefect import flow

from features.batch import CONTENT_WIDTH
from features.contracts.numbers import check_feature_rows, check_vectors
from features.contracts.outcomes import check_online_reads
from features.rows import CONSUMER_FACETS, PAIR_CODES, PRODUCT_FACETS, VERSION, VIEWS, ViewRows, keep_rows
from features.states import consumer_states, product_states
from features.store import FeatureRows, Materialized
from features.types import EntityKind, Snapshot, content_hash
from flows.explain import ExplainResult, explain_entities
from flows.ingest import IngestResult, ingest_data, read_snapshot
from flows.quality import enforce
from flows.recipe import Recipe
from flows.stage import StageResult
from flows.workspace import Workspace
from models.base import RunContext
from models.release import ReleaseStore

if TYPE_CHECKING:
    from features.contracts.report import CheckReport
    from models.backbones.autoencoder import Autoencoder
    from models.explanations.codes import Encode

READ_BACK = 200
"""Entities of each kind that are read back from the online store after it was filled."""


class MaterializeResult(StageResult):
    """What is in the feature store."""

    n_texts: int
    autoencoder: Literal["trained", "frozen"]
    """Frozen: the codes are those of the autoencoder that the live release was made with."""
    reconstruction_before: float | None
    """Held-out reconstruction loss of the explanation autoencoder before it was trained; None where it is frozen."""
    reconstruction_after: float
    """The loss of the trained one; of a frozen one, on all texts of now."""
    rows: dict[str, int]
    """Rows by feature table."""
    online: dict[str, int]
    """Entities in the online store, by view."""
    written: dict[str, int]
    """Those of them that were new or had changed, by view."""
    deleted: dict[str, int]
    """Entities taken out of the online store, by view."""
    features_hash: str


@flow(name="materialize")
def materialize(recipe: Recipe) -> MaterializeResult:
    """Embeds the texts, builds and checks the feature tables, fills the online store. Raises CheckError."""
    return materialize_features(Workspace.open(), recipe)


def materialize_features(workspace: Workspace, recipe: Recipe) -> MaterializeResult:
    """The work of the flow, callable without Prefect."""
    ingested, explained = ingest_data(workspace, recipe), explain_entities(workspace, recipe)
    return workspace.stages.run(
        "materialize",
        [ingested.data_hash, explained.texts_hash, workspace.settings.online_store],
        MaterializeResult,
        lambda made_from: _materialize(workspace, ingested, explained, made_from),
        [autoencoder_folder(workspace), *(workspace.lake.path(view.table) for view in VIEWS)],
    )


def fill_online(workspace: Workspace, as_of: datetime) -> tuple[Materialized, ...]:
    """Makes the online store hold what the feature tables know before a time; mends a store that lost rows."""
    store = FeatureRows(workspace.settings)
    store.apply()
    return store.materialize(as_of)


def autoencoder_folder(workspace: Workspace) -> Path:
    """Where the explanation autoencoder lies."""
    return workspace.settings.home / "trained" / "autoencoder"


def text_encoder(workspace: Workspace) -> Encode:
    """The text encoder; what it encoded before is read from the lake."""
    from models.text import TextEncoder, encode_unique

    encoder = TextEncoder()
    return lambda texts: encode_unique(workspace.lake, encoder, texts, workspace.progress)


def _materialize(
    workspace: Workspace, ingested: IngestResult, explained: ExplainResult, made_from: str
) -> MaterializeResult:
    from models.explanations.codes import product_texts, topics

    snapshot, encode = read_snapshot(workspace, ingested), text_encoder(workspace)
    facets, pair_texts = workspace.lake.read("facets"), workspace.lake.read("pair_texts")
    texts = sorted({*facets["text"], *pair_texts["text"]})
    about = topics(facets, workspace.lake.read("facts"))
    autoencoder, before, after = _autoencoder(workspace, texts, [about.get(text, "") for text in texts], encode)
    tables = _feature_tables(snapshot, facets, pair_texts, encode, autoencoder)
    for view in (CONSUMER_FACETS, PRODUCT_FACETS, PAIR_CODES):
        if workspace.lake.has(view.table):
            tables[view.table] = keep_rows(view, workspace.lake.read(view.table), tables[view.table])
    for view in VIEWS:
        if view is PAIR_CODES and tables[view.table].empty:
            continue  # no pair has texts on both sides: entity granularity alone is a normal case
        enforce(check_feature_rows(view.name, tables[view.table], view.keys, snapshot.as_of), workspace)
    for name, frame in tables.items():
        workspace.lake.write(name, frame, made_from)
    online = fill_online(workspace, snapshot.as_of)
    enforce(_read_back(FeatureRows(workspace.settings), tables, snapshot), workspace)
    _forget_vectors(workspace, [*texts, *product_texts(snapshot.catalog).values()])
    return MaterializeResult(
        n_texts=len(texts),
        autoencoder="trained" if before is not None else "frozen",
        reconstruction_before=before,
        reconstruction_after=after,
        rows={name: len(frame) for name, frame in tables.items()},
        online={view.view: view.n_rows for view in online},
        written={view.view: view.n_written for view in online},
        deleted={view.view: view.n_deleted for view in online},
        features_hash=content_hash(ingested.data_hash, explained.texts_hash, autoencoder.content_hash),
    )


def _autoencoder(
    workspace: Workspace, texts: list[str], about: list[str], encode: Encode
) -> tuple[Autoencoder, float | None, float]:
    """The autoencoder, with its reconstruction loss before it was trained and after.

    While a release is live, its model reads codes of the stored autoencoder, so that one is used as it is. Before, it
    is fine-tuned on the texts, all of which are of the training period, and saved.
    """
    from models.backbones.autoencoder import Autoencoder, AutoencoderConfig, train_autoencoder

    vectors, folder = encode(texts), autoencoder_folder(workspace)
    enforce(check_vectors("text_vectors", vectors, CONTENT_WIDTH), workspace)
    if ReleaseStore(workspace.settings.releases).live_id() is not None:
        autoencoder = Autoencoder.load(folder)
        return autoencoder, None, round(autoencoder.reconstruction(vectors), 5)
    autoencoder, report = train_autoencoder(
        vectors, AutoencoderConfig(), RunContext(progress=workspace.progress), about
    )
    folder.mkdir(parents=True, exist_ok=True)
    autoencoder.save(folder)
    return autoencoder, round(report.before, 5), round(report.after, 5)


def _forget_vectors(workspace: Workspace, used: list[str]) -> None:
    from models.text import TextEncoder, forget_vectors

    forget_vectors(workspace.lake, TextEncoder(), used)


def _feature_tables(
    snapshot: Snapshot, facets: pd.DataFrame, pair_texts: pd.DataFrame, encode: Encode, autoencoder: Autoencoder
) -> dict[str, pd.DataFrame]:
    """Every feature table by its name in the lake."""
    from models.explanations.codes import facet_codes, pair_codes, product_content

    consumer_facets, product_facets = facet_codes(facets, encode, autoencoder)
    return {
        "features/consumer": consumer_states(snapshot),
        "features/product": product_states(snapshot),
        "features/product_content": product_content(snapshot.catalog, encode),
        "features/consumer_facets": consumer_facets,
        "features/product_facets": product_facets,
        "features/pair_codes": pair_codes(pair_texts, encode, autoencoder),
    }


def _read_back(store: FeatureRows, tables: dict[str, pd.DataFrame], snapshot: Snapshot) -> CheckReport:
    """Reads some entities as serving will, and compares each row's version with the newest in the lake."""
    consumers = tables["features/consumer"].groupby("consumer_id")[VERSION].last().tail(READ_BACK)
    products = tables["features/product"].groupby("product_id")[VERSION].last().tail(READ_BACK)
    frame = pd.concat(
        [
            _compared(EntityKind.CONSUMER, consumers, store.online_consumers(list(consumers.index)).features, snapshot),
            _compared(EntityKind.PRODUCT, products, store.online_products(list(products.index)).features, snapshot),
        ]
    )
    oldest = pd.Timedelta(seconds=float(frame["age_seconds"].max()) + 1).to_pytimedelta()
    return check_online_reads(frame, "newest", oldest)


def _compared(kind: EntityKind, newest: pd.Series, rows: ViewRows, snapshot: Snapshot) -> pd.DataFrame:
    """One row per entity: whether it is present, its age, and whether it is the newest version."""
    table = rows.table.to_pandas()
    present = rows.index >= 0
    read = table[VERSION].to_numpy(object)[rows.index] if len(table) else newest.to_numpy(object)
    age = pd.Timestamp(snapshot.as_of).tz_convert(None) - pd.Series(rows.event_time)
    return pd.DataFrame(
        {
            "entity_kind": kind.value,
            "entity_id": newest.index,
            "present": present,
            "age_seconds": age.dt.total_seconds().where(present).to_numpy(),
            "version": pd.Series(read == newest.to_numpy(object)).map({True: "newest", False: "older"}).where(present),
        }
    )
