"""A plan says what each request costs and makes the most valuable ones first."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from features.freshness import Entity, EntityState
from features.ledger import PastUse
from features.types import Catalog, EntityKind, Interactions, RatingScale, Slot, Snapshot, TextRequest
from models.explanations.plan import Asked, Fate, Plan, Worth, combined, entity_worths, expected_tokens, make_plan
from models.llm.generate import Budget
from models.llm.scripted import SCRIPTED

NOW = datetime(2024, 1, 1, tzinfo=UTC)
NO_LIMIT = Budget()


def consumer(name: str) -> Entity:
    return EntityKind.CONSUMER, name


def asked(name: str, prompt: str = "") -> Asked:
    return Asked(TextRequest("facets", name, "S", prompt or name, (Slot("Likes", 48),), SCRIPTED), (consumer(name),))


def plan_of(names: str, budget: Budget = NO_LIMIT, known: str = "", kept: str = "") -> Plan:
    """One request per letter; a later letter is worth more."""
    requests = {name: asked(name) for name in names}
    worth = {consumer(name): Worth(ord(name), 1.0, 1.0) for name in names}
    keys = {requests[name].request.key for name in known}
    return make_plan(requests.values(), keys, (), frozenset(map(consumer, kept)), worth, {}, budget)


def subjects(plan: Plan, fate: Fate) -> str:
    return "".join(row.request.subject for row in plan.rows if row.fate is fate)


def test_the_most_valuable_come_first() -> None:
    assert [row.request.subject for row in plan_of("badc").to_make] == ["d", "c", "b", "a"]


def test_over_the_budget_of_calls_they_wait() -> None:
    plan = plan_of("abcd", Budget(calls=3))
    assert (subjects(plan, Fate.BUY), subjects(plan, Fate.WAITING)) == ("dcb", "a")


def test_the_budget_of_tokens_is_passed_by_one_text_at_most() -> None:
    each = plan_of("a").rows[0].tokens
    plan = plan_of("abcd", Budget(tokens=2 * each + 1))
    assert (subjects(plan, Fate.BUY), subjects(plan, Fate.WAITING)) == ("dcb", "a")


def test_what_the_ledger_knows_costs_nothing_of_the_budget() -> None:
    plan = plan_of("abcd", Budget(calls=1), known="cd", kept="d")
    assert subjects(plan, Fate.LEDGER) == "c"
    assert subjects(plan, Fate.KEPT) == "d"
    assert (subjects(plan, Fate.BUY), subjects(plan, Fate.WAITING)) == ("b", "a")


def test_what_failed_before_is_neither_bought_nor_served() -> None:
    request = asked("a")
    plan = make_plan([request], (), {request.request.key}, frozenset(), {consumer("a"): Worth(1, 1, 1)}, {}, NO_LIMIT)
    assert plan.rows[0].fate is Fate.FAILED
    assert not plan.to_make


def test_equal_requests_are_one_and_as_valuable_as_the_best() -> None:
    one = asked("a")
    other = Asked(replace(one.request, subject="b"), (consumer("b"),))
    worth = {consumer("a"): Worth(1, 1, 1), consumer("b"): Worth(9, 1, 1)}
    plan = make_plan([one, other], (), (), frozenset(), worth, {}, NO_LIMIT)
    assert [row.worth.traffic for row in plan.rows] == [9]


def test_tokens_are_estimated_from_length_and_then_from_experience() -> None:
    request = asked("a", "x" * 400).request
    length = len(request.canonical())
    assert expected_tokens(request, None) == (round(length / 4), 24)
    past = PastUse(answers=10, characters=1000, prompt_tokens=500, completion_tokens=70, seconds=1.0)
    assert expected_tokens(request, past) == (round(length / 2), 7)


def test_a_pair_is_as_busy_as_its_rarer_side_and_as_uncertain_and_old_as_its_worse() -> None:
    assert combined([Worth(5, 0.1, 3.0), Worth(2, 0.4, 1.0)]) == Worth(2, 0.4, 3.0)


def test_traffic_uncertainty_and_age_come_from_the_data() -> None:
    days = {"busy": [1, 2, 3, 400], "quiet": [400, 401, 402, 403], "torn": [400, 401, 402, 403]}
    ratings = {"busy": [4, 4, 4, 4], "quiet": [4, 4, 4, 4], "torn": [1, 5, 1, 5]}
    rows = [
        (name, "p", float(stars), NOW - timedelta(days=ago))
        for name in days
        for ago, stars in zip(days[name], ratings[name], strict=True)
    ]
    frame = pd.DataFrame(rows, columns=["consumer_id", "product_id", "rating", "timestamp"])
    products = pd.DataFrame({"product_id": ["p", "unrated"], "title": "", "description": ""})
    snapshot = Snapshot(Interactions(frame), Catalog(products, pd.DataFrame()), RatingScale(), NOW)
    made = NOW - timedelta(days=30)
    state = EntityState(EntityKind.CONSUMER, "busy", "", 4, 4, (), (), made, made)
    worth = entity_worths(snapshot, [state], NOW)
    busy, quiet, torn = (worth[consumer(name)] for name in ("busy", "quiet", "torn"))
    unrated = worth[(EntityKind.PRODUCT, "unrated")]
    assert (busy.traffic, quiet.traffic, unrated.traffic) == (3, 0, 0)
    assert busy.uncertainty == quiet.uncertainty < torn.uncertainty < unrated.uncertainty
    assert busy.age_days == pytest.approx(30)
    assert quiet.age_days == pytest.approx(31)  # never worded: older than all that are
    assert unrated.priority > 0
