"""The runtime answers every question, and says what it is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from services.runtime import Runtime
from services.schemas import PastRating


def ids(answer: Any) -> list[str]:
    return [item.product_id for item in answer.items]


def test_products_come_in_order_of_the_model_without_what_was_seen(runtime: Runtime) -> None:
    answer = runtime.recommend("c1", None, k=10)
    assert ids(answer) == ["p3", "p2"]
    assert [item.rank for item in answer.items] == [1, 2]
    assert answer.items[0].rating == pytest.approx(3.5)
    assert answer.items[0].title == "Title p3"
    assert [share.field for share in answer.items[0].attention] == ["consumer", "product"]
    assert not answer.degraded
    assert not answer.cold


def test_seen_products_come_back_on_request_and_excluded_ones_never(runtime: Runtime) -> None:
    assert ids(runtime.recommend("c1", None, k=2, exclude_seen=False)) == ["p3", "p1"]
    assert ids(runtime.recommend("c1", None, k=2, exclude_ids={"p3"}, exclude_seen=False)) == ["p1", "p2"]
    assert ids(runtime.recommend("c1", None, k=2, exclude_ids={"p1", "p2", "p3"})) == []


def test_an_unknown_consumer_is_cold_and_not_degraded(runtime: Runtime) -> None:
    for consumer_id in ("stranger", None):
        answer = runtime.recommend(consumer_id, None, k=1)
        assert (ids(answer), answer.cold, answer.degraded) == (["p3"], True, False)
        assert answer.items[0].rating == pytest.approx(3.0)


def test_a_visitor_is_known_by_the_ratings_of_the_request(runtime: Runtime, model: Any) -> None:
    history = [PastRating(product_id="p3", rating=5), PastRating(product_id="p9", rating=2)]
    answer = runtime.recommend(None, history, k=10)
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
    answer = runtime.explain("c1", "p2")
    assert [reason.stance for reason in answer.reasons] == ["for", "against"]
    assert answer.reasons[0].text == "Written for c1 and p2."
    assert [fact.text for fact in answer.reasons[0].facts] == ["Text of f2."]
    assert answer.item.rating == pytest.approx(1.6)


def test_every_answer_names_its_release_and_times(runtime: Runtime) -> None:
    for answer in (runtime.recommend("c1", None, 1), runtime.score("c1", ["p1"]), runtime.explain("c1", "p1")):
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


def test_without_the_model_products_come_in_order_of_popularity(runtime: Runtime, model: Any) -> None:
    model.broken = True
    answer = runtime.recommend("c1", None, k=3, exclude_seen=False)
    assert ids(answer) == ["p2", "p1", "p3"]
    assert answer.items[0].rating is None
    assert answer.degraded
    assert "popularity" in str(answer.cause)
    assert len(answer.items[0].reasons) == 2


def test_without_reasons_the_ranking_stays(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime._reasons, "of", None)
    answer = runtime.recommend("c1", None, k=2)
    assert ids(answer) == ["p3", "p2"]
    assert answer.cause == "the reasons could not be composed"


def test_a_cause_is_not_kept_for_the_next_answer(runtime: Runtime, model: Any) -> None:
    model.broken = True
    runtime.score("c1", ["p1"])
    model.broken = False
    assert not runtime.score("c1", ["p1"]).degraded
