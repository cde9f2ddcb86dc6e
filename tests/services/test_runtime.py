"""The runtime answers every question, and says what it is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from pydantic import ValidationError

from features.batch import CODE_WIDTH, N_FACETS, ConsumerBlock, Indexed, ProductBlock
from features.errors import InputError
from features.inbox import Inbox
from features.settings import ShortlistSettings
from features.types import Explanation, Stance
from models.explanations.live import LATE, Worded
from models.held import Crossed
from services.explain import Reasons
from services.runtime import Runtime
from services.schemas import (
    ExplainRequest,
    ExplainResponse,
    FeedbackRequest,
    FeedbackResponse,
    PastRating,
    RecommendRequest,
    RecommendResponse,
)
from services.visit import new_id

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)


def ask(runtime: Runtime, consumer_id: str | None = None, **wishes: Any) -> RecommendResponse:
    return runtime.recommend(RecommendRequest(consumer_id=consumer_id, **wishes))


def explain(runtime: Runtime, consumer_id: str, product_id: str, **wishes: Any) -> ExplainResponse:
    return runtime.explain(ExplainRequest(consumer_id=consumer_id, product_id=product_id, **wishes))


def ids(answer: Any) -> list[str]:
    return [item.product_id for item in answer.items]


def test_products_come_in_order_of_the_model_without_what_was_seen(runtime: Runtime) -> None:
    answer = ask(runtime, "c1", k=10)
    assert ids(answer) == ["p3", "p2"]
    assert [item.rank for item in answer.items] == [1, 2]
    assert answer.items[0].rating == pytest.approx(3.5)
    assert answer.items[0].title == "Title p3"
    assert [share.field for share in answer.items[0].attention] == ["consumer", "product"]
    assert not answer.degraded
    assert not answer.cold


def test_seen_products_come_back_on_request_and_excluded_ones_never(runtime: Runtime) -> None:
    assert ids(ask(runtime, "c1", k=2, exclude_seen=False)) == ["p3", "p1"]
    assert ids(ask(runtime, "c1", k=2, exclude_ids={"p3"}, exclude_seen=False)) == ["p1", "p2"]
    assert ids(ask(runtime, "c1", k=2, exclude_ids={"p1", "p2", "p3"})) == []


def test_an_unknown_consumer_is_cold_and_not_degraded(runtime: Runtime) -> None:
    for consumer_id in ("stranger", None):
        answer = ask(runtime, consumer_id, k=1)
        assert (ids(answer), answer.cold, answer.degraded) == (["p3"], True, False)
        assert answer.items[0].rating == pytest.approx(3.0)


def test_a_visitor_is_known_by_the_ratings_of_the_request(runtime: Runtime, model: Any) -> None:
    history = [PastRating(product_id="p3", rating=5), PastRating(product_id="p9", rating=2)]
    answer = ask(runtime, history=history, k=10)
    assert ids(answer) == ["p1", "p2"]
    assert not answer.cold
    consumers = model.batches[0].consumers
    assert list(consumers.history_ids[0, :3]) == ["p3", "p9", ""]
    assert list(consumers.history_ratings[0, :2]) == [5.0, 2.0]
    n_interactions, mean, sd, liked, days = consumers.numeric[0]
    assert (n_interactions, mean, liked, days) == (2, 3.5, 0.5, 0)
    assert sd == pytest.approx(np.std([5, 2], ddof=1))


def test_scores_keep_the_order_of_the_request_and_name_unknown_products(runtime: Runtime) -> None:
    answer = runtime.score("c1", ["p2", "nothing", "p1", "p2"])
    assert ids(answer) == ["p2", "nothing", "p1", "p2"]
    assert [item.rating for item in answer.items] == [
        pytest.approx(1.6),
        None,
        pytest.approx(2.5),
        pytest.approx(1.6),
    ]
    assert [item.note for item in answer.items] == [None, "unknown product", None, None]
    assert runtime.score("c1", ["nothing"]).items[0].click is None


def test_pair_codes_are_read_only_where_a_text_was_written(runtime: Runtime, features: Any) -> None:
    runtime.score("c1", ["p1", "p2", "p3"])
    runtime.score("c2", ["p2"])
    assert features.pairs_asked == [("c1", "p2")]


def test_an_explanation_has_both_sides_with_their_facts(runtime: Runtime) -> None:
    answer = explain(runtime, "c1", "p2")
    assert [reason.stance for reason in answer.reasons] == ["for", "against"]
    assert answer.reasons[0].text == "Written for c1 and p2."
    assert [fact.text for fact in answer.reasons[0].facts] == ["Text of f2."]
    assert answer.item.rating == pytest.approx(1.6)


def test_a_live_explanation_that_cannot_be_had_is_the_stored_one_and_says_why(runtime: Runtime) -> None:
    answer = explain(runtime, "c1", "p2", explanations="live")
    assert answer.reasons[0].text == "Written for c1 and p2."
    assert answer.note == "there is no language model here"
    assert (explain(runtime, "c1", "p2").note, answer.degraded) == (None, False)


def test_a_live_explanation_is_worded_now_with_the_facts_behind_it(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = explain(runtime, "c1", "p2").reasons[0]
    said = Explanation("c1", "p2", Stance.FOR, "Said now.", stored.fact_ids, stored.evidence_time, "pair", "m", "k")
    asked: list[tuple[str, tuple[str, ...], float]] = []

    class Live:
        def explain(
            self, consumer_id: str, product_ids: Sequence[str], at: datetime, seconds: float
        ) -> tuple[Worded, ...]:
            asked.append((consumer_id, tuple(product_ids), seconds))
            both = Worded((said, replace(said, stance=Stance.AGAINST)))
            return (both, *(Worded((), LATE) for _ in product_ids[1:]))

    monkeypatch.setattr(runtime._reasons, "_live", Live())
    answer = explain(runtime, "c1", "p2", explanations="live", seconds=2)
    assert [(it.stance, it.text) for it in answer.reasons] == [("for", "Said now."), ("against", "Said now.")]
    assert (answer.reasons[0].facts, answer.note) == (stored.facts, None)
    ranked = ask(runtime, "c1", explanations="live", seconds=3).items
    assert [it.reasons_note for it in ranked] == [None, *(LATE for _ in ranked[1:])]
    assert [it.text for it in ranked[0].reasons] == ["Said now."] * 2
    assert [it.granularity for it in ranked[1].reasons] == [
        it.granularity for it in ask(runtime, "c1").items[1].reasons
    ]
    assert asked == [("c1", ("p2",), 2.0), ("c1", tuple(it.product_id for it in ranked), 3.0)]


def test_every_answer_names_its_release_and_times(runtime: Runtime) -> None:
    for answer in (ask(runtime, "c1", k=1), runtime.score("c1", ["p1"]), explain(runtime, "c1", "p1")):
        assert (answer.release_id, answer.method) == ("r1", "fake")
        assert answer.evidence_time == answer.as_of < answer.answered_at


def test_without_the_online_store_the_consumer_is_missing_and_the_answer_says_so(
    runtime: Runtime, features: Any
) -> None:
    features.broken = True
    answer = runtime.score("c1", ["p1", "p2"])
    assert answer.items[0].rating == pytest.approx(2.0)
    assert answer.degraded
    assert answer.cause is not None
    assert "consumer's features" in answer.cause
    assert "pair texts" in answer.cause
    assert features.pairs_asked == []  # it is waited for once


def test_without_the_model_products_come_in_order_of_popularity(runtime: Runtime, model: Any) -> None:
    model.broken = True
    answer = ask(runtime, "c1", k=3, exclude_seen=False)
    assert ids(answer) == ["p2", "p1", "p3"]
    assert answer.items[0].rating is None
    assert answer.degraded
    assert "popularity" in str(answer.cause)
    assert len(answer.items[0].reasons) == 2


def test_without_reasons_the_ranking_stays(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime._reasons, "of", None)
    answer = ask(runtime, "c1", k=2)
    assert ids(answer) == ["p3", "p2"]
    assert answer.cause == "the reasons could not be composed"


def test_a_cause_is_not_kept_for_the_next_answer(runtime: Runtime, model: Any) -> None:
    model.broken = True
    runtime.score("c1", ["p1"])
    model.broken = False
    assert not runtime.score("c1", ["p1"]).degraded


DRAMA = {"op": "eq", "attribute": "genre", "value": "Drama"}


def test_a_filter_decides_what_may_be_shown(runtime: Runtime) -> None:
    assert ids(ask(runtime, "c2", filter=DRAMA)) == ["p1", "p2"]
    assert ids(ask(runtime, "c1", filter=DRAMA)) == ["p2"]
    with pytest.raises(InputError, match="genre, title, year"):
        ask(runtime, "c1", filter={"op": "eq", "attribute": "colour", "value": "red"})


def test_boosts_and_pins_move_products_and_the_answer_says_which(runtime: Runtime) -> None:
    answer = ask(runtime, "c2", boosts=[{"rule": DRAMA, "by": 9}], pins=[{"product_ids": ["p2"], "rank": 1}])
    assert ids(answer) == ["p2", "p1", "p3"]
    assert [item.model_rank for item in answer.items] == [3, 2, 1]
    assert [item.moved_by for item in answer.items] == [("boost", "pin"), ("boost", "pin"), ("boost",)]
    assert answer.items[1].click == pytest.approx(0.4)  # what is shown stays what the model said


def test_wishes_that_find_no_product_are_named(runtime: Runtime) -> None:
    wishes = {"boosts": [{"product_ids": ["gone"], "by": 1}, {"rule": DRAMA, "by": 1}]}
    answer = ask(runtime, "c1", **wishes, pins=[{"product_ids": ["p1"], "rank": 1}])
    assert answer.unmatched == ("boosts[0]", "pins[0]")
    assert ids(answer) == ["p3", "p2"]


def test_diversity_by_an_attribute_brings_another_kind_forward(runtime: Runtime) -> None:
    pinned = [{"product_ids": ["p2"], "rank": 1}]
    answer = ask(
        runtime, "c2", k=2, boosts=[{"product_ids": ["p1", "p2"], "by": 9}], diversity={"lambda": 0.1, "by": "genre"}
    )
    assert ids(answer) == ["p1", "p3"]
    assert "diversity" in answer.items[1].moved_by
    assert ids(ask(runtime, "c2", k=2, diversity={"lambda": 1.0}, pins=pinned)) == ["p2", "p3"]
    with pytest.raises(InputError, match="'colour'"):
        ask(runtime, diversity={"lambda": 0.5, "by": "colour"})


@pytest.mark.parametrize(
    "wishes",
    [
        {"boosts": [{"by": 1}]},
        {"boosts": [{"by": 11, "product_ids": ["p1"]}]},
        {"pins": [{"rank": 1, "product_ids": ["p1"], "rule": DRAMA}]},
        {"pins": [{"rank": 0, "product_ids": ["p1"]}]},
        {"diversity": {"lambda": 1.5}},
        {"explanations": "spoken"},
        {"explanations": "live", "seconds": 60},
        {"explanations": "live", "consumer_id": "c1", "facets": [{"facet_id": "f", "weight": 0}]},
    ],
)
def test_wishes_beyond_their_limits_are_refused(wishes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RecommendRequest.model_validate(wishes)


def test_reasons_are_left_out_on_request(runtime: Runtime) -> None:
    assert [item.reasons for item in ask(runtime, "c1", explanations="none").items] == [(), ()]


def test_contributions_are_the_scores_less_those_with_a_part_missing(runtime: Runtime, model: Any) -> None:
    model.bases[""] = 0.0  # of an unknown product
    item = ask(runtime, "c1", k=1, contributions=True).items[0]
    added = {it.part: it.click for it in item.contributions}
    assert added["product"] == pytest.approx(3.0 / 5)
    assert added["consumer"] == pytest.approx(0.5 / 5)
    assert added["content"] == 0
    assert ask(runtime, "c1", k=1).items[0].contributions == ()


def test_a_model_that_cannot_do_without_a_part_still_ranks(runtime: Runtime) -> None:
    answer = ask(runtime, "c1", k=1, contributions=True)
    assert (ids(answer), answer.cause) == (["p3"], "the contributions could not be computed")


def test_evidence_has_an_age_and_answers_have_ids_in_order_of_time(runtime: Runtime) -> None:
    first, second = ask(runtime, "c1", k=1), ask(runtime, "stranger", k=1)
    assert first.evidence_time is not None
    assert first.evidence_age_seconds == (first.answered_at - first.evidence_time).total_seconds()
    assert second.evidence_age_seconds is None
    assert first.recommendation_id != second.recommendation_id
    assert new_id(NOON) < new_id(NOON + timedelta(milliseconds=1))
    assert (UUID(new_id(NOON)).version, UUID(new_id(NOON)).int >> 80) == (7, int(NOON.timestamp() * 1000))


class Guessing(Crossed):
    """Guesses in the order of the ids, which is not that of the model."""

    def __init__(self, model: Any, products: ProductBlock, broken: bool) -> None:
        super().__init__(model, products)
        self.broken = broken

    def guess(self, consumer: ConsumerBlock) -> np.ndarray:  # type: ignore[override]
        if self.broken:
            raise RuntimeError("no kernel")
        return np.array([3.0, 2.0, 1.0], np.float32)


@pytest.fixture
def open_two_stages(
    runtime: Runtime, model: Any, features: Any, reasons: Reasons, inbox: Inbox
) -> Callable[..., Runtime]:
    """Of three products, the ranker sees the two with the best guess: p1 and p2."""

    def build(broken: bool = False) -> Runtime:
        model.hold = lambda products: Guessing(model, products, broken)
        titles = {product_id: product_id for product_id in ("p1", "p2", "p3")}
        return Runtime(runtime.release, model, features, reasons, titles, inbox, ShortlistSettings(above=2, keep=2))

    return build


def test_of_many_candidates_the_ranker_sees_the_best_by_a_cheap_guess(open_two_stages: Callable[..., Runtime]) -> None:
    runtime = open_two_stages()
    answer = ask(runtime, "c2", k=2)
    assert (ids(answer), answer.considered, answer.ranked) == (["p1", "p2"], 3, 2)
    few = ask(runtime, "c1", k=2)
    assert (ids(few), few.considered, few.ranked) == (["p3", "p2"], 2, 2)


def test_what_a_pin_or_boost_is_about_is_always_ranked(open_two_stages: Callable[..., Runtime]) -> None:
    runtime = open_two_stages()
    answer = ask(runtime, "c2", k=1, pins=[{"product_ids": ["p3"], "rank": 1}])
    assert (ids(answer), answer.ranked) == (["p3"], 3)
    assert ask(runtime, "c2", k=2).unmatched == ()


def test_without_a_guess_popularity_decides_what_is_ranked(open_two_stages: Callable[..., Runtime]) -> None:
    answer = ask(open_two_stages(broken=True), "c2", k=3)
    assert (set(ids(answer)), answer.degraded) == ({"p1", "p2"}, True)


def rate(runtime: Runtime, product_id: str, **changes: Any) -> FeedbackResponse:
    given = {"feedback_id": f"rating of {product_id}", "consumer_id": "c1", "product_id": product_id, "rating": 4}
    return runtime.feedback(FeedbackRequest.model_validate(given | changes))


def test_feedback_counts_in_the_next_answer(runtime: Runtime, model: Any) -> None:
    before = ask(runtime, "c1")
    assert rate(runtime, "p3", recommendation_id=before.recommendation_id).stored
    after = ask(runtime, "c1")
    assert (ids(before), ids(after)) == (["p3", "p2"], ["p2"])
    assert before.evidence_time < after.evidence_time < after.answered_at  # type: ignore[operator]
    assert list(model.batches[-1].consumers.history_ids[0, :3]) == ["p3", "p1", ""]


def test_a_new_consumer_is_known_from_the_first_rating_on(runtime: Runtime) -> None:
    assert ask(runtime, "new").cold
    rate(runtime, "p1", consumer_id="new")
    answer = ask(runtime, "new")
    assert (ids(answer), answer.cold) == (["p3", "p2"], False)


def test_the_same_feedback_is_kept_once_and_other_feedback_of_that_id_refused(runtime: Runtime) -> None:
    assert [rate(runtime, "p3").stored for _ in range(2)] == [True, False]
    with pytest.raises(InputError, match="was used for another rating"):
        rate(runtime, "p3", rating=1)


def test_feedback_that_cannot_be_meant_is_refused(runtime: Runtime) -> None:
    with pytest.raises(InputError, match="'gone' is not in the release r1"):
        rate(runtime, "gone")
    with pytest.raises(InputError, match="The rating is 6"):
        rate(runtime, "p1", rating=6)


def test_a_forgotten_consumer_is_a_stranger_at_once(runtime: Runtime, features: Any, model: Any) -> None:
    rate(runtime, "p3")
    runtime.forget("c1")
    answer, stranger = ask(runtime, "c1"), ask(runtime)
    assert (ids(answer), answer.cold, answer.degraded) == (ids(stranger), True, False)
    assert answer.evidence_time is None
    assert set(model.batches[-2].consumers.consumer_ids) == {""}
    assert "Written for c1" not in explain(runtime, "c1", "p2").model_dump_json()
    with pytest.raises(InputError, match="was forgotten"):
        rate(runtime, "p2")


def test_without_the_inbox_nothing_of_a_consumer_is_used(runtime: Runtime, inbox: Inbox) -> None:
    inbox._path.write_bytes(b"damaged " * 500)
    answer = ask(runtime, "c1", exclude_seen=False)
    assert (ids(answer), answer.degraded) == (["p3", "p1", "p2"], True)
    assert "nothing of the consumer is used" in str(answer.cause)


def test_insights_say_what_speaks_for_and_against_a_product(runtime: Runtime) -> None:
    answer = runtime.profiles.insights("p1")
    assert [(it.stance, it.text) for it in answer.arguments[:1]] == [("for", "p1 for 0")]
    assert {it.stance for it in answer.arguments} == {"for", "against"}
    assert [fact.fact_id for fact in answer.arguments[0].facts] == ["f1"]
    assert (answer.title, answer.ratings) == ("Title p1", 5)
    with pytest.raises(InputError, match="'nothing' is not in the release"):
        runtime.profiles.insights("nothing")


def test_a_consumers_profile_is_what_is_known_of_them(runtime: Runtime) -> None:
    answer = runtime.profiles.consumer("c1")
    assert (answer.interactions, answer.mean_rating) == (2, 2.0)
    assert [(it.product_id, it.title, it.rating) for it in answer.history] == [("p1", "Title p1", 5.0)]
    assert [(it.stance, it.text, it.facet_id) for it in answer.tastes] == [("for", "c1 for 0", "consumer-c1-for-0")]
    with pytest.raises(InputError, match="Nothing is known of the consumer 'stranger'"):
        runtime.profiles.consumer("stranger")


def test_consumers_are_found_by_how_their_id_begins(runtime: Runtime) -> None:
    assert runtime.profiles.consumers("c").consumer_ids == ("c1",)
    assert not runtime.profiles.consumers("c").more
    assert runtime.profiles.consumers("x").consumer_ids == ()


def test_a_forgotten_consumer_has_no_profile_and_is_not_found(runtime: Runtime) -> None:
    runtime.forget("c1")
    assert runtime.profiles.consumers("").consumer_ids == ()
    with pytest.raises(InputError, match="Nothing is known"):
        runtime.profiles.consumer("c1")


def test_a_facet_without_weight_leaves_the_reasons_and_texts_written_for_the_pair(runtime: Runtime) -> None:
    before = {it.product_id: it for it in ask(runtime, "c1").items}["p2"].reasons[0]
    assert (before.granularity, before.text) == ("pair", "Written for c1 and p2.")
    after = ask(runtime, "c1", facets=[{"facet_id": "consumer-c1-for-0", "weight": 0}])
    reason = {it.product_id: it for it in after.items}["p2"].reasons[0]
    assert reason.granularity != "pair"
    assert "f2" not in reason.fact_ids


def test_weights_of_facets_reach_the_model(
    make_runtime_on: Callable[[Any], Runtime], features: Any, model: Any
) -> None:
    seen = []
    known = features.consumer("c1")
    weights = np.zeros((1, 2, N_FACETS), np.float32)
    weights[0, 0, 0] = 1.0
    codes = np.ones((1, 2, N_FACETS, CODE_WIDTH), np.float32)
    first = np.zeros(1, np.int32)
    block = replace(known.block, facet_codes=Indexed(codes, first), facet_weights=Indexed(weights, first))
    features.consumer = lambda consumer_id: replace(known, block=block)
    scored = model.score
    model.score = lambda batch: seen.append(batch.consumers.facet_weights) or scored(batch)
    runtime = make_runtime_on(features)
    ask(runtime, "c1", facets=[{"facet_id": "consumer-c1-for-0", "weight": 0.25}])
    assert seen[-1].table[seen[-1].index[0]][0, 0] == pytest.approx(0.25)
    with pytest.raises(InputError, match="no facet 'other'"):
        ask(runtime, "c1", facets=[{"facet_id": "other", "weight": 1}])


@pytest.mark.parametrize(
    "facets",
    [[{"facet_id": "a", "weight": 1.5}], [{"facet_id": "a", "weight": 1}, {"facet_id": "a", "weight": 0}]],
)
def test_a_facet_has_one_weight_from_0_to_1(facets: list[dict[str, Any]]) -> None:
    with pytest.raises(ValidationError):
        RecommendRequest(consumer_id="c1", facets=facets)
    with pytest.raises(ValidationError, match="facets are those of a consumer_id"):
        RecommendRequest(facets=[{"facet_id": "a", "weight": 1}])
