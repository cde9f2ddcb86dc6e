"""Facets cite by construction, and a template never passes for the model."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from features.types import (
    Completion,
    EntityKind,
    Fact,
    FinishReason,
    ModelIdentity,
    Stance,
    TextRequest,
    claims_of,
)
from features.wording import Wording
from models.explanations.facets import FacetConfig, facet_requests, parse_facets, select
from models.explanations.fewshot import SYSTEMS, opening, template
from models.explanations.gates import TEMPLATE, Failure, failures
from models.explanations.retry import second_requests

MODEL = ModelIdentity("tiny", "1")
CONFIG = FacetConfig(wording=Wording(many="movies"))
TIME = datetime(2020, 1, 1, tzinfo=UTC)


def fact(key: str, aspect: str, text: str, polarity: int, weight: float = 0.5, source: str = "ratings") -> Fact:
    kind = EntityKind.CONSUMER if key.startswith("c") else EntityKind.PRODUCT
    return Fact(key, kind, key[1], aspect, text, polarity, weight, source, TIME)


ASPECT = "rated 6 {} movies {} of 5 on average, {} their usual 3.5; among them Fargo and Casablanca"
CONSUMER = [
    fact("c1.genre.Drama", "genre=Drama", ASPECT.format("drama", "4.8", "above"), 1),
    fact("c1.genre.Horror", "genre=Horror", ASPECT.format("horror", "2.0", "below"), -1),
    fact("c1.title.5", "title=Titanic", "rated Titanic 2 of 5, below their usual 3.5", -1, 0.2, "title"),
    fact("c1.title.6", "title=Alien", "rated Alien 4 of 5, below their usual 4.5", -1, 0.1, "title"),
    fact("c1.review.7", "term=tune", 'wrote of Oak Strings, rated 5: "They stay in tune"', 1, 0.1, "review"),
]
PRODUCT = [
    fact("p9.text", "description", 'described as: "Alien is a tense story of a ship\'s crew"', 0, 0.6, "description"),
    fact("p9.genre.Horror", "genre=Horror", "its genre is Horror", 0, 0.4, "attribute"),
    fact("p9.mean", "mean", "rated by 80 consumers, 4.1 of 5 on average, above the catalog's 3.5", 1),
    fact("p9.low", "low", "6 of 80 consumers rated it 2 or lower", -1, 0.1),
    fact(
        "p9.taste.genre.Comedy",
        "genre=Comedy",
        "the 7 consumers who enjoy comedy movies rated it 3.0 of 5 on average, below its overall 4.1",
        -1,
        0.3,
        "affinity",
    ),
    fact("p9.review.3", "term=story", 'a consumer who rated it 5 wrote: "The story is great"', 1, 0.1, "review"),
]


def answer(request: TextRequest, tail: str, finish: FinishReason = FinishReason.STOP) -> Completion:
    return Completion(
        request.key, claims_of(request.slots, [request.slots[0].opening + tail]), finish, 1, 1, 0.0, MODEL
    )


def test_stances_come_from_polarity_strongest_first() -> None:
    chosen = [(stance, f.fact_id) for stance, f in select(CONSUMER, CONFIG)]
    assert chosen == [
        (Stance.FOR, "c1.genre.Drama"),
        (Stance.FOR, "c1.review.7"),
        (Stance.AGAINST, "c1.genre.Horror"),
        (Stance.AGAINST, "c1.title.5"),
    ]


def test_a_product_says_what_it_is_before_who_likes_it() -> None:
    assert [f.fact_id for _, f in select(PRODUCT, CONFIG)] == [
        "p9.text",
        "p9.mean",
        "p9.taste.genre.Comedy",
        "p9.low",
    ]
    bare = [f for f in PRODUCT if f.source == "attribute"]
    assert select(bare, CONFIG) == [(Stance.FOR, bare[0])]


def test_requests_of_a_kind_share_their_system_text_and_force_the_stance() -> None:
    requests = facet_requests([*CONSUMER, *PRODUCT], MODEL, CONFIG)
    assert {r.kind: r.system for r in requests} == {
        "consumer_facets": SYSTEMS[EntityKind.CONSUMER],
        "product_facets": SYSTEMS[EntityKind.PRODUCT],
    }
    openings = [slot.opening for request in requests for slot in request.slots]
    assert "You are less taken with horror movies" in openings
    assert "It appeals less to those who enjoy comedy movies: 7 of them" in openings


def test_an_entity_is_one_request_with_a_line_about_each_of_its_facts() -> None:
    requests = facet_requests([*CONSUMER, *PRODUCT], MODEL, CONFIG)
    assert [request.subject for request in requests] == ["consumer 1", "product 9"]
    for request, facts in zip(requests, (CONSUMER, PRODUCT), strict=True):
        chosen = [fact.text for _, fact in select(facts, CONFIG)]
        assert [slot.about for slot in request.slots] == [f"Fact: {text}" for text in chosen]


def test_a_line_cut_short_is_worded_by_the_template_and_the_others_stand() -> None:
    facts = [CONSUMER[1], CONSUMER[2]]
    (request,) = facet_requests(facts, MODEL, CONFIG)
    tails = [" such as Fargo and Casablanca, and rated 6 of them 2.0 of 5 on average.", ""]
    lines = [slot.opening + tail for slot, tail in zip(request.slots, tails, strict=True)]
    done = Completion(request.key, claims_of(request.slots, lines), FinishReason.STOP, 1, 1, 0.0, MODEL)
    parsed = parse_facets(facts, {request.key: done}, MODEL, CONFIG)
    assert [facet.model for facet in parsed.facets] == ["tiny", TEMPLATE]
    assert [line.failures for line in parsed.rejected] == [(Failure.EMPTY,)]


def test_a_mild_dislike_is_said_mildly() -> None:
    assert opening(CONSUMER[3], CONFIG.wording).startswith("You were a little less taken with Alien")
    assert opening(CONSUMER[2], CONFIG.wording).startswith("You did not take to Titanic")


def test_good_lines_become_facets_with_their_provenance() -> None:
    facts = [CONSUMER[1]]
    (request,) = facet_requests(facts, MODEL, CONFIG)
    tail = " such as Fargo and Casablanca, and rated 6 of them 2.0 of 5 on average."
    parsed = parse_facets(facts, {request.key: answer(request, tail)}, MODEL, CONFIG)
    (facet,) = parsed.facets
    assert parsed.rejected == ()
    assert (facet.model, facet.stance, facet.fact_ids) == ("tiny", Stance.AGAINST, ("c1.genre.Horror",))
    assert (facet.text, facet.request_key) == (request.slots[0].opening + tail, request.key)
    assert parsed.model_share == 1.0


def test_a_line_that_does_not_follow_from_its_fact_is_refused_as_any_other() -> None:
    facts = [CONSUMER[1]]
    (request,) = facet_requests(facts, MODEL, CONFIG)
    done = {request.key: answer(request, " such as Fargo and Casablanca, and rated 6 of them 2.0 of 5 on average.")}
    parsed = parse_facets(facts, done, MODEL, CONFIG, follows=lambda premise, claim: premise != facts[0].text)
    assert parsed.rejected[0].failures == (Failure.ENTAILMENT,)
    assert parsed.facets[0].model == TEMPLATE
    assert parse_facets(facts, done, MODEL, CONFIG, follows=lambda premise, claim: True).rejected == ()


def test_a_refused_line_is_replaced_by_a_template_that_says_so() -> None:
    facts = [CONSUMER[1]]
    (request,) = facet_requests(facts, MODEL, CONFIG)
    parsed = parse_facets(facts, {request.key: answer(request, " since they bore you to tears.")}, MODEL, CONFIG)
    assert parsed.facets[0].model == TEMPLATE
    assert "bore" not in parsed.facets[0].text
    assert parsed.rejected[0].failures == (Failure.GROUNDED,)
    assert parsed.model_share == 0.0


def test_a_good_second_answer_takes_the_place_of_a_refused_one() -> None:
    facts = [CONSUMER[1]]
    (request,) = facet_requests(facts, MODEL, CONFIG)
    first = {request.key: answer(request, " since they bore you to tears.")}
    (second,) = second_requests(parse_facets(facts, first, MODEL, CONFIG).rejected)
    good, bad = answer(second, " such as Fargo and Casablanca."), answer(second, " since they bore you so.")
    (facet,) = (recovered := parse_facets(facts, {**first, second.key: good}, MODEL, CONFIG)).facets
    assert (facet.model, facet.request_key) == ("tiny", second.key)
    assert [line.recovered for line in recovered.rejected] == [True]
    again = parse_facets(facts, {**first, second.key: bad}, MODEL, CONFIG)
    assert again.facets[0].model == TEMPLATE
    assert [line.recovered for line in again.rejected] == [False, False]


def test_two_sides_with_the_same_content_leave_the_model_no_facet() -> None:
    facts = [CONSUMER[0], replace(CONSUMER[0], fact_id="c1.genre.Drama2", polarity=-1)]
    (request,) = facet_requests(facts, MODEL, CONFIG)
    done = Completion(
        request.key,
        claims_of(request.slots, [f"{slot.opening} such as Fargo." for slot in request.slots]),
        FinishReason.STOP,
        1,
        1,
        0.0,
        MODEL,
    )
    parsed = parse_facets(facts, {request.key: done}, MODEL, CONFIG)
    assert {facet.model for facet in parsed.facets} == {TEMPLATE}
    assert [line.failures for line in parsed.rejected] == [(Failure.CONTRAST,)] * 2


@pytest.mark.parametrize("finish", [FinishReason.LENGTH, FinishReason.REFUSED, FinishReason.MALFORMED])
def test_an_unfinished_answer_is_never_used(finish: FinishReason) -> None:
    facts = [CONSUMER[1]]
    (request,) = facet_requests(facts, MODEL, CONFIG)
    done = answer(request, " such as Fargo and Casablanca.", finish)
    assert parse_facets(facts, {request.key: done}, MODEL, CONFIG).facets[0].model == TEMPLATE
    assert parse_facets(facts, {}, MODEL, CONFIG).rejected[0].failures == (Failure.EMPTY,)


@pytest.mark.parametrize("one", [*CONSUMER, *PRODUCT], ids=lambda one: one.fact_id)
def test_every_template_passes_the_gates_itself(one: Fact) -> None:
    stance = Stance.AGAINST if one.polarity < 0 else Stance.FOR
    text = template(one, CONFIG.wording)
    start = opening(one, CONFIG.wording)
    assert set(failures(text, stance, [one.fact_id], [one], start)) <= {Failure.OPENING}
    assert text.endswith(".")


def test_templates_read_well() -> None:
    said = {one.fact_id: template(one, CONFIG.wording) for one in [*CONSUMER, *PRODUCT]}
    assert said["c1.genre.Drama"] == (
        "You enjoy drama movies such as Fargo and Casablanca, and rated 6 of them 4.8 of 5 on average."
    )
    assert said["c1.title.5"] == "You did not take to Titanic and rated it 2 of 5, below your usual 3.5."
    assert said["c1.review.7"] == "You praised Oak Strings and wrote: “They stay in tune”."
    assert said["p9.mean"] == "With 4.1 of 5 on average from 80 consumers, it is rated above the catalog's 3.5."
    assert said["p9.low"] == "It let down 6 of 80 consumers, who rated it 2 or lower."
    assert said["p9.review.3"] == "A consumer who rated it 5 wrote: “The story is great”."
    assert said["p9.genre.Horror"] == "It is among horror movies."
