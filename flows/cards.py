"""Cards of a training and of a release, made from the records of the stages, the lake and the ledger."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING

from features.ledger import Ledger
from features.rows import VERSION, VIEWS
from features.splits import SplitRule
from features.types import STANCES, EntityKind
from features.wording import CATALOG_TIME
from flows.curves import draw_curves
from flows.explain import PROMPTS, ExplainResult, explain_entities
from flows.ingest import IngestResult, ingest_data
from flows.materialize import materialize_features
from flows.recipe import Recipe
from flows.train import TrainResult, read_fit, train_models, variants
from flows.workspace import Workspace
from models.cards.explanations import ExplanationCard, SideCard, read_judged
from models.cards.model import DataCard, ModelCard
from models.cards.run import CostCard, FitCard, RunCard, Spend, SplitCard
from models.evaluate import Interval
from models.explanations.gates import TEMPLATE

if TYPE_CHECKING:
    import pandas as pd

    from flows.evaluate import EvaluateResult, Measure
    from models.release import Release

LIBRARIES = ("torch", "numpy", "pandas", "transformers", "feast", "prefect", "bentoml", "great-expectations")
"""Whose versions a run card names."""


def describe_run(workspace: Workspace, recipe: Recipe, evaluated: EvaluateResult) -> RunCard:
    """The card of the last training."""
    ingested, trained = ingest_data(workspace, recipe), train_models(workspace, recipe)
    record = workspace.stages.read("train")
    assert record is not None  # train_models has just written it
    fits = {name: _fit(workspace, recipe, name, evaluated.metrics[name]) for name in trained.fits}
    return RunCard(
        dataset=recipe.data.name,
        method=trained.method,
        data_hash=ingested.data_hash,
        features_hash=materialize_features(workspace, recipe).features_hash,
        text_set_hash=explain_entities(workspace, recipe).texts_hash,
        split=_split(ingested, trained, evaluated),
        scale=(ingested.low, ingested.high, ingested.like_from),
        seed=recipe.method.seed,
        device=recipe.method.device,
        fits=fits,
        gain=intervals(evaluated.gain),
        over_baseline=intervals(evaluated.over_baseline),
        cost=CostCard(
            texts=_spent_on_texts(workspace),
            ledger=_spent_so_far(workspace),
            training_seconds=round(sum(fit.seconds for fit in fits.values()), 1),
            peak_memory_mb=record.peak_memory_mb,
        ),
        trained_at=record.finished_at,
        commit=record.commit,
        versions={"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
    )


def run_documents(workspace: Workspace, card: RunCard) -> dict[str, bytes]:
    """The card's files by name, with the learning curves."""
    texts = {name: text.encode() for name, text in card.documents().items()}
    return {**texts, "curves.png": draw_curves({name: read_fit(workspace, name) for name in card.fits})}


def describe_model(
    workspace: Workspace,
    recipe: Recipe,
    evaluated: EvaluateResult,
    made: Release,
    fields: tuple[str, ...],
    replaced: str,
    over_live: dict[str, Interval],
) -> ModelCard:
    """The card of a new release's model.

    Args:
        workspace: the home.
        recipe: of the run.
        evaluated: what the held-out part said.
        made: the release.
        fields: of the network.
        replaced: the release that was live before, or an empty string.
        over_live: the model minus that one's, paired; empty where they were not compared.
    """
    return ModelCard(
        release_id=made.release_id,
        created_at=made.created_at,
        model_of="",
        artifact_tag=made.artifact_tag,
        artifact_hash=made.artifact_hash,
        feature_service=made.feature_service,
        encoder=f"{made.encoder.name}@{made.encoder.revision}",
        data=describe_data(ingest_data(workspace, recipe)),
        known_consumers=evaluated.known_consumers,
        with_both_facets=evaluated.with_both_facets,
        features={view.name: tuple(name for name, _ in view.features if name != VERSION) for view in VIEWS},
        fields=fields,
        run=describe_run(workspace, recipe, evaluated),
        replaced=replaced,
        over_live=over_live,
    )


def describe_data(ingested: IngestResult) -> DataCard:
    """What a release knows of the world."""
    return DataCard(
        since=ingested.since,
        until=ingested.as_of,
        n_consumers=ingested.n_consumers,
        n_products=ingested.n_products,
        n_interactions=ingested.n_interactions,
        n_quarantined=ingested.n_quarantined,
    )


def describe_explanations(
    workspace: Workspace, recipe: Recipe, explained: ExplainResult, release_id: str
) -> ExplanationCard:
    """The card of a release's texts."""
    ingested, facets = ingest_data(workspace, recipe), workspace.lake.read("facets")
    known = facets["evidence_time"][facets["evidence_time"] > CATALOG_TIME]
    return ExplanationCard(
        release_id=release_id,
        text_set_hash=explained.texts_hash,
        language_model=explained.llm,
        prompt_hash=explained.prompt_hash,
        prompts=tuple(PROMPTS),
        evidence_share=recipe.explain.evidence_share,
        entailment=recipe.explain.entailment.model,
        n_facts=explained.n_facts,
        consumers=_side(facets, EntityKind.CONSUMER, ingested.n_consumers),
        products=_side(facets, EntityKind.PRODUCT, ingested.n_products),
        n_pairs=explained.n_pairs,
        n_pair_texts=explained.n_pair_texts,
        written_by_model=explained.written_by_model,
        refused=explained.refused,
        retried=explained.retried,
        recovered=explained.recovered,
        requests=explained.requests,
        unasked=explained.unasked,
        evidence_until=known.max().to_pydatetime() if len(known) else None,
        judged=read_judged(workspace.settings, explained.texts_hash),
    )


def intervals(measures: dict[str, Measure]) -> dict[str, Interval]:
    """A stage's measures as a card holds them."""
    return {name: Interval(it.value, it.low, it.high) for name, it in measures.items()}


def _fit(workspace: Workspace, recipe: Recipe, name: str, metrics: dict[str, Measure]) -> FitCard:
    report, (_, config) = read_fit(workspace, name), variants(recipe)[name]
    return FitCard(
        config=config.model_dump(mode="json"),
        epochs=report.epochs,
        best_epoch=report.best_epoch,
        n_parameters=report.n_parameters,
        seconds=round(report.seconds, 1),
        train_loss=report.train_loss,
        valid_loss=report.valid_loss,
        metrics=intervals(metrics),
    )


def _split(ingested: IngestResult, trained: TrainResult, evaluated: EvaluateResult) -> SplitCard:
    return SplitCard(
        kind=SplitRule().kind,
        cut_valid=ingested.cut_valid,
        cut_test=ingested.cut_test,
        n_train=trained.n_train,
        n_valid=trained.n_valid,
        n_test=evaluated.rows,
        test_consumers=evaluated.consumers,
    )


def _spent_on_texts(workspace: Workspace) -> Spend:
    """The answers behind the published facets and pair texts; what the template worded rests on none."""
    tables = [workspace.lake.read(name) for name in ("facets", "pair_texts")]
    keys = {key for table in tables for key in table["request_key"][table["model"] != TEMPLATE]}
    with Ledger(workspace.settings.ledger_url) as ledger:
        answers = ledger.find(keys).values()
    return Spend(
        calls=len(answers),
        prompt_tokens=sum(answer.prompt_tokens for answer in answers),
        completion_tokens=sum(answer.completion_tokens for answer in answers),
        seconds=round(sum(answer.seconds for answer in answers), 1),
    )


def _spent_so_far(workspace: Workspace) -> Spend:
    with Ledger(workspace.settings.ledger_url) as ledger:
        summary = ledger.summary()
    return Spend(
        calls=summary.answers,
        prompt_tokens=summary.prompt_tokens,
        completion_tokens=summary.completion_tokens,
        seconds=round(summary.seconds, 1),
    )


def _side(facets: pd.DataFrame, kind: EntityKind, entities: int) -> SideCard:
    mine = facets[facets["entity_kind"] == kind.value]
    return SideCard(
        entities=entities,
        with_facets=mine["entity_id"].nunique(),
        facets={stance.value: int((mine["stance"] == stance.value).sum()) for stance in STANCES},
    )
