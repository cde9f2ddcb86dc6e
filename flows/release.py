"""Stage 6: the gate, the artifact in the model store, and a signed release that binds it to features and texts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from prefect import flow

from features.contracts.docs import build_data_docs
from features.definitions import SERVICE
from features.types import ModelIdentity, content_hash
from flows.artifacts import attach_text
from flows.cards import describe_data, describe_explanations, describe_model, describe_run, run_documents
from flows.evaluate import EvaluateResult, evaluate_models
from flows.explain import PROMPTS, ExplainResult, explain_entities
from flows.gate import pass_gate
from flows.ingest import IngestResult, ingest_data
from flows.materialize import autoencoder_folder, text_encoder
from flows.recipe import Recipe
from flows.stage import StageResult
from flows.train import BASELINE, CONTROL, load_trained, part_set
from flows.workspace import Workspace
from models.cards.model import ModelCard
from models.release import ARTIFACT_FOLDER, ARTIFACT_NAME, Metric, Release, ReleaseStore, ReleaseTexts

if TYPE_CHECKING:
    from models.artifact import Manifest

N_GOLDEN = 32
"""Test rows whose scores are recorded in the artifact and replayed before it serves."""


class ReleaseResult(StageResult):
    """What is live now."""

    release_id: str
    artifact: str
    method: str
    with_explanations: dict[str, float]
    """Test metrics of the method."""
    without_explanations: dict[str, float]
    """The same of its control, in which every explanation is masked."""
    bias_baseline: dict[str, float]
    written_by_model: float
    """Share of the facets that are the language model's own words."""


@flow(name="release")
def release(recipe: Recipe) -> ReleaseResult:
    """Makes the trained model live. Raises CheckError if it is worse than the gate allows; then nothing changes."""
    return release_model(Workspace.open(), recipe)


def release_model(workspace: Workspace, recipe: Recipe) -> ReleaseResult:
    """The work of the flow, callable without Prefect."""
    evaluated, explained = evaluate_models(workspace, recipe), explain_entities(workspace, recipe)
    return workspace.stages.run(
        "release",
        [evaluated.model_dump(mode="json"), explained.texts_hash, recipe.gate.model_dump()],
        ReleaseResult,
        lambda made_from: _release(workspace, recipe, evaluated, explained, made_from),
        [workspace.settings.releases / "live.json"],
    )


def refresh_release(workspace: Workspace, recipe: Recipe) -> str:
    """Makes the texts of now live with the model of the live release; returns the id of what is live, if anything.

    The gate is for models: this one was judged when it was made, and texts and features have their own contracts.
    """
    releases = ReleaseStore(workspace.settings.releases)
    ingested, explained, live = ingest_data(workspace, recipe), explain_entities(workspace, recipe), releases.live()
    if live is None:
        return ""
    if (live.data_hash, live.text_set_hash) == (ingested.data_hash, explained.texts_hash):
        return live.release_id
    now = datetime.now(UTC)
    changed = {
        "release_id": _release_id(now, content_hash(ingested.data_hash, explained.texts_hash)),
        "created_at": now,
        "model_of": live.model_of or live.release_id,
        **_about_texts(recipe, ingested, explained),
    }
    made = live.model_copy(update=changed)
    cards = {
        **_carried_over(releases, live, made, ingested),
        **describe_explanations(workspace, recipe, explained, made.release_id).documents(),
    }
    releases.publish(made, _texts(workspace), cards)
    return releases.promote(made.release_id).release_id


def _carried_over(releases: ReleaseStore, live: Release, made: Release, ingested: IngestResult) -> dict[str, str]:
    """The model card of a refreshed release: the same model, and what is known now; none if there was none."""
    written = releases.read_document(live.release_id, f"{ModelCard.stem}.json")
    if written is None:
        return {}
    changed = {
        "release_id": made.release_id,
        "created_at": made.created_at,
        "model_of": made.model_of,
        "data": describe_data(ingested),
    }
    return ModelCard.model_validate_json(written).model_copy(update=changed).documents()


def _release(
    workspace: Workspace, recipe: Recipe, evaluated: EvaluateResult, explained: ExplainResult, made_from: str
) -> ReleaseResult:
    ingested, method = ingest_data(workspace, recipe), recipe.method.name
    releases = ReleaseStore(workspace.settings.releases)
    replaced, over_live = releases.live_id() or "", pass_gate(workspace, recipe, evaluated)
    now = datetime.now(UTC)
    release_id = _release_id(now, made_from)
    manifest = _store_artifact(workspace, recipe, evaluated, explained, release_id)
    made = _manifest(recipe, ingested, explained, evaluated, manifest, release_id, now)
    fields = _fields(workspace, recipe, ingested)
    cards = {
        **describe_model(workspace, recipe, evaluated, made, fields, replaced, over_live).documents(),
        **describe_explanations(workspace, recipe, explained, release_id).documents(),
    }
    releases.publish(made, _texts(workspace), cards)
    releases.promote(release_id)
    build_data_docs(workspace.settings.reports / "data_docs")
    attach_text("release", f"`{release_id}` is live: {method}, artifact `{made.artifact_tag}`.")
    return ReleaseResult(
        release_id=release_id,
        artifact=made.artifact_tag,
        method=method,
        with_explanations=evaluated.values(method),
        without_explanations=evaluated.values(CONTROL) if CONTROL in evaluated.metrics else {},
        bias_baseline=evaluated.values(BASELINE),
        written_by_model=explained.written_by_model,
    )


def _store_artifact(
    workspace: Workspace, recipe: Recipe, evaluated: EvaluateResult, explained: ExplainResult, release_id: str
) -> Manifest:
    """Saves the artifact and moves it into the BentoML model store under the release's id."""
    import bentoml

    from models.artifact import Provenance, save_artifact
    from models.backbones.autoencoder import Autoencoder

    ingested = ingest_data(workspace, recipe)
    recommender = load_trained(workspace, recipe, ingested, recipe.method.name)
    golden = part_set(workspace, ingested, "test").batch
    golden = golden.take(np.linspace(0, len(golden) - 1, min(N_GOLDEN, len(golden))).astype(np.intp))
    provenance = Provenance(
        data_hash=ingested.data_hash,
        text_set_hash=explained.texts_hash,
        prompts=PROMPTS,
        prompt_hash=explained.prompt_hash,
        encoder=str(_encoder_identity()),
        language_model=explained.llm,
        seed=recipe.method.seed,
        created=datetime.now(UTC).isoformat(),
        metrics=evaluated.values(recipe.method.name),
    )
    autoencoder = Autoencoder.load(autoencoder_folder(workspace))
    labels = {"method": recipe.method.name, "data": recipe.data.name, "text_set": explained.texts_hash[:16]}
    documents = run_documents(workspace, describe_run(workspace, recipe, evaluated))
    with bentoml.models.create(f"{ARTIFACT_NAME}:{release_id}", labels=labels) as model:
        folder = Path(model.path_of(ARTIFACT_FOLDER))
        return save_artifact(folder, recommender, autoencoder, golden, provenance, documents)


def _fields(workspace: Workspace, recipe: Recipe, ingested: IngestResult) -> tuple[str, ...]:
    """What the network names its fields."""
    recommender = load_trained(workspace, recipe, ingested, recipe.method.name)
    return recommender.score(part_set(workspace, ingested, "test").batch.take(np.arange(1))).fields


def _encoder_identity() -> ModelIdentity:
    from models.text import TextEncoder

    return TextEncoder().identity


def _manifest(
    recipe: Recipe,
    ingested: IngestResult,
    explained: ExplainResult,
    evaluated: EvaluateResult,
    manifest: Manifest,
    release_id: str,
    now: datetime,
) -> Release:
    return Release(
        release_id=release_id,
        created_at=now,
        method=manifest.method,
        artifact_tag=f"{ARTIFACT_NAME}:{release_id}",
        artifact_hash=manifest.artifact_hash,
        feature_service=SERVICE,
        encoder=_encoder_identity(),
        metrics=tuple(Metric(name=k, value=v) for k, v in evaluated.values(manifest.method).items()),
        scale=ingested.scale,
        **_about_texts(recipe, ingested, explained),
    )


def _about_texts(recipe: Recipe, ingested: IngestResult, explained: ExplainResult) -> dict[str, Any]:
    """The fields of a release that change with its texts."""
    name, _, revision = explained.llm.partition("@")
    return {
        "text_set_hash": explained.texts_hash,
        "prompt_hash": explained.prompt_hash,
        "data_hash": ingested.data_hash,
        "llm": ModelIdentity(name, revision),
        "as_of": ingested.as_of,
        "wording": recipe.explain.wording,
    }


def _release_id(now: datetime, made_from: str) -> str:
    return f"{now:%Y%m%d-%H%M%S}-{made_from[:8]}"


def _texts(workspace: Workspace) -> ReleaseTexts:
    """The words a service shows, frozen with the release."""
    lake, facets = workspace.lake, workspace.lake.read("facets")
    vectors = text_encoder(workspace)(facets["text"].tolist())
    return ReleaseTexts(
        products=lake.read("products"),
        facets=facets.assign(vector=list(vectors)),
        facts=lake.read("facts"),
        pair_texts=lake.read("pair_texts"),
    )
