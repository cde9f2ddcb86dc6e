"""What a language model says of a split's consumers and products: facts, requests, answers, gates, facets.

The requests are those of production (`flows/explain.py`), one per entity with facts, through the same ledger: a
stopped run goes on where it was. They are bought line by line, since most facts of a split are facts of another one
too, and the embedded model writes each line alone in any case. What was said of a split is kept in the lake and read
from there ever after, so that later code scores the same texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import pandas as pd

from benchmarks.lr.splits import BenchSplit
from features.errors import InputError
from features.lake import Lake
from features.ledger import Ledger
from features.records import from_frame, to_frame
from features.settings import HostSettings
from features.types import Completion, Facet, Fact, FinishReason, ShownFact, TextRequest, claims_of, content_hash
from flows.prepare import facet_config, gather_facts
from models.base import Progress, silent
from models.explanations.facets import Parsed, facet_requests, parse_facets
from models.explanations.retry import second_requests
from models.llm.client import TextEngine
from models.llm.generate import generate

FIRST_FACT = "F1"
"""Label of the only fact of a line's request."""


@dataclass(frozen=True)
class Cost:
    """What a split's texts took, from the ledger's answers: bought now or before."""

    entities: int
    """Consumers and products that have facts, and so a request each in production."""
    lines: int
    """One per facet; a line that other splits have too was bought once."""
    second_lines: int
    """Refused lines that were asked for again."""
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    """Of the model, summed over answers."""
    facets: int
    model_share: float
    """Share of the facets that the model worded; a template worded the others."""
    refused: Mapping[str, int]
    """Lines that failed a gate, by reason."""
    recovered: int
    """Those whose second answer passed."""


def split_facts(split: BenchSplit, lake: Lake) -> list[Fact]:
    """Facts that rest on the split's evidence alone; made once, then read from the lake."""
    made_from = content_hash(split.key, split.section.asks())
    frame = lake.kept(
        _table(split, "facts"),
        made_from,
        lambda: to_frame(gather_facts(split.evidence_snapshot, split.window, split.section.wording), Fact),
    )
    return from_frame(frame, Fact)


def read_facets(split: BenchSplit, lake: Lake) -> pd.DataFrame:
    """What `word` left in the lake; columns are the fields of `Facet`. Raises InputError if there is nothing."""
    if not lake.has(_table(split, "facets")):
        raise InputError(
            f"The model has not yet worded the facts of {split.key}.",
            remedy=f"Run `python -m benchmarks.lr.generate {split.key}` in this COUNTERPOINT_HOME.",
        )
    return lake.read(_table(split, "facets"))


def word(split: BenchSplit, engine: TextEngine, settings: HostSettings, progress: Progress = silent) -> Cost:
    """Has a split's facts worded, buying what the ledger lacks, and leaves facts and facets in the lake."""
    lake = Lake(settings.lake)
    facts, config, identity = split_facts(split, lake), facet_config(split.section), engine.identity
    requests = facet_requests(facts, identity, config)
    with Ledger(settings.ledger_url) as ledger:
        lines = generate([line for request in requests for line in in_lines(request)], engine, ledger, progress)
        answers = whole_answers(requests, lines.completions)
        parsed = parse_facets(facts, answers, identity, config)
        again = second_requests(parsed.rejected)
        answers.update(generate(again, engine, ledger, progress).completions)
        parsed = parse_facets(facts, answers, identity, config)
    lake.write(_table(split, "facets"), to_frame(parsed.facets, Facet), f"{identity.name}@{identity.revision}")
    return _cost(requests, again, answers, parsed)


def in_lines(request: TextRequest) -> list[TextRequest]:
    """A request of several slots as one request per slot, each with the fact that it words."""
    return [
        replace(request, slots=(replace(slot, cites=(FIRST_FACT,)),), facts=(ShownFact(FIRST_FACT, fact.text),))
        for slot, fact in zip(request.slots, request.facts, strict=True)
    ]


def whole_answers(requests: Sequence[TextRequest], answers: Mapping[str, Completion]) -> dict[str, Completion]:
    """The answers to `in_lines` put together, by the key of the whole request.

    As in the embedded engine, a line without a usable answer is its opening alone; without any, there is no answer.
    """
    whole = {}
    for request in requests:
        parts = [answers.get(line.key) for line in in_lines(request)]
        found = [part for part in parts if part is not None]
        if found:
            lines = [part.lines[0] if part else slot.opening for part, slot in zip(parts, request.slots, strict=True)]
            whole[request.key] = Completion(
                request_key=request.key,
                claims=claims_of(request.slots, lines),
                finish=FinishReason.STOP,
                prompt_tokens=sum(part.prompt_tokens for part in found),
                completion_tokens=sum(part.completion_tokens for part in found),
                seconds=sum(part.seconds for part in found),
                model=request.model,
            )
    return whole


def figures(split: BenchSplit, cost: Cost, identity: str, lake: Lake) -> dict[str, object]:
    """What a result file says of a split's texts."""
    facets = lake.read(_table(split, "facets"))
    per_entity = facets.groupby(["entity_kind", "entity_id"]).size().groupby("entity_kind").agg(["count", "mean"])
    return {
        "dataset": split.dataset,
        "split": split.name,
        "fraction": split.fraction,
        "llm": identity,
        "n_per_stance": split.section.n_per_stance,
        "evidence_share": split.section.evidence_share,
        "entities_with_facets": per_entity["count"].to_dict(),
        "facets_per_entity": per_entity["mean"].round(3).to_dict(),
        "texts_hash": content_hash(list(zip(facets["facet_id"], facets["text"], strict=True))),
        **asdict(cost),
    }


def _cost(
    requests: Sequence[TextRequest], again: Sequence[TextRequest], answers: Mapping[str, Completion], parsed: Parsed
) -> Cost:
    bought = [answers[request.key] for request in (*requests, *again) if request.key in answers]
    return Cost(
        entities=len(requests),
        lines=sum(len(request.slots) for request in requests),
        second_lines=len(again),
        prompt_tokens=sum(answer.prompt_tokens for answer in bought),
        completion_tokens=sum(answer.completion_tokens for answer in bought),
        seconds=round(sum(answer.seconds for answer in bought), 1),
        facets=len(parsed.facets),
        model_share=round(parsed.model_share, 4),
        refused=dict(Counter(failure.value for line in parsed.rejected for failure in line.failures)),
        recovered=sum(line.recovered for line in parsed.rejected),
    )


def _table(split: BenchSplit, name: str) -> str:
    return f"benchmark/{split.key}/{name}"
