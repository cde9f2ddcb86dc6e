"""Contracts of the argument's material: facts, language-model answers, facets, explanations."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

import pandas as pd

from features.contracts.engine import WARN, expectations, missing_columns, validate
from features.contracts.inputs import FILLED
from features.contracts.report import CheckReport
from features.types import (
    Completion,
    EntityKind,
    Explanation,
    Facet,
    Fact,
    FinishReason,
    Stance,
    TextRequest,
)
from features.words import content, echoes, latin_share

KINDS = [kind.value for kind in EntityKind]
SIDES = [stance.value for stance in Stance]
GRANULARITIES = ["pair", "entity", "none"]
TEMPLATE_MODEL = "template"
"""`model` of a facet that was worded without a language model."""

PERSONAL = {
    "an e-mail address": r"[\w.+-]+@[\w-]+\.[a-zA-Z]{2,}",
    "a telephone number": r"(?<![\w.])(?:\+\d{1,3}[ .-]?)?(?:\(\d{2,4}\)|\d{2,4})[ .-]\d{3,4}[ .-]\d{3,4}(?!\w)",
    "a web address": r"https?://|www\.\w",
    "a number as long as a card's": r"(?<!\d)\d{4}(?:[ -]?\d{4}){2,3}(?!\d)",
}
"""What must not be in a text that is shown to consumers, by what it is.

Facts are cleaned when they are made; these patterns are kept apart from the ones used there, so that a fault in
those is noticed here.
"""

CHAT_MARK = r"<\|[a-z_]+\|>|</?s>|\[/?INST\]|^(?:system|assistant|user):"
"""Traces of a chat template: the model answered past its end."""

MAX_ECHOES, MAX_PAIR_ECHOES = 0.1, 0.5
"""From these shares of answers that repeat the worked examples, the model is not doing its task. The gate refuses each
of them, so this stops a waste and no untruth: an untuned 135M model echoes in about 1 % of its facets and 20 % of its
pair texts; the tuned one is shown no examples (docs/decisions.md)."""
PAIRS = "pair_reason"
"""`kind` of the requests that are about a pair."""

ANSWER_COLUMNS = ("request_key", "kind", "subject", "text", "system", "shown", "finish")


def check_facts(
    frame: pd.DataFrame, as_of: datetime, entities: Collection[tuple[str, str]] | None = None
) -> CheckReport:
    """Facts are identified, dated before `as_of`, sourced, short, and about entities that exist.

    Args:
        frame: One column per field of `Fact`.
        as_of: Time the facts are made for; later evidence would leak.
        entities: (kind, id) of all consumers and products; not checked if absent.
    """
    if failed := missing_columns("facts", frame, [item.name for item in fields(Fact)]):
        return failed
    gxe = expectations()
    derived = frame.assign(unknown_entity=_unknown_entity(frame, entities))
    return validate(
        "facts",
        derived,
        [
            gxe.ExpectTableRowCountToBeBetween(min_value=1, notes="without facts there is nothing to argue from"),
            gxe.ExpectColumnValuesToNotBeNull(column="fact_id"),
            gxe.ExpectColumnValuesToBeUnique(column="fact_id", notes="a citation names one fact"),
            gxe.ExpectColumnValuesToBeInSet(column="entity_kind", value_set=KINDS),
            gxe.ExpectColumnSumToBeBetween(column="unknown_entity", max_value=0, notes="about a known entity"),
            gxe.ExpectColumnValuesToMatchRegex(column="aspect", regex=FILLED),
            gxe.ExpectColumnValuesToNotBeNull(column="text"),
            gxe.ExpectColumnValueLengthsToBeBetween(
                column="text", min_value=3, max_value=600, notes="one short statement"
            ),
            gxe.ExpectColumnValuesToNotMatchRegexList(
                column="text",
                regex_list=list(PERSONAL.values()),
                meta=_PRIVATE,
                severity=WARN,
                notes="no personal data",
            ),
            gxe.ExpectColumnValuesToBeInSet(column="polarity", value_set=[-1, 0, 1]),
            gxe.ExpectColumnDistinctValuesToContainSet(
                column="polarity",
                value_set=[-1, 1],
                severity=WARN,
                notes="something speaks for and something against",
            ),
            gxe.ExpectColumnValuesToNotBeNull(column="weight"),
            gxe.ExpectColumnValuesToBeBetween(
                column="weight", min_value=0, max_value=1e6, notes="a finite weight; the sign is the polarity's"
            ),
            gxe.ExpectColumnValuesToMatchRegex(column="source", regex=FILLED, notes="says where it comes from"),
            gxe.ExpectColumnValuesToNotBeNull(column="source"),
            gxe.ExpectColumnValuesToNotBeNull(column="evidence_time"),
            _evidence_before(gxe, as_of),
        ],
    )


def answer_frame(requests: Iterable[TextRequest], completions: Iterable[Completion | None]) -> pd.DataFrame:
    """One row per request with its answer (lines joined), for `check_answers`; no answer is an empty text."""
    rows = [
        (
            request.key,
            request.kind,
            request.subject,
            "" if answer is None else "\n".join(answer.lines),
            request.system,
            _shown(request),
            "missing" if answer is None else answer.finish.value,
        )
        for request, answer in zip(requests, completions, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(ANSWER_COLUMNS))


def _shown(request: TextRequest) -> str:
    """All a request shows beside its instructions: what an answer may repeat."""
    slots = [f"{slot.opening}\n{slot.about}" for slot in request.slots]
    return "\n".join([request.prompt, *(fact.text for fact in request.facts), *slots])


def check_answers(
    frame: pd.DataFrame, known_citations: Collection[str] | None = None, min_parsed: float = 0.8
) -> CheckReport:
    """Answers of the language model, as a whole: mostly usable, in Latin script, no echo, no personal data.

    Single bad answers are replaced before they are used; this contract notices when something is wrong with
    the model, the prompt or the server.

    Args:
        frame: `ANSWER_COLUMNS` (see `answer_frame`), and `citations` (lists of fact ids) where answers cite.
        known_citations: Ids that may be cited; not checked if absent.
        min_parsed: Least share of answers that ended properly.
    """
    if failed := missing_columns("answers", frame, ANSWER_COLUMNS):
        return failed
    gxe = expectations()
    given = frame["finish"] != "missing"
    text = frame["text"].fillna("")
    echo = [float(echoes(*row)) for row in zip(text, frame["system"], frame["shown"], strict=True)]
    derived = frame.drop(columns=["citations"], errors="ignore").assign(
        parsed=(frame["finish"] == FinishReason.STOP).astype(float),
        length=text.str.len().where(given),
        latin_share=text.map(latin_share).where(given),
        echo=pd.Series(echo).mask(frame["kind"] == PAIRS),
        pair_echo=pd.Series(echo).where(frame["kind"] == PAIRS),
        unknown_citations=_n_unknown(frame["citations"], known_citations) if "citations" in frame else 0,
    )
    return validate(
        "answers",
        derived,
        [
            gxe.ExpectTableRowCountToBeBetween(min_value=1),
            gxe.ExpectColumnValuesToNotBeNull(column="request_key"),
            gxe.ExpectColumnValuesToBeUnique(column="request_key", notes="nothing is bought twice"),
            gxe.ExpectColumnMeanToBeBetween(
                column="parsed", min_value=min_parsed, notes="share of answers that ended properly"
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="length", min_value=5, max_value=4000, mostly=0.9, notes="neither empty nor endless"
            ),
            gxe.ExpectColumnMeanToBeBetween(
                column="latin_share", min_value=0.95, notes="letters of the language that was asked for"
            ),
            *(_at_most_echoing(gxe, "echo", MAX_ECHOES) if (frame["kind"] != PAIRS).any() else []),
            *(_at_most_echoing(gxe, "pair_echo", MAX_PAIR_ECHOES) if (frame["kind"] == PAIRS).any() else []),
            gxe.ExpectColumnValuesToNotMatchRegex(
                column="text", regex=CHAT_MARK, mostly=0.99, notes="no traces of the chat template"
            ),
            gxe.ExpectColumnValuesToNotMatchRegexList(
                column="text",
                regex_list=list(PERSONAL.values()),
                meta=_PRIVATE,
                mostly=0.98,
                notes="no personal data",
            ),
            gxe.ExpectColumnSumToBeBetween(column="unknown_citations", max_value=0, notes="cites what exists"),
        ],
    )


def check_facets(
    frame: pd.DataFrame,
    fact_ids: Collection[str],
    as_of: datetime | None = None,
    min_both: float = 0.25,
    min_worded: float = 0.0,
) -> CheckReport:
    """Facets cite existing facts, take both stances, and the stances of an entity differ.

    Args:
        frame: One column per field of `Facet`.
        fact_ids: Ids of all facts.
        as_of: Evidence must be earlier; not checked if absent.
        min_both: Least share of entities with a facet of either stance.
        min_worded: Least share of facets worded by a language model, the others being templates.
    """
    if failed := missing_columns("facets", frame, [item.name for item in fields(Facet)]):
        return failed
    gxe = expectations()
    entity = ["entity_kind", "entity_id"]
    derived = frame.drop(columns=["fact_ids"]).assign(
        n_facts=frame["fact_ids"].map(len),
        unknown_facts=_n_unknown(frame["fact_ids"], fact_ids),
        both_stances=frame.groupby(entity)["stance"].transform("nunique").eq(len(SIDES)).astype(float),
        said_on_both=_said_on_both(frame, entity),
        model_worded=frame["model"].ne(TEMPLATE_MODEL).astype(float),
    )
    suite = [
        gxe.ExpectTableRowCountToBeBetween(min_value=1),
        gxe.ExpectColumnValuesToBeUnique(column="facet_id"),
        gxe.ExpectCompoundColumnsToBeUnique(
            column_list=[*entity, "stance", "rank"], notes="one facet per entity, stance and rank"
        ),
        gxe.ExpectColumnValuesToBeInSet(column="entity_kind", value_set=KINDS),
        gxe.ExpectColumnValuesToBeBetween(column="rank", min_value=0),
        gxe.ExpectColumnMeanToBeBetween(
            column="both_stances", min_value=min_both, notes="share of facets of entities argued for and against"
        ),
        gxe.ExpectColumnMeanToBeBetween(
            column="both_stances", min_value=0.6, severity=WARN, notes="most entities are argued for and against"
        ),
        gxe.ExpectColumnMeanToBeBetween(
            column="model_worded", min_value=min_worded, notes="share worded by the language model"
        ),
        gxe.ExpectColumnValuesToNotBeNull(column="weight"),
        gxe.ExpectColumnValuesToBeBetween(column="weight", min_value=0, max_value=1e6),
        gxe.ExpectColumnValuesToNotBeNull(column="evidence_time"),
        gxe.ExpectColumnValuesToMatchRegex(column="model", regex=FILLED, notes="says who worded it"),
        *_text_suite(gxe, max_length=400),
    ]
    return validate("facets", derived, suite + ([_evidence_before(gxe, as_of)] if as_of else []))


def check_explanations(
    frame: pd.DataFrame, fact_ids: Collection[str], as_of: datetime | None = None, n_asked: int | None = None
) -> CheckReport:
    """Texts for pairs: one per stance, both stances per pair, different, cited and dated.

    Args:
        frame: One column per field of `Explanation`. Rows of granularity `none` need no text and no citation.
        fact_ids: Ids of all facts.
        as_of: Evidence must be earlier; not checked if absent.
        n_asked: Pairs for which both texts were asked. A pair is published with both or with none, so with this there
            may be no rows at all, which warns; without it there must be some.
    """
    if failed := missing_columns("explanations", frame, [item.name for item in fields(Explanation)]):
        return failed
    if n_asked and frame.empty:
        return _nothing_passed(n_asked)
    gxe = expectations()
    said = frame["granularity"] != "none"
    pair = ["consumer_id", "product_id"]
    derived = frame.drop(columns=["fact_ids"]).assign(
        text=frame["text"].where(said),
        n_facts=frame["fact_ids"].map(len).where(said),
        unknown_facts=_n_unknown(frame["fact_ids"], fact_ids),
        both_stances=frame.groupby(pair)["stance"].transform("nunique").eq(len(SIDES)).astype(float),
        said_on_both=_said_on_both(frame, pair),
        undated=(said & frame["evidence_time"].isna()).astype(float),
    )
    suite = [
        gxe.ExpectTableRowCountToBeBetween(min_value=1),
        gxe.ExpectColumnValuesToNotBeNull(column="consumer_id"),
        gxe.ExpectColumnValuesToNotBeNull(column="product_id"),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=[*pair, "stance"], notes="one text per pair and stance"),
        gxe.ExpectColumnMeanToBeBetween(
            column="both_stances", min_value=1.0, notes="a pair is argued for and against, whatever its rating"
        ),
        gxe.ExpectColumnValuesToBeInSet(column="granularity", value_set=GRANULARITIES),
        gxe.ExpectColumnSumToBeBetween(column="undated", max_value=0, notes="what is said has a time of evidence"),
        *_text_suite(gxe, max_length=1200),
    ]
    return validate("explanations", derived, suite + ([_evidence_before(gxe, as_of)] if as_of else []))


_PRIVATE = {"private": True}  # the report gives no examples


def _nothing_passed(n_asked: int) -> CheckReport:
    """A report that warns: of all pairs asked, none had two texts that passed the gates."""
    asked = pd.DataFrame({"pairs_with_both_texts": [0.0] * n_asked})
    some = expectations().ExpectColumnSumToBeBetween(
        column="pairs_with_both_texts", min_value=1, severity=WARN, notes="the model argues no pair well enough"
    )
    return validate("explanations", asked, [some])


def _at_most_echoing(gxe: Any, column: str, most: float) -> list[Any]:
    """Answers take neither instructions nor the content of worked examples for their own; turns of phrase may."""
    expected = gxe.ExpectColumnMeanToBeBetween
    return [
        expected(column=column, max_value=most, notes="share that repeats instructions or worked examples"),
        expected(
            column=column, max_value=most / 2, severity=WARN, notes="some answers repeat instructions or examples"
        ),
    ]


def _text_suite(gxe: Any, max_length: int) -> list[Any]:
    """What holds for every text that may be shown to a consumer."""
    return [
        gxe.ExpectColumnValuesToBeInSet(column="stance", value_set=SIDES),
        gxe.ExpectColumnValueLengthsToBeBetween(column="text", min_value=8, max_value=max_length),
        gxe.ExpectColumnValuesToNotMatchRegex(column="text", regex=CHAT_MARK, notes="no traces of a chat template"),
        gxe.ExpectColumnValuesToNotMatchRegexList(
            column="text", regex_list=list(PERSONAL.values()), meta=_PRIVATE, notes="no personal data"
        ),
        gxe.ExpectColumnSumToBeBetween(
            column="said_on_both", max_value=0, notes="the two sides differ in content, not in polarity words"
        ),
        gxe.ExpectColumnValuesToBeBetween(column="n_facts", min_value=1, notes="never a claim without evidence"),
        gxe.ExpectColumnSumToBeBetween(column="unknown_facts", max_value=0, notes="cites facts that exist"),
    ]


def _evidence_before(gxe: Any, as_of: datetime) -> Any:
    return gxe.ExpectColumnValuesToBeBetween(
        column="evidence_time", max_value=pd.Timestamp(as_of), strict_max=True, notes="no evidence from the future"
    )


def _said_on_both(frame: pd.DataFrame, keys: Sequence[str]) -> pd.Series:
    """1 for a text whose content its entity or pair has under both stances, words that take a side left out."""
    said = frame["text"].map(lambda text: " ".join(sorted(content(text))) if isinstance(text, str) and text else None)
    plain = frame.assign(text=said)
    return plain.groupby([*keys, "text"])["stance"].transform("nunique").gt(1).astype(float)


def _n_unknown(cited: pd.Series, known: Collection[str] | None) -> pd.Series:
    """How many ids of each list are not known."""
    if known is None:
        return pd.Series(0, index=cited.index)
    allowed = set(known)
    return cited.map(lambda ids: sum(item not in allowed for item in ids)).astype(float)


def _unknown_entity(frame: pd.DataFrame, entities: Collection[tuple[str, str]] | None) -> pd.Series:
    if entities is None:
        return pd.Series(0.0, index=frame.index)
    index = pd.MultiIndex.from_frame(frame[["entity_kind", "entity_id"]].astype(str))
    known = pd.MultiIndex.from_tuples(sorted((str(kind), str(name)) for kind, name in entities))
    return pd.Series((~index.isin(known)).astype(float), index=frame.index)
