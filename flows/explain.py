"""Stage 2: facts are gathered, the language model argues from them, and its arguments are checked.

Facts rest on the training period alone, and of each entity on the earlier share of it (`evidence_share`), so
that what the texts say was known before the interactions the ranker learns from. Facts that nothing happened to stay
as they were (`features/freshness.py`); what their requests cost is planned before (`models/explanations/plan.py`).
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow

from features.contracts.texts import answer_frame, check_answers, check_explanations, check_facets, check_facts
from features.freshness import EntityState
from features.ledger import Ledger
from features.records import to_frame
from features.types import (
    Completion,
    EntityKind,
    Explanation,
    Facet,
    Fact,
    ModelIdentity,
    Snapshot,
    TextRequest,
    content_hash,
)
from flows.artifacts import attach_text
from flows.ingest import IngestResult, ingest_data, preview, read_snapshot
from flows.preferences import with_preferences
from flows.prepare import STATES, Prepared, facet_config, prepare, worded_states
from flows.quality import enforce
from flows.recipe import ExplainSection, Recipe
from flows.shards import NOTHING, Bought, buy, joined, left
from flows.stage import StageResult
from flows.workspace import Workspace
from models.explanations import preferences
from models.explanations.entailment import claims_with_premises, open_judge
from models.explanations.facets import Parsed, parse_facets
from models.explanations.gates import Failure, anything
from models.explanations.pairs import ParsedPairs, parse_pairs
from models.explanations.plan import Plan
from models.explanations.retry import REASON, Rejected, second_requests
from models.explanations.styles import PROMPTS as ASKED
from models.llm.engines import open_engine
from models.llm.generate import Budget
from models.llm.imported import answerable

if TYPE_CHECKING:
    from models.llm.client import TextEngine

SHOWN_SAMPLES = 5

JUDGES = ("facets", "gates", "pairs", "preferences", "support")
"""Modules of `models/explanations` whose code decides what may be published: when it changes, all answers are read
again, from the ledger."""
PROMPTS = {**ASKED, "again": REASON, "preferences": f"{preferences.SYSTEM}\n\n{preferences.PROMPT}"}
"""The shared part of every prompt, by kind of request, and how a refused line is asked for again; an artifact carries
them."""


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
    """Lines of the model that failed a gate, by reason; lines asked for twice may count twice."""
    retried: int
    """Second requests: a refused line is asked for once more, with the reason."""
    recovered: int
    """Lines whose second answer passed. The other refused ones are worded by the template, or left out."""
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
    inputs = [ingested.data_hash, recipe.explain.asks(), str(model.identity), PROMPTS, _judging_code()]
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
    prepared = _prepare(workspace, recipe.explain, ingested, world, identity)
    return prepared.plan.followed_by(prepared.preferences)


def _prepare(
    workspace: Workspace, section: ExplainSection, ingested: IngestResult, world: Snapshot, identity: ModelIdentity
) -> Prepared:
    pace = _seconds_per_text(workspace, identity)
    with Ledger(workspace.settings.ledger_url) as ledger:
        return prepare(workspace.lake, ledger, world, ingested.cut_valid, section, identity, pace)


@dataclass(frozen=True)
class _Worded:
    """What the model said, and what passed the gates."""

    answered: Collection[str]
    """Keys of the first requests that have an answer, usable or not."""
    bought: Bought
    facets: Parsed
    pairs: ParsedPairs
    rejected: Sequence[Rejected]
    """Lines that failed a gate; what waits for a budget did not."""
    n_again: int
    """Second requests that have an answer."""
    unasked: int
    """First and second requests that wait for a budget."""


def _explain(
    workspace: Workspace, section: ExplainSection, ingested: IngestResult, engine: TextEngine, made_from: str
) -> ExplainResult:
    prepared = _prepare(workspace, section, ingested, read_snapshot(workspace, ingested), engine.identity)
    snapshot, facts = prepared.snapshot, prepared.facts
    fact_frame, fact_ids = to_frame(facts, Fact), {fact.fact_id for fact in facts}
    enforce(check_facts(fact_frame, snapshot.as_of), workspace)
    worded = _word(workspace, section, prepared, engine)
    if section.n_preferences:
        worded = _with_preferences(workspace, section, prepared, engine, worded)
    facet_frame, text_frame = to_frame(worded.facets.facets, Facet), to_frame(worded.pairs.texts, Explanation)
    enforce(check_facets(facet_frame, fact_ids, snapshot.as_of), workspace)
    if n_argued := prepared.n_pairs_answered(worded.answered):
        enforce(check_explanations(text_frame, fact_ids, snapshot.as_of, n_asked=n_argued), workspace)
    state_frame = to_frame(worded_states(prepared, worded.answered), EntityState)
    workspace.lake.write("facts", fact_frame, made_from)
    workspace.lake.write("facets", facet_frame, made_from)
    workspace.lake.write("pair_texts", text_frame, made_from)
    workspace.lake.write(STATES, state_frame, made_from)  # last: with other facts it counts for nothing
    _attach_samples(worded.facets.facets, snapshot)
    _attach_refused(worded.rejected)
    return _result(prepared, worded, engine)


def _word(workspace: Workspace, section: ExplainSection, prepared: Prepared, engine: TextEngine) -> _Worded:
    """Has everything worded that the budget allows, and what the gates refuse once more, with the reason."""
    first = _ask(workspace, section, engine, [row.request for row in prepared.plan.to_make], section.budget)
    completions = {**prepared.known, **first.completions}
    answered = {*completions, *prepared.failed, *first.failed}
    _check_answered(workspace, prepared, completions, answered)

    judge = open_judge(section.entailment)

    def parsed(asked: Sequence[TextRequest], answers: Mapping[str, Completion]) -> tuple[Parsed, ParsedPairs]:
        if judge is not None:
            judge.prepare(claims_with_premises(asked, answers))
        follows = judge or anything
        facets = parse_facets(prepared.facts, answers, engine.identity, facet_config(section), follows)
        return facets, parse_pairs(prepared.pairs, answers, engine.identity, follows=follows)

    facets, pairs = parsed([row.request for row in prepared.plan.rows], completions)
    again = second_requests(line for line in (*facets.rejected, *pairs.rejected) if line.request.key in answered)
    # What was asked twice before is in the ledger; more is bought only once everything was asked a first time.
    complete = len(answered) == len(prepared.plan.rows)
    second = _ask(workspace, section, engine, again, left(section.budget, first.reports) if complete else NOTHING)
    if second.completions:
        facets, pairs = parsed(again, {**completions, **second.completions})
    asked_again = second.completions.keys() | second.failed.keys()
    refused = [
        line
        for line in (*facets.rejected, *pairs.rejected)
        if line.request.key in answered or line.request.key in asked_again
    ]
    waiting = len(prepared.plan.rows) - len(answered) + len(again) - len(asked_again)
    return _Worded(answered, joined(first, second), facets, pairs, refused, len(asked_again), waiting)


def _with_preferences(
    workspace: Workspace, section: ExplainSection, prepared: Prepared, engine: TextEngine, worded: _Worded
) -> _Worded:
    """Has preferences worded with what is left of the budget; consumers without an answer keep their facets."""
    bought = worded.bought
    order = {row.request.key: place for place, row in enumerate(prepared.preferences.to_make)}

    def ask(requests: Sequence[TextRequest]) -> Mapping[str, Completion]:
        nonlocal bought
        ordered = sorted(requests, key=lambda request: order.get(request.key, len(order)))
        now = _ask(workspace, section, engine, ordered, left(section.budget, bought.reports))
        bought = joined(bought, now)
        return now.completions

    facets = with_preferences(
        worded.facets.facets, prepared.facts, prepared.snapshot, engine.identity, ask, section.n_preferences
    )
    return replace(worded, bought=bought, facets=replace(worded.facets, facets=facets))


def _result(prepared: Prepared, worded: _Worded, engine: TextEngine) -> ExplainResult:
    """The figures of a generation."""
    bought, facets, texts = worded.bought, worded.facets.facets, worded.pairs.texts
    return ExplainResult(
        llm=_name(engine.identity),
        n_facts=len(prepared.facts),
        n_remade=len(prepared.renewal.remade),
        n_kept=len(prepared.renewal.kept),
        n_facets=len(facets),
        n_pairs=len(prepared.pairs),
        n_pair_texts=len(texts),
        written_by_model=round(worded.facets.model_share, 4),
        refused=dict(Counter(failure.value for line in worded.rejected for failure in line.failures)),
        retried=worded.n_again,
        recovered=sum(line.recovered for line in worded.rejected),
        requests=len(prepared.plan.rows),
        from_ledger=len(prepared.known),
        made=bought.made,
        unasked=worded.unasked,
        tokens=bought.prompt_tokens + bought.completion_tokens,
        seconds=round(bought.seconds, 1),
        texts_per_second=round(bought.made / bought.seconds, 2) if bought.made else 0.0,
        tokens_per_second=round(bought.completion_tokens / bought.seconds, 1) if bought.made else 0.0,
        prompt_hash=content_hash(PROMPTS),
        texts_hash=content_hash(
            [(f.facet_id, f.text) for f in facets], [(t.consumer_id, t.product_id, t.text) for t in texts]
        ),
    )


def _ask(
    workspace: Workspace,
    section: ExplainSection,
    engine: TextEngine,
    requests: Sequence[TextRequest],
    budget: Budget,
) -> Bought:
    """Has requests answered in their order, by shards, within a budget; those the engine can answer."""
    url, progress = workspace.settings.ledger_url, workspace.progress
    return buy(answerable(requests, engine), engine, url, progress, budget, section.shard_size)


def _check_answered(
    workspace: Workspace,
    prepared: Prepared,
    completions: Mapping[str, Completion],
    answered: Collection[str],
) -> None:
    """The contract on answers, over all that have one, old or new; what waits for a budget is no fault."""
    requests = [row.request for row in prepared.plan.rows if row.request.key in answered]
    if requests:
        enforce(check_answers(answer_frame(requests, [completions.get(r.key) for r in requests])), workspace)


def _judging_code() -> str:
    folder = Path(inspect.getfile(parse_facets)).parent
    return content_hash([(folder / f"{name}.py").read_text(encoding="utf-8") for name in JUDGES])


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


def _attach_refused(rejected: Sequence[Rejected]) -> None:
    """Attaches the first refused lines of every reason to the run, for people to judge the gates by."""
    lines, shown = ["| reason | refused text | about | second answer |", "|---|---|---|---|"], Counter[Failure]()
    for line in rejected:
        if shown[line.failures[0]] < SHOWN_SAMPLES:
            shown[line.failures[0]] += 1
            second = "passed" if line.recovered else "refused too" if line.second is None else "refused or not asked"
            text = line.text.replace("|", "/")
            lines.append(f"| {', '.join(line.failures)} | {text} | {line.request.subject} | {second} |")
    attach_text("refused-samples", "\n".join(lines))
