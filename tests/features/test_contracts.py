"""Contracts: a clean hand-over passes, and each planted fault is caught by name and stops the flow."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.batch import (
    CODE_WIDTH,
    CONSUMER_NUMERIC,
    CONTENT_WIDTH,
    HISTORY_LENGTH,
    N_FACETS,
    PRODUCT_NUMERIC,
    ConsumerBlock,
    FeatureBatch,
    Indexed,
    PairBlock,
    ProductBlock,
    TrainingSet,
)
from features.contracts.docs import build_data_docs, write_report
from features.contracts.engine import expectations, validate
from features.contracts.outcomes import Paired, not_compared
from features.contracts.report import CheckReport, Finding
from features.contracts.suites import (
    answer_frame,
    check_against_live,
    check_answers,
    check_catalog,
    check_explanations,
    check_facets,
    check_facts,
    check_feature_rows,
    check_interactions,
    check_metrics,
    check_online_reads,
    check_training_set,
    check_vectors,
)
from features.errors import CheckError
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

AS_OF = datetime(2021, 1, 1, tzinfo=UTC)
START = datetime(2020, 1, 1, tzinfo=UTC)
Change = Callable[[pd.DataFrame], pd.DataFrame]


def at(frame: pd.DataFrame, row: int, column: str, value: Any) -> pd.DataFrame:
    """The frame with one value changed."""
    changed = frame.copy()
    changed[column] = changed[column].astype(object)
    changed.at[row, column] = value
    return changed.infer_objects()


def caught(report: CheckReport, column: str) -> None:
    """The fault is found in that column, and it stops the flow."""
    found = [finding.column for finding in report.blocking_failures]
    assert any(column in name for name in found), f"{column} not among {found}"
    with pytest.raises(CheckError, match=re.escape(column)):
        report.enforce()


def clean(report: CheckReport) -> None:
    assert report.failures == ()
    assert report.findings
    assert report.enforce() is report


def interactions() -> pd.DataFrame:
    rows = [
        (n, f"c{n // 4}", f"p{n % 4}", START + timedelta(days=n), 1.0 + n % 5, "good" if n % 3 else None)
        for n in range(20)
    ]
    frame = pd.DataFrame(rows, columns=["row", "consumer_id", "product_id", "timestamp", "rating", "review"])
    return frame.assign(timestamp=frame["timestamp"].astype("datetime64[us, UTC]"))


class TestInteractions:
    def test_clean(self) -> None:
        clean(check_interactions(interactions(), as_of=AS_OF))

    @pytest.mark.parametrize(
        ("column", "change"),
        [
            ("rating", lambda frame: at(frame, 3, "rating", 7.0)),
            ("rating", lambda frame: at(frame, 3, "rating", None)),
            ("consumer_id", lambda frame: at(frame, 3, "consumer_id", " ")),
            ("product_id", lambda frame: at(frame, 3, "product_id", None)),
            ("consumer_id, product_id", lambda frame: at(frame, 1, "product_id", "p0")),
            ("row", lambda frame: at(frame, 1, "row", 0)),
            ("timestamp", lambda frame: frame.iloc[::-1]),
            ("timestamp", lambda frame: frame.assign(timestamp=frame["timestamp"] + pd.Timedelta(days=900))),
            ("timestamp", lambda frame: frame.assign(timestamp=frame["timestamp"] - pd.Timedelta(days=18_000))),
            ("rating", lambda frame: frame.drop(columns="rating")),
        ],
    )
    def test_fault(self, column: str, change: Change) -> None:
        caught(check_interactions(change(interactions()), as_of=AS_OF), column)

    def test_a_single_rating_warns_and_does_not_stop(self) -> None:
        report = check_interactions(interactions().assign(rating=5.0), as_of=AS_OF)
        assert {finding.column for finding in report.warnings} == {"rating", "liked"}
        report.enforce()

    def test_no_rows(self) -> None:
        assert not check_interactions(interactions().iloc[:0], as_of=AS_OF).passed

    def test_the_error_says_what_was_found_and_what_to_do(self) -> None:
        with pytest.raises(CheckError) as raised:
            check_interactions(at(interactions(), 3, "rating", 7.0), as_of=AS_OF).enforce()
        message = str(raised.value)
        assert "rating: found 1 of 20 rows wrong, for example 7" in message
        assert "at least 1 and at most 5" in message
        assert "run the stage again" in message


class TestCatalog:
    products = pd.DataFrame(
        [(f"p{n}", f"Title {n}", "") for n in range(4)], columns=["product_id", "title", "description"]
    )
    attributes = pd.DataFrame([(f"p{n}", "genre", "Drama") for n in range(4)], columns=["product_id", "name", "value"])

    def test_clean(self) -> None:
        clean(check_catalog(self.products, self.attributes, interactions()))

    def test_repeated_product(self) -> None:
        caught(check_catalog(at(self.products, 1, "product_id", "p0"), self.attributes), "product_id")

    def test_missing_title(self) -> None:
        caught(check_catalog(at(self.products, 1, "title", ""), self.attributes), "title")

    def test_attribute_of_an_unlisted_product(self) -> None:
        caught(check_catalog(self.products, at(self.attributes, 1, "product_id", "p9")), "unlisted")

    def test_event_about_an_unlisted_product(self) -> None:
        caught(check_catalog(self.products.iloc[:3], self.attributes.iloc[:3], interactions()), "unlisted")

    def test_no_attributes_only_warns(self) -> None:
        report = check_catalog(self.products, self.attributes.iloc[:0])
        assert report.passed
        assert len(report.warnings) == 1


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


class TestVectors:
    vectors = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)

    def test_clean(self) -> None:
        clean(check_vectors("codes", self.vectors, 8))

    def test_width(self) -> None:
        ragged = [*self.vectors[:3], self.vectors[3][:7]]
        caught(check_vectors("codes", ragged, 8), "width")

    def test_not_finite(self) -> None:
        broken = self.vectors.copy()
        broken[3, 2] = np.nan
        caught(check_vectors("codes", broken, 8), "not_finite")

    def test_zero(self) -> None:
        broken = self.vectors.copy()
        broken[3] = 0
        caught(check_vectors("codes", broken, 8), "norm")

    def test_collapsed(self) -> None:
        same = np.repeat(self.vectors[:1], 50, axis=0) + 1e-6 * self.vectors
        caught(check_vectors("codes", same, 8), "spread")


class TestFeatureRows:
    frame = pd.DataFrame(
        {
            "consumer_id": ["a", "a", "b"],
            "event_timestamp": pd.to_datetime(["2020-01-01", "2020-02-01", "2020-01-01"], utc=True),
            "n_interactions": [1, 2, 1],
            "mean_rating": [4.0, np.nan, 3.0],
            "history_ids": [["p0"], ["p1", "p0"], []],
        }
    )

    def check(self, frame: pd.DataFrame) -> CheckReport:
        return check_feature_rows("consumer_features", frame, ["consumer_id"], AS_OF, n_entities=2)

    def test_clean(self) -> None:
        clean(self.check(self.frame))

    @pytest.mark.parametrize(
        ("column", "change"),
        [
            ("key, event_timestamp", lambda frame: pd.concat([frame, frame.iloc[:1]], ignore_index=True)),
            ("consumer_id", lambda frame: at(frame, 0, "consumer_id", None)),
            ("key", lambda frame: frame[frame["consumer_id"] == "a"]),
            ("infinite", lambda frame: at(frame, 0, "mean_rating", np.inf)),
            ("event_timestamp", lambda frame: frame.assign(event_timestamp=pd.Timestamp(AS_OF))),
            ("event_timestamp", lambda frame: frame.drop(columns="event_timestamp")),
        ],
    )
    def test_fault(self, column: str, change: Change) -> None:
        caught(self.check(change(self.frame)), column)

    def test_two_keys(self) -> None:
        pairs = self.frame.assign(product_id="p0")
        clean(check_feature_rows("features/pair_codes", pairs, ["consumer_id", "product_id"], AS_OF))


def training(n_rows: int = 300) -> TrainingSet:
    draw = np.random.default_rng(1)

    def indexed(*shape: int) -> Indexed:
        return Indexed(draw.normal(size=(5, *shape)).astype(np.float32), draw.integers(-1, 5, n_rows).astype(np.int32))

    def numbers(width: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        return draw.normal(size=(n_rows, width)).astype(np.float32)

    ids = np.asarray([f"e{n % 40}" for n in range(n_rows)], object)
    history = np.full((n_rows, HISTORY_LENGTH), "", object)
    history[:, 0] = "other"
    consumers = ConsumerBlock(
        ids,
        numbers(len(CONSUMER_NUMERIC)),
        np.asarray([()] * n_rows + [None], object)[:-1],
        history,
        numbers(HISTORY_LENGTH),
        indexed(2, N_FACETS, CODE_WIDTH),
        indexed(2, N_FACETS),
    )
    products = ProductBlock(
        ids,
        numbers(len(PRODUCT_NUMERIC)),
        np.asarray([()] * n_rows + [None], object)[:-1],
        indexed(CONTENT_WIDTH),
        indexed(2, N_FACETS, CODE_WIDTH),
        indexed(2, N_FACETS),
    )
    days = np.arange(n_rows).astype("timedelta64[D]")
    as_of = (np.datetime64("2020-01-01", "us") + days).astype("datetime64[us]")
    batch = FeatureBatch(consumers, products, PairBlock(indexed(2, CODE_WIDTH)), as_of)
    rating = draw.integers(1, 6, n_rows).astype(np.float32)
    return TrainingSet(batch, rating, (rating >= 4).astype(np.float32), np.arange(n_rows))


class TestTrainingSet:
    def test_clean(self) -> None:
        clean(check_training_set(training(), AS_OF, n_rows=300))

    def test_later_than_the_cut(self) -> None:
        caught(check_training_set(training(), START + timedelta(days=10)), "as_of")

    def test_a_row_lost_in_the_join(self) -> None:
        report = check_training_set(training(), AS_OF, n_rows=301)
        assert [finding.expectation for finding in report.blocking_failures] == ["expect_table_row_count_to_be_between"]

    def test_a_row_repeated_by_the_join(self) -> None:
        caught(check_training_set(training().take(np.r_[0, np.arange(299)]), AS_OF), "row")

    def test_only_one_outcome(self) -> None:
        caught(check_training_set(replace(training(), liked=np.ones(300, np.float32)), AS_OF), "liked")

    def test_features_that_were_not_found(self) -> None:
        rows = training()
        rows.batch.products.numeric[:200] = np.nan
        caught(check_training_set(rows, AS_OF), "product_known")

    def test_the_target_in_its_own_history(self) -> None:
        rows = training()
        rows.batch.consumers.history_ids[7, 3] = rows.batch.products.product_ids[7]
        caught(check_training_set(rows, AS_OF), "in_own_history")

    def test_a_leaked_rating(self) -> None:
        rows = training()
        rows.batch.consumers.numeric[:, 1] = -2 * rows.rating
        caught(check_training_set(rows, AS_OF), f"consumer {CONSUMER_NUMERIC[1]}")

    def test_a_rating_leaked_through_a_text(self) -> None:
        rows = training()
        codes = np.zeros((5, 2, CODE_WIDTH), np.float32)
        codes[:, 1, 0] = np.arange(1, 6)
        pairs = PairBlock(Indexed(codes, (rows.rating - 1).astype(np.int32)))
        caught(check_training_set(replace(rows, batch=replace(rows.batch, pairs=pairs)), AS_OF), "pair code against")


class TestMetrics:
    bias = {"rmse": 0.95, "auc": 0.70, "mae": 0.75}  # noqa: RUF012  # compared, never changed

    def test_clean(self) -> None:
        clean(check_metrics({"rmse": 0.93, "auc": 0.72, "mae": 0.74}, self.bias))

    def test_a_little_worse_than_the_bias_baseline_is_accepted(self) -> None:
        clean(check_metrics({"rmse": 0.96, "auc": 0.70}, self.bias))

    def test_not_finite(self) -> None:
        caught(check_metrics({"rmse": float("nan"), "auc": 0.7}, self.bias), "rmse")

    def test_rmse_is_required(self) -> None:
        caught(check_metrics({"auc": 0.7}, self.bias), "rmse")

    def test_worse_than_the_bias_baseline(self) -> None:
        caught(check_metrics({"rmse": 1.0, "auc": 0.72}, self.bias), "rmse")

    def test_on_few_rows_a_first_release_goes_live_with_warnings(self) -> None:
        report = check_metrics({"rmse": 1.2, "auc": 0.6}, self.bias, rows=15, replaces=False)
        assert report.passed
        assert {finding.column for finding in report.warnings} == {"test_rows", "rmse", "auc"}

    def test_on_few_rows_nothing_live_is_replaced_by_what_is_worse(self) -> None:
        caught(check_metrics({"rmse": 1.2, "auc": 0.8}, self.bias, rows=15), "rmse")

    def test_not_finite_is_refused_on_few_rows_too(self) -> None:
        caught(check_metrics({"rmse": float("nan")}, self.bias, rows=15, replaces=False), "rmse")

    def test_a_metric_that_does_not_decide_only_warns(self) -> None:
        report = check_metrics({"rmse": 0.93, "auc": 0.72, "mae": 0.9}, self.bias)
        assert report.passed
        assert [finding.column for finding in report.warnings] == ["mae"]


class TestAgainstTheLiveRelease:
    better = Paired(candidate=0.92, live=0.93, low=-0.02, high=0.0)
    clearly_worse = Paired(candidate=0.935, live=0.93, low=0.001, high=0.009)
    perhaps_worse = Paired(candidate=0.94, live=0.93, low=-0.01, high=0.03)
    far_worse_on_few = Paired(candidate=1.1, live=0.93, low=-0.1, high=0.4)

    def check(self, rmse: Paired, rows: int = 1000) -> CheckReport:
        return check_against_live({"rmse": rmse}, "r1", tolerance=0.02, rows=rows)

    def test_clean(self) -> None:
        clean(self.check(self.better))

    def test_clearly_worse_is_refused_however_little_and_says_by_how_much(self) -> None:
        report = self.check(self.clearly_worse)
        caught(report, "rmse surely worse by")
        told = "0.9350 against 0.9300 of r1 on the same 1,000 rows, a difference of +0.0050 with the 95 % interval"
        with pytest.raises(CheckError, match=re.escape(told)):
            report.enforce()

    def test_worse_within_the_tolerance_is_accepted_where_the_interval_holds_zero(self) -> None:
        clean(self.check(self.perhaps_worse))

    def test_far_worse_is_refused_whatever_the_interval(self) -> None:
        caught(self.check(self.far_worse_on_few), "rmse worse by")

    def test_on_few_rows_worse_at_all_is_refused(self) -> None:
        caught(self.check(self.perhaps_worse, rows=15), "rmse worse by")

    def test_of_an_auc_more_is_better(self) -> None:
        fallen = Paired(candidate=0.70, live=0.71, low=-0.02, high=-0.001)
        caught(check_against_live({"auc": fallen}, "r1"), "auc surely worse by")
        risen = Paired(candidate=0.72, live=0.71, low=0.001, high=0.02)
        clean(check_against_live({"auc": risen}, "r1"))

    def test_a_live_model_that_cannot_be_scored_only_warns(self) -> None:
        report = not_compared("r1", "The model store has no artifact.")
        assert report.passed
        assert "no artifact" in str(report.warnings[0])


class TestOnlineReads:
    frame = pd.DataFrame(
        {
            "entity_kind": ["consumer"] * 10,
            "entity_id": [f"c{n}" for n in range(10)],
            "present": [True] * 9 + [False],
            "age_seconds": [60.0] * 9 + [np.nan],
            "version": ["v1"] * 9 + [None],
        }
    )

    def check(self, frame: pd.DataFrame) -> CheckReport:
        return check_online_reads(frame, "v1", timedelta(hours=1))

    def test_clean(self) -> None:
        clean(self.check(self.frame))

    @pytest.mark.parametrize(
        ("column", "change"),
        [
            ("present", lambda frame: frame.assign(present=[True] * 8 + [False] * 2)),
            ("version", lambda frame: at(frame, 0, "version", "v0")),
            ("age_seconds", lambda frame: frame.assign(age_seconds=7200.0)),
            ("age_seconds", lambda frame: at(frame, 0, "age_seconds", -1.0)),
        ],
    )
    def test_fault(self, column: str, change: Change) -> None:
        caught(self.check(change(self.frame)), column)

    def test_a_single_old_row_only_warns(self) -> None:
        report = self.check(at(self.frame, 0, "age_seconds", 7200.0))
        assert report.passed
        assert report.warnings


class TestEngine:
    def test_an_expectation_that_cannot_be_evaluated_blocks(self) -> None:
        suite = [expectations().ExpectColumnValuesToNotBeNull(column="absent", severity="warning")]
        report = validate("broken", pd.DataFrame({"x": [1]}), suite)
        assert "could not be made" in report.blocking_failures[0].observed

    def test_findings_keep_the_order_of_the_suite(self) -> None:
        gxe = expectations()
        suite = [gxe.ExpectColumnValuesToNotBeNull(column=name) for name in "cab"]
        report = validate("order", pd.DataFrame({"a": [1], "b": [1], "c": [1]}), suite)
        assert [finding.column for finding in report.findings] == ["c", "a", "b"]

    def test_the_same_suite_again_sees_the_new_rows(self) -> None:
        suite = lambda: [expectations().ExpectColumnValuesToBeUnique(column="a")]  # noqa: E731
        assert validate("again", pd.DataFrame({"a": [1, 2]}), suite()).passed
        assert not validate("again", pd.DataFrame({"a": [1, 1]}), suite()).passed


class TestPages:
    reports = (
        CheckReport(
            "facts",
            (
                Finding("e", "text", False, "'<script>alert(1)</script>'", "no <b>", True, "because"),
                Finding("e", "", True, "12", "rows", True),
            ),
            12,
            0.01,
        ),
        CheckReport("catalog", (Finding("e", "title", False, "1 of 9", "short", False),), 9, 0.01),
    )

    def test_is_self_contained_and_escaped(self, tmp_path: Path) -> None:
        page = write_report(self.reports, tmp_path / "deep" / "report.html", title="Run <1>").read_text()
        assert "<script" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "<title>Run &lt;1&gt;</title>" in page
        assert not re.search(r"https?://|src=|<link|@import|url\(", page)
        assert "prefers-color-scheme: dark" in page

    def test_says_what_stopped_the_flow(self, tmp_path: Path) -> None:
        page = write_report(self.reports, tmp_path / "report.html").read_text()
        assert "Stopped by facts" in page
        assert page.index("failed</span>") < page.index("passed</span>")
        assert "Nothing blocks" in write_report(self.reports[1:], tmp_path / "report.html").read_text()
        assert list(tmp_path.iterdir()) == [tmp_path / "report.html"]

    @pytest.mark.slow
    def test_data_docs(self, tmp_path: Path) -> None:
        check_interactions(interactions(), as_of=AS_OF)
        index = build_data_docs(tmp_path / "docs")
        assert "interactions" in index.read_text()
        assert build_data_docs(tmp_path / "docs") == index
