"""Facts and what is worded from them: clean texts pass, and each planted fault is caught by name and stops the flow."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from features.contracts.suites import answer_frame, check_answers, check_explanations, check_facets, check_facts
from features.types import (
    Claim,
    Completion,
    EntityKind,
    Explanation,
    Facet,
    Fact,
    FinishReason,
    ModelIdentity,
    Slot,
    Stance,
    TextRequest,
)
from tests.features.contracts.faults import AS_OF, START, Change, at, caught, clean


def facts() -> pd.DataFrame:
    made = [
        Fact(
            f"f{n}",
            EntityKind.CONSUMER if n % 2 else EntityKind.PRODUCT,
            f"e{n % 3}",
            "genre=Drama",
            f"rated 4 dramas above the average of {n}.2 stars",
            (-1, 0, 1)[n % 3],
            0.5,
            "history",
            START + timedelta(days=n),
        )
        for n in range(12)
    ]
    return pd.DataFrame([asdict(fact) for fact in made])


class TestFacts:
    def test_clean(self) -> None:
        frame = facts()
        known = set(zip(frame["entity_kind"], frame["entity_id"], strict=True))
        clean(check_facts(frame, AS_OF, known))

    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("fact_id", "f1"),
            ("entity_kind", "seller"),
            ("polarity", 2),
            ("text", ""),
            ("weight", float("inf")),
            ("source", None),
            ("evidence_time", AS_OF),
        ],
    )
    def test_fault(self, column: str, value: Any) -> None:
        caught(check_facts(at(facts(), 0, column, value), AS_OF), column)

    def test_about_nobody(self) -> None:
        caught(check_facts(facts(), AS_OF, [(EntityKind.CONSUMER, "e0")]), "unknown_entity")

    def test_a_telephone_number_warns_without_being_repeated(self) -> None:
        report = check_facts(at(facts(), 0, "text", 'wrote "call 555-123-4567 now"'), AS_OF)
        assert [finding.column for finding in report.warnings] == ["text"]
        assert "4567" not in str(report)


def answers() -> pd.DataFrame:
    identity = ModelIdentity("tiny", "r1")
    system = "Write one short sentence per line that says what the consumer likes and why."
    requests = [
        TextRequest("consumer_facets", f"consumer {n}", system, f"Facts: {n}", (Slot("You enjoy"),), identity)
        for n in range(10)
    ]
    completions = [
        Completion(
            request.key, (Claim("You enjoy slow dramas with a sad end."),), FinishReason.STOP, 9, 9, 0.1, identity
        )
        for request in requests
    ]
    return answer_frame(requests, completions)


class TestAnswers:
    def test_clean(self) -> None:
        clean(check_answers(answers().assign(citations=[["f1"]] * 10), known_citations=["f1"]))

    def test_a_request_without_answer_counts_as_not_parsed(self) -> None:
        request = TextRequest("k", "s", "sys", "p", (Slot("It"),), ModelIdentity("m", "r"))
        assert answer_frame([request], [None])["finish"].tolist() == ["missing"]

    @pytest.mark.parametrize(
        ("column", "change"),
        [
            ("parsed", lambda frame: frame.assign(finish=["length"] * 5 + ["stop"] * 5)),
            ("length", lambda frame: frame.assign(text="ok")),
            ("latin_share", lambda frame: frame.assign(text="Вам нравятся медленные драмы")),
            ("echo", lambda frame: frame.assign(text="Sure: " + frame["system"])),
            ("text", lambda frame: frame.assign(text="You enjoy dramas.<|im_end|> user: more")),
            ("text", lambda frame: frame.assign(text="You enjoy dramas, write to jo@example.org.")),
            ("unknown_citations", lambda frame: frame.assign(citations=[["f1", "f7"]] * 10)),
            ("request_key", lambda frame: at(frame, 1, "request_key", frame.at[0, "request_key"])),
        ],
    )
    def test_fault(self, column: str, change: Change) -> None:
        caught(check_answers(change(answers()), known_citations=["f1"]), column)

    @pytest.mark.parametrize(
        ("kind", "column", "allowed"), [("consumer_facets", "echo", 1), ("pair_reason", "pair_echo", 5)]
    )
    def test_echoes_up_to_a_share_only_warn_since_the_gate_refuses_each(
        self, kind: str, column: str, allowed: int
    ) -> None:
        frame = answers().assign(kind=kind)
        echoing = frame["text"].where(frame.index >= allowed, "Sure: " + frame["system"])
        report = check_answers(frame.assign(text=echoing))
        assert report.passed
        assert [finding.column for finding in report.warnings] == [column]
        one_more = frame["text"].where(frame.index > allowed, "Sure: " + frame["system"])
        caught(check_answers(frame.assign(text=one_more)), column)


def facets() -> pd.DataFrame:
    made = [
        Facet(
            f"x{n}",
            EntityKind.CONSUMER,
            f"c{n // 2}",
            (Stance.FOR, Stance.AGAINST)[n % 2],
            0,
            f"You {('enjoy', 'avoid')[n % 2]} dramas of the year {n}.",
            1.0,
            (f"f{n}",),
            START,
            "key",
            "hash",
            "tiny@r1",
        )
        for n in range(8)
    ]
    return pd.DataFrame([asdict(facet) for facet in made])


class TestFacets:
    known = tuple(f"f{n}" for n in range(8))

    def test_clean(self) -> None:
        clean(check_facets(facets(), self.known, AS_OF))

    @pytest.mark.parametrize(
        ("column", "change"),
        [
            ("unknown_facts", lambda frame: at(frame, 0, "fact_ids", ["f99"])),
            ("n_facts", lambda frame: at(frame, 0, "fact_ids", [])),
            ("both_stances", lambda frame: frame[frame["stance"] == "for"]),
            ("said_on_both", lambda frame: at(frame, 0, "text", "You enjoy dramas of the year 1.")),
            ("text", lambda frame: at(frame, 0, "text", "")),
            ("text", lambda frame: at(frame, 0, "text", "You enjoy www.example.org a lot.")),
            ("stance", lambda frame: at(frame, 0, "stance", "neutral")),
            ("facet_id", lambda frame: at(frame, 0, "facet_id", "x1")),
            ("evidence_time", lambda frame: frame.assign(evidence_time=AS_OF)),
        ],
    )
    def test_fault(self, column: str, change: Change) -> None:
        caught(check_facets(change(facets()), self.known, AS_OF), column)

    def test_too_few_worded_by_the_model(self) -> None:
        caught(check_facets(facets().assign(model="template"), self.known, min_worded=0.5), "model_worded")


def explanations() -> pd.DataFrame:
    made = [
        Explanation(
            f"c{n // 2}",
            "p0",
            (Stance.FOR, Stance.AGAINST)[n % 2],
            f"It {('fits', 'misses')[n % 2]} your taste for dramas.",
            ("f0",),
            START,
            "pair",
            "tiny@r1",
            "key",
        )
        for n in range(6)
    ]
    return pd.DataFrame([asdict(text) for text in made])


class TestExplanations:
    def test_clean(self) -> None:
        clean(check_explanations(explanations(), ["f0"], AS_OF))

    def test_nothing_known_needs_no_text(self) -> None:
        silent = explanations()
        silent.loc[:1, ["text", "granularity"]] = ["", "none"]
        silent = at(at(silent, 0, "fact_ids", ()), 1, "fact_ids", ())
        silent = silent.assign(evidence_time=silent["evidence_time"].where(silent["granularity"] != "none"))
        clean(check_explanations(silent, ["f0"], AS_OF))

    @pytest.mark.parametrize(
        ("column", "change"),
        [
            ("both_stances", lambda frame: frame[frame["stance"] == "for"]),
            ("said_on_both", lambda frame: at(frame, 0, "text", frame.at[1, "text"])),
            ("unknown_facts", lambda frame: at(frame, 0, "fact_ids", ["f0", "f7"])),
            ("undated", lambda frame: at(frame, 0, "evidence_time", pd.NaT)),
            ("granularity", lambda frame: at(frame, 0, "granularity", "guess")),
            ("consumer_id, product_id, stance", lambda frame: at(frame, 0, "stance", "against")),
            ("evidence_time", lambda frame: frame.assign(evidence_time=AS_OF)),
        ],
    )
    def test_fault(self, column: str, change: Change) -> None:
        caught(check_explanations(change(explanations()), ["f0"], AS_OF), column)

    def test_a_one_sided_pair_is_refused(self) -> None:
        caught(check_explanations(explanations().iloc[:-1], ["f0"], AS_OF), "both_stances")

    def test_no_pair_that_passed_warns_where_some_were_asked(self) -> None:
        report = check_explanations(explanations().iloc[:0], ["f0"], AS_OF, n_asked=3)
        assert report.passed
        assert [finding.column for finding in report.warnings] == ["pairs_with_both_texts"]
        assert not check_explanations(explanations().iloc[:0], ["f0"], AS_OF).passed
