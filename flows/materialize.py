"""Stage 3: texts become vectors and codes, everything becomes feature rows, and the online store is filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import flow

from features.contracts.suites import check_feature_rows, check_vectors
from features.states import consumer_states, product_states
from flows.explain import ExplainResult, explain_entities
from flows.ingest import IngestResult, ingest_data, read_snapshot
from flows.quality import enforce
from flows.recipe import Recipe
from flows.stage import StageResult
from flows.workspace import Workspace

if TYPE_CHECKING:
    pass

TABLES = ("consumer", "product", "product_content", "consumer_facets", "product_facets", "pair_codes")
"""Lake tables behind the feature views, under `features/`."""


class MaterializeResult(StageResult):
    """What is in the feature store."""

    features_hash: str
    n_texts: int
    reconstruction_before: float
    """Held-out reconstruction loss of the explanation autoencoder before training, and after."""
    reconstruction_after: float
    rows: dict[str, int]
    """Rows by feature table."""
    online: dict[str, int]
    """Entities written to the online store, by view."""


@flow(name="materialize")
def materialize(recipe: Recipe) -> MaterializeResult:
    """Embeds the texts, builds and checks the feature tables, fills the online store. Raises CheckError."""
    workspace = Workspace.open()
    return materialize_features(workspace, recipe)


def materialize_features(workspace: Workspace, recipe: Recipe) -> MaterializeResult:
    """The work of the flow."""
    ingested, explained = ingest_data(workspace, recipe), explain_entities(workspace, recipe)
    outputs = [workspace.lake.path(f"features/{name}") for name in TABLES]
    return workspace.stages.run(
        "materialize",
        [ingested.data_hash, explained.texts_hash, workspace.settings.online_store],
        MaterializeResult,
        lambda made_from: _make(workspace, ingested, explained, made_from),
        outputs,
    )


def _make(workspace: Workspace, ingested: IngestResult, explained: ExplainResult, made_from: str) -> MaterializeResult:
    from models.text import TextEncoder

    snapshot = read_snapshot(workspace, ingested)
    facets = from_frame(workspace.lake.read("facets"), Facet)
    pair_texts = from_frame(workspace.lake.read("pair_texts"), Explanation)
    encoder = TextEncoder()
    texts = sorted({text.text for text in (*facets, *pair_texts)})
    vectors = encode_unique(workspace.lake, encoder, texts, workspace.progress)
    enforce(check_vectors(vectors), workspace)
    autoencoder, report = train_autoencoder(vectors, AutoencoderConfig(), RunContext(progress=workspace.progress))
    folder = autoencoder_folder(workspace)
    folder.mkdir(parents=True, exist_ok=True)
    autoencoder.save(folder)
    tables = {
        "consumer": consumer_states(snapshot),
        "product": product_states(snapshot),
        **explanation_tables(workspace, snapshot, facets, pair_texts, encoder, autoencoder),
    }
    for name, frame in tables.items():
        enforce(check_feature_rows(name, frame), workspace)
    for name, frame in tables.items():
        workspace.lake.write(f"features/{name}", frame, made_from)
    store = FeatureRows(workspace.settings)
    store.apply()
    online = store.materialize(snapshot.as_of)
    _check_online(workspace, store, snapshot)
    return MaterializeResult(
        features_hash=frame_hash(*(frame.drop(columns=_LISTS, errors="ignore") for frame in tables.values())),
        n_texts=len(texts),
        reconstruction_before=round(report.before, 5),
        reconstruction_after=round(report.after, 5),
        rows={name: len(frame) for name, frame in tables.items()},
        online={view.view: view.n_rows for view in online},
    )
