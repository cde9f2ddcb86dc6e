"""Stage 2: facts are gathered, the language model argues from them, and its arguments are checked.

Facts rest on the training period alone, and of each entity on the earlier share of it (`evidence_share`), so
that what the texts say was known before the interactions the ranker learns from. Facts that nothing happened to stay
as they were (`features/freshness.py`); what their requests cost is planned before (`models/explanations/plan.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from prefect import flow

from features.contracts.texts import answer_frame, check_answers, check_explanations, check_facets, check_facts
from features.freshness import EntityState
from features.ledger import Ledger
from features.records import to_frame
from features.types import Completion, EntityKind, Explanation, Facet, Fact, ModelIdentity, Snapshot, content_hash
from flows.artifacts import attach_text
from flows.ingest import IngestResult, ingest_data, preview, read_snapshot
from flows.prepare import STATES, Prepared, facet_config, prepare, worded_states
from flows.quality import enforce
from flows.recipe import ExplainSection, Recipe
from flows.shards import Bought, buy
from flows.stage import StageResult
from flows.workspace import Workspace
from models.explanations.facets import CONSUMER_SYSTEM, PRODUCT_SYSTEM, parse_facets
from models.explanations.pairs import PAIR_SYSTEM, parse_pairs
from models.explanations.plan import Plan
from models.llm.engines import open_engine
from models.llm.imported import answerable

if TYPE_CHECKING:
    from models.llm.client import TextEngine

SHOWN_SAMPLES = 5

PROMPTS = {"consumer_facets": CONSUMER_SYSTEM, "product_facets": PRODUCT_SYSTEM, "pairs": PAIR_SYSTEM}
"""The shared part of every prompt, by kind of request; an artifact carries them."""


class ExplainResult(StageResult):
    """What was said, and what saying it took."""

    llm: str
    n_facts: int
    n_remade: int
    """Consumers and products whose facts were made now; those of the others stayed as they were."""
    n_kept: int
    """Those whose facts would be others by now, but too little happened to make them again."""
    n_facets: int
    n_pairs: int
    """Pairs for which both texts were asked."""
    n_pair_texts: int
    """Texts of these that passed the gates; a pair's codes need both."""
    written_by_model: float
    """Share of the published facets that are the model's own words; the others are worded by a template."""
    refused: dict[str, int]
    """Lines of the model that failed a gate, by reason."""
    requests: int
    from_ledger: int
    made: int
    """Answers bought in this run."""
    unasked: int
    """Requests left over because the budget was used up; the next run makes them."""
    tokens: int
    seconds: float
    """Wall clock of the generation in this run."""
    texts_per_second: float
    tokens_per_second: float
    """New tokens per second."""
    prompt_hash: str
    texts_hash: str


@flow(name="explain")
def explain(recipe: Recipe) -> ExplainResult:
    """Makes the facts, facets and (if the recipe asks for some) pair texts. Raises CheckError, GenerationError.

    Where the last run's budget left requests over, it goes on with these.
    """
    return explain_entities(Workspace.open(), recipe, go_on=True)


def explain_entities(
    workspace: Workspace, recipe: Recipe, go_on: bool = False, engine: TextEngine | None = None
) -> ExplainResult:
    """The work of the flow, callable without Prefect.

    Args:
        workspace: the home.
        recipe: what is asked, and within which budget.
        go_on: buys more where a finished run of the same inputs left requests over. Later stages do not: a budget is
            spent once per run.
        engine: answers instead of the host's.
    """
    ingested = ingest_data(workspace, recipe)
    model = engine or open_engine(workspace.settings)
    outputs = [workspace.lake.path(name) for name in ("facts", "facets", "pair_texts", STATES)]
    inputs = [ingested.data_hash, recipe.explain.asks(), str(model.identity), PROMPTS]
    return workspace.stages.run(
        "explain",
        inputs,
        ExplainResult,
        lambda made_from: _explain(workspace, recipe.explain, ingested, model, made_from),
        outputs,
        enough=lambda result: not (go_on and result.unasked),
    )


def plan_explanations(workspace: Workspace, recipe: Recipe, identity: ModelIdentity | None = None) -> Plan:
    """What `explain` would do and cost now: reads the sources, the lake and the ledger, asks and writes nothing.

    Args:
        workspace: the home.
        recipe: what is asked, and within which budget.
        identity: the model that would answer; None is the host's.
    """
    ingested, world = preview(recipe)
    identity = identity or open_engine(workspace.settings).identity
    return _prepare(workspace, recipe.explain, ingested, world, identity).plan


def _prepare(
    workspace: Workspace, section: ExplainSection, ingested: IngestResult, world: Snapshot, identity: ModelIdentity
) -> Prepared:
    pace = _seconds_per_text(workspace, identity)
    with Ledger(workspace.settings.ledger_url) as ledger:
        return prepare(workspace.lake, ledger, world, ingested.cut_valid, section, identity, pace)


def _explain(
    workspace: Workspace, section: ExplainSection, ingested: IngestResult, engine: TextEngine, made_from: str
) -> ExplainResult:
    prepared = _prepare(workspace, section, ingested, read_snapshot(workspace, ingested), engine.identity)
    snapshot, facts = prepared.snapshot, prepared.facts
    fact_frame, fact_ids = to_frame(facts, Fact), {fact.fact_id for fact in facts}
    enforce(check_facts(fact_frame, snapshot.as_of), workspace)
    bought = _ask(workspace, section, prepared, engine)
    completions = {**prepared.known, **bought.completions}
    answered = {**completions, **prepared.failed, **bought.failed}
    _check_answered(workspace, prepared, completions, answered)
    parsed = parse_facets(facts, completions, engine.identity, facet_config(section))
    facet_frame = to_frame(parsed.facets, Facet)
    enforce(check_facets(facet_frame, fact_ids, snapshot.as_of), workspace)
    texts = parse_pairs(prepared.pairs, completions, engine.identity).texts
    text_frame = to_frame(texts, Explanation)
    if texts:
        enforce(check_explanations(text_frame, fact_ids, snapshot.as_of, min_both=0.0), workspace)
    state_frame = to_frame(worded_states(prepared, answered), EntityState)
    # The states come last: with facts of another generation they count for nothing (`last_generation`).
    for name, frame in (
        ("facts", fact_frame),
        ("facets", facet_frame),
        ("pair_texts", text_frame),
        (STATES, state_frame),
    ):
        workspace.lake.write(name, frame, made_from)
    _attach_samples(parsed.facets, snapshot)
    n_requests = len(prepared.plan.rows)
    return ExplainResult(
        llm=_name(engine.identity),
        n_facts=len(facts),
        n_remade=len(prepared.renewal.remade),
        n_kept=len(prepared.renewal.kept),
        n_facets=len(parsed.facets),
        n_pairs=len(prepared.pairs),
        n_pair_texts=len(texts),
        written_by_model=round(parsed.model_share, 4),
        refused=dict(Counter(failure.value for line in parsed.rejected for failure in line.failures)),
        requests=n_requests,
        from_ledger=len(completions) - bought.made_usable,
        made=bought.made,
        unasked=n_requests - len(answered),
        tokens=bought.prompt_tokens + bought.completion_tokens,
        seconds=round(bought.seconds, 1),
        texts_per_second=round(bought.made / bought.seconds, 2) if bought.made else 0.0,
        tokens_per_second=round(bought.completion_tokens / bought.seconds, 1) if bought.made else 0.0,
        prompt_hash=content_hash(PROMPTS),
        texts_hash=content_hash(
            [(f.facet_id, f.text) for f in parsed.facets], [(t.consumer_id, t.product_id, t.text) for t in texts]
        ),
    )


def _ask(workspace: Workspace, section: ExplainSection, prepared: Prepared, engine: TextEngine) -> Bought:
    """Has what the ledger does not know answered, most valuable first, within the budget."""
    url, progress = workspace.settings.ledger_url, workspace.progress
    requests = answerable([row.request for row in prepared.plan.to_make], engine)
    return buy(requests, engine, url, progress, section.budget, section.shard_size)


def _check_answered(
    workspace: Workspace,
    prepared: Prepared,
    completions: Mapping[str, Completion],
    answered: Mapping[str, object],
) -> None:
    """The contract on answers, over all that have one, old or new; what waits for a budget is no fault."""
    requests = [row.request for row in prepared.plan.rows if row.request.key in answered]
    if requests:
        enforce(check_answers(answer_frame(requests, [completions.get(r.key) for r in requests])), workspace)


def _seconds_per_text(workspace: Workspace, identity: ModelIdentity) -> float | None:
    """Wall clock per text of the last generation with this model."""
    record = workspace.stages.read("explain")
    pace = record.result.get("texts_per_second") if record and record.result.get("llm") == _name(identity) else None
    return 1 / pace if isinstance(pace, float) and pace > 0 else None


def _name(identity: ModelIdentity) -> str:
    return f"{identity.name}@{identity.revision}"


def _attach_samples(facets: Sequence[Facet], snapshot: Snapshot) -> None:
    """Attaches the facets of the first and the last entities to the run, for people to read."""
    products = snapshot.catalog.products
    titles = dict(zip(products["product_id"], products["title"], strict=True))
    lines = ["| about | stance | text | worded by |", "|---|---|---|---|"]
    shown = list(dict.fromkeys((facet.entity_kind, facet.entity_id) for facet in facets))
    sample = {*shown[:SHOWN_SAMPLES], *shown[-SHOWN_SAMPLES:]}
    for facet in facets:
        if (facet.entity_kind, facet.entity_id) in sample:
            name = titles.get(facet.entity_id, facet.entity_id)
            about = f"{facet.entity_kind.value} {name if facet.entity_kind is EntityKind.PRODUCT else facet.entity_id}"
            lines.append(f"| {about} | {facet.stance.value} | {facet.text} | {facet.model} |")
    attach_text("explanation-samples", "\n".join(lines))
