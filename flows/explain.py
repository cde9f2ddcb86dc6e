"""Stage 2: facts are gathered, the language model argues from them, and its arguments are checked.

Facts rest on the training period alone, and of each entity on the earlier share of it (`evidence_share`), so
that what the texts say was known before the interactions the ranker learns from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from prefect import flow

from features.contracts.texts import answer_frame, check_answers, check_explanations, check_facets, check_facts
from features.facts import EvidenceWindow, consumer_facts, product_facts
from features.ledger import Ledger
from features.records import to_frame
from features.types import EntityKind, Explanation, Facet, Fact, Snapshot, TextRequest, content_hash
from flows.artifacts import attach_text
from flows.ingest import IngestResult, ingest_data, read_snapshot
from flows.quality import enforce
from flows.recipe import ExplainSection, Recipe
from flows.stage import StageResult
from flows.workspace import Workspace
from models.explanations.facets import FacetConfig, facet_requests, parse_facets
from models.explanations.gates import Failure
from models.explanations.pairs import pair_requests, parse_pairs
from models.explanations.retry import REASON, Rejected, second_requests
from models.explanations.selection import choose_pairs
from models.explanations.styles import PROMPTS as ASKED
from models.llm.engines import open_engine
from models.llm.generate import Budget, GenerationReport, generate

if TYPE_CHECKING:
    from models.llm.client import TextEngine

SHOWN_SAMPLES = 5

PROMPTS = {**ASKED, "again": REASON}
"""The shared part of every prompt, by kind of request, and how a refused line is asked for again; an artifact carries
them."""


class ExplainResult(StageResult):
    """What was said, and what saying it took."""

    llm: str
    n_facts: int
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
    """Makes the facts, facets and (if the recipe asks for some) pair texts. Raises CheckError, GenerationError."""
    return explain_entities(Workspace.open(), recipe)


def explain_entities(workspace: Workspace, recipe: Recipe) -> ExplainResult:
    """The work of the flow, callable without Prefect."""
    ingested = ingest_data(workspace, recipe)
    engine = open_engine(workspace.settings)
    outputs = [workspace.lake.path(name) for name in ("facts", "facets", "pair_texts")]
    inputs = [ingested.data_hash, recipe.explain.model_dump(), str(engine.identity), PROMPTS]
    return workspace.stages.run(
        "explain",
        inputs,
        ExplainResult,
        lambda made_from: _explain(workspace, recipe.explain, ingested, engine, made_from),
        outputs,
    )


def _explain(
    workspace: Workspace, section: ExplainSection, ingested: IngestResult, engine: TextEngine, made_from: str
) -> ExplainResult:
    snapshot = read_snapshot(workspace, ingested, ingested.cut_valid)
    facts = gather_facts(snapshot, section)
    fact_frame, fact_ids = to_frame(facts, Fact), {fact.fact_id for fact in facts}
    enforce(check_facts(fact_frame, snapshot.as_of), workspace)
    config = FacetConfig(n_per_stance=section.n_per_stance, wording=section.wording)
    pairs = choose_pairs(snapshot, facts, section.n_pairs)
    requests = facet_requests(facts, engine.identity, config)
    requests += [request for pair in pairs for request in pair_requests(pair, engine.identity)]
    requests = list({request.key: request for request in requests}.values())  # equal facts are worded once
    report = _ask(workspace, requests, engine, section)
    enforce(check_answers(answer_frame(requests, [report.completions.get(r.key) for r in requests])), workspace)
    parsed = parse_facets(facts, report.completions, engine.identity, config)
    argued = parse_pairs(pairs, report.completions, engine.identity)
    again = second_requests([*parsed.rejected, *argued.rejected]) if report.complete else []
    if again:
        second = _ask(workspace, again, engine, section, report.made)
        completions = {**report.completions, **second.completions}
        parsed = parse_facets(facts, completions, engine.identity, config)
        argued = parse_pairs(pairs, completions, engine.identity)
    facet_frame = to_frame(parsed.facets, Facet)
    enforce(check_facets(facet_frame, fact_ids, snapshot.as_of), workspace)
    texts, rejected = argued.texts, [*parsed.rejected, *argued.rejected]
    text_frame = to_frame(texts, Explanation)
    if pairs:
        enforce(check_explanations(text_frame, fact_ids, snapshot.as_of, n_asked=len(pairs)), workspace)
    for name, frame in (("facts", fact_frame), ("facets", facet_frame), ("pair_texts", text_frame)):
        workspace.lake.write(name, frame, made_from)
    _attach_samples(parsed.facets, snapshot)
    _attach_refused(rejected)
    return ExplainResult(
        llm=f"{engine.identity.name}@{engine.identity.revision}",
        n_facts=len(facts),
        n_facets=len(parsed.facets),
        n_pairs=len(pairs),
        n_pair_texts=len(texts),
        written_by_model=round(parsed.model_share, 4),
        refused=dict(Counter(failure.value for line in rejected for failure in line.failures)),
        retried=len(again),
        recovered=sum(line.recovered for line in rejected),
        requests=report.asked,
        from_ledger=report.from_ledger,
        unasked=report.unasked,
        tokens=report.prompt_tokens + report.completion_tokens,
        seconds=round(report.seconds, 1),
        texts_per_second=round(report.made / report.seconds, 2) if report.made else 0.0,
        tokens_per_second=round(report.completion_tokens / report.seconds, 1) if report.made else 0.0,
        prompt_hash=content_hash(PROMPTS),
        texts_hash=content_hash(
            [(f.facet_id, f.text) for f in parsed.facets], [(t.consumer_id, t.product_id, t.text) for t in texts]
        ),
    )


def gather_facts(snapshot: Snapshot, section: ExplainSection) -> list[Fact]:
    """Facts about all consumers and products of a snapshot."""
    window = EvidenceWindow(share=section.evidence_share)
    return [
        *consumer_facts(snapshot, window, section.wording),
        *product_facts(snapshot, window, section.wording),
    ]


def _ask(
    workspace: Workspace, requests: list[TextRequest], engine: TextEngine, section: ExplainSection, used: int = 0
) -> GenerationReport:
    """Has the requests answered: from the ledger where it knows them, else by the model, within the budget."""
    budget = Budget(calls=max(section.max_calls - used, 0)) if section.max_calls else None
    with Ledger(workspace.settings.ledger_url) as ledger:
        return generate(requests, engine, ledger, workspace.progress, budget)


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
