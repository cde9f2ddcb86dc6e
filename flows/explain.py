"""Stage 2: facts are gathered, the language model argues from them, and its arguments are checked.

Facts rest on the training period alone, and of each entity on the earlier share of it (`evidence_share`), so
that what the texts say was known before the interactions the ranker learns from.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from prefect import flow

from features.contracts.texts import answer_frame, check_answers, check_explanations, check_facets, check_facts
from features.facts import EvidenceWindow, consumer_facts, product_facts
from features.ledger import Ledger
from features.records import to_frame
from features.types import EntityKind, Explanation, Fact, Facet, Snapshot, TextRequest, content_hash
from flows.artifacts import attach_text
from flows.ingest import IngestResult, ingest_data, read_snapshot
from flows.quality import enforce
from flows.recipe import ExplainSection, Recipe
from flows.stage import StageResult
from flows.workspace import Workspace
from models.explanations.facets import CONSUMER_SYSTEM, PRODUCT_SYSTEM, FacetConfig, Parsed, by_entity
from models.explanations.facets import facet_requests, parse_facets
from models.explanations.gates import TEMPLATE
from models.llm.engines import open_engine
from models.llm.generate import Budget, GenerationReport, generate

if TYPE_CHECKING:
    from models.llm.client import TextEngine

SHOWN_SAMPLES = 5


class ExplainResult(StageResult):
    """What was said, and what saying it took."""

    llm: str
    n_facts: int
    n_facets: int
    n_pair_texts: int
    written_by_model: float
    """Share of the published facets that are the model's own words; the others are worded by a template."""
    refused: dict[str, int]
    """Lines of the model that failed a gate, by reason."""
    requests: int
    from_ledger: int
    tokens: int
    seconds: float
    """Seconds the model worked in this run."""
    texts_per_second: float
    prompt_hash: str
    texts_hash: str


@flow(name="explain")
def explain(recipe: Recipe) -> ExplainResult:
    """Makes the facts, facets and (if the recipe asks for some) pair texts. Raises CheckError, GenerationError."""
    return explain_entities(Workspace.open(), recipe)


def explain_entities(workspace: Workspace, recipe: Recipe) -> ExplainResult:
    """The work of the flow, callable without Prefect."""
    ingested = ingest_data(workspace, recipe)
    engine = open_engine(workspace.settings, batch_size=recipe.explain.batch_size)
    outputs = [workspace.lake.path(name) for name in ("facts", "facets", "pair_texts")]
    inputs = [ingested.data_hash, recipe.explain.model_dump(), str(engine.identity), prompt_hash()]
    return workspace.stages.run(
        "explain",
        inputs,
        ExplainResult,
        lambda made_from: _explain(workspace, recipe.explain, ingested, engine, made_from),
        outputs,
    )


def prompt_hash() -> str:
    """Hash of every prompt the stage uses."""
    return content_hash(prompts())


def prompts() -> dict[str, str]:
    """The prompts by kind of request; an artifact carries them."""
    from models.explanations.pairs import SYSTEM as PAIR_SYSTEM

    return {"consumer_facets": CONSUMER_SYSTEM, "product_facets": PRODUCT_SYSTEM, "pairs": PAIR_SYSTEM}


def _explain(
    workspace: Workspace, section: ExplainSection, ingested: IngestResult, engine: TextEngine, made_from: str
) -> ExplainResult:
    snapshot = read_snapshot(workspace, ingested, ingested.cut_valid)
    facts = gather_facts(snapshot, section)
    fact_frame, fact_ids = to_frame(facts, Fact), {fact.fact_id for fact in facts}
    enforce(check_facts(fact_frame, snapshot.as_of), workspace)
    config = FacetConfig(n_per_stance=section.n_per_stance, wording=section.wording)
    requests = facet_requests(facts, _titles(snapshot), engine.identity, config)
    pairs = choose_pairs(snapshot, facts, section.n_pairs)
    asked = [*requests, *pair_requests(pairs, engine.identity)]
    report = _ask(workspace, asked, engine, section)
    answers = [report.completions.get(request.key) for request in asked]
    enforce(check_answers(answer_frame(asked, answers)), workspace)
    parsed = _parse(requests, report, facts, config)
    facets = [facet for item in parsed for facet in item.facets]
    facet_frame = to_frame(facets, Facet)
    enforce(check_facets(facet_frame, fact_ids, snapshot.as_of), workspace)
    texts = parse_pairs(pairs, report.completions, engine.identity)
    text_frame = to_frame(texts, Explanation)
    enforce(check_explanations(text_frame, fact_ids, snapshot.as_of), workspace)
    for name, frame in (("facts", fact_frame), ("facets", facet_frame), ("pair_texts", text_frame)):
        workspace.lake.write(name, frame, made_from)
    _attach_samples(facets, _titles(snapshot))
    return ExplainResult(
        llm=f"{engine.identity.name}@{engine.identity.revision}",
        n_facts=len(facts),
        n_facets=len(facets),
        n_pair_texts=len(texts),
        written_by_model=round(sum(facet.model != TEMPLATE for facet in facets) / max(len(facets), 1), 4),
        refused=dict(Counter(failure.value for p in parsed for r in p.rejected for failure in r.failures)),
        requests=report.asked,
        from_ledger=report.from_ledger,
        tokens=report.tokens,
        seconds=round(report.seconds, 1),
        texts_per_second=round(report.made / report.seconds, 2) if report.seconds else 0.0,
        prompt_hash=prompt_hash(),
        texts_hash=content_hash([facet.text for facet in facets], [text.text for text in texts]),
    )


def gather_facts(snapshot: Snapshot, section: ExplainSection) -> list[Fact]:
    """Facts about all consumers and products of a snapshot."""
    window = EvidenceWindow(share=section.evidence_share)
    return [
        *consumer_facts(snapshot, window, section.wording),
        *product_facts(snapshot, window, section.wording),
    ]


def _ask(
    workspace: Workspace, requests: list[TextRequest], engine: TextEngine, section: ExplainSection
) -> GenerationReport:
    """Has the requests answered: from the ledger where it knows them, else by the model, within the budget."""
    budget = Budget(calls=section.max_calls) if section.max_calls else None
    with Ledger(workspace.settings.ledger_url) as ledger:
        return generate(requests, engine, ledger, workspace.progress, budget)


def _parse(
    requests: list[TextRequest], report: GenerationReport, facts: list[Fact], config: FacetConfig
) -> list[Parsed]:
    """The facets of every entity; requests stand in the order of `by_entity`."""
    groups = [group for group in by_entity(facts).values() if select(group, config)]
    return [
        parse_facets(request, report.completions.get(request.key), group, config)
        for request, group in zip(requests, groups, strict=True)
    ]


def _titles(snapshot: Snapshot) -> dict[str, str]:
    products = snapshot.catalog.products
    return dict(zip(products["product_id"], products["title"], strict=True))


def _attach_samples(facets: list[Facet], titles: dict[str, str]) -> None:
    """Attaches the first facets of a few consumers and products to the run, for people to read."""
    lines = ["| about | stance | text | worded by |", "|---|---|---|---|"]
    shown = list(dict.fromkeys((facet.entity_kind, facet.entity_id) for facet in facets))
    sample = {*shown[:SHOWN_SAMPLES], *shown[-SHOWN_SAMPLES:]}
    for facet in facets:
        if (facet.entity_kind, facet.entity_id) in sample:
            name = titles.get(facet.entity_id, "") if facet.entity_kind == EntityKind.PRODUCT else ""
            about = f"{facet.entity_kind.value} {name or facet.entity_id}"
            lines.append(f"| {about} | {facet.stance.value} | {facet.text} | {facet.model} |".replace("\n", " "))
    attach_text("explanation-samples", "\n".join(lines))
