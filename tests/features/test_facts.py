"""Facts are right, sourced, dated, safe to show, and never look at what comes after them."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from features.evidence import Evidence, earlier_sum, positions
from features.facts import EvidenceWindow, Wording, consumer_facts, product_facts
from features.sentences import clean, key_sentence, sentences, spoken_title
from features.types import Catalog, EntityKind, Fact, Interactions, RatingScale, Snapshot
from features.wording import CATALOG_TIME, FACTS_PER_POLARITY

START = datetime(2020, 1, 1, tzinfo=UTC)
MOVIES = Wording(many="movies")
ALL = EvidenceWindow(share=1.0)
GENRES = {"d": "Drama", "h": "Horror", "c": "Comedy"}


def world(events: list[tuple[str, str, float, str | None]]) -> Snapshot:
    """One event a day; a product's genre is its first letter."""
    frame = pd.DataFrame(events, columns=["consumer_id", "product_id", "rating", "review"])
    frame["timestamp"] = pd.to_datetime([START + timedelta(days=n) for n in range(len(frame))]).astype(
        "datetime64[us, UTC]"
    )
    frame["row"] = np.arange(len(frame))
    ids = sorted(set(frame["product_id"]))
    products = pd.DataFrame({"product_id": ids, "title": [f"Title {i} (1999)" for i in ids], "description": ""})
    attributes = pd.DataFrame({"product_id": ids, "name": "genre", "value": [GENRES[i[0]] for i in ids]})
    return Snapshot(Interactions(frame), Catalog(products, attributes), RatingScale(), datetime(2030, 1, 1, tzinfo=UTC))


def tastes(consumer: str = "u", n: int = 6) -> list[tuple[str, str, float, str | None]]:
    """A consumer who rates dramas 5 and horror 2, in turn."""
    return [(consumer, f"{'dh'[k % 2]}{k}", (5.0, 2.0)[k % 2], None) for k in range(2 * n)]


def by_id(facts: list[Fact]) -> dict[str, Fact]:
    return {fact.fact_id: fact for fact in facts}


@pytest.mark.parametrize(
    ("aspect", "said"),
    [
        ("genre=Film-Noir", "film-noir movies"),
        ("category=Instrument Cables", "instrument cables"),
        ("brand=Ernie Ball", "movies by Ernie Ball"),
        ("feature=Dolby Sound", "movies with dolby sound"),
        ("price_band=Under 10", "movies priced Under 10"),
    ],
)
def test_an_attribute_is_said_as_people_say_it(aspect: str, said: str) -> None:
    assert MOVIES.phrase(aspect) == said


def test_a_taste_is_said_with_its_numbers_and_examples() -> None:
    facts = by_id(consumer_facts(world(tastes()), ALL, MOVIES))
    liked, disliked = facts["cu.genre.Drama"], facts["cu.genre.Horror"]
    assert (liked.polarity, disliked.polarity) == (1, -1)
    assert liked.text.startswith("rated 6 drama movies 5.0 of 5 on average, above their usual 3.5; among them Title d")
    assert "below their usual 3.5" in disliked.text
    assert liked.aspect == "genre=Drama"
    assert liked.weight > 0


def test_facts_rest_on_the_window_only_and_say_until_when() -> None:
    snapshot = world(tastes())  # 12 events: 60 % are the first 8
    facts = consumer_facts(snapshot, EvidenceWindow(share=0.6, min_events=5), MOVIES)
    assert {fact.evidence_time for fact in facts} == {START + timedelta(days=7)}
    assert "rated 4 drama movies" in by_id(facts)["cu.genre.Drama"].text


def test_a_short_history_is_used_up_to_the_least_number_of_events() -> None:
    mask = EvidenceWindow(share=0.5, min_events=3).mask(np.array([0, 1, 0, 0, 0, 1]))
    assert mask.tolist() == [True, True, True, True, False, True]


@pytest.mark.parametrize("settings", [{"share": 0.0}, {"share": 1.5}, {"min_events": 0}])
def test_an_impossible_window_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match="evidence window"):
        EvidenceWindow(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [consumer_facts, product_facts])
def test_nothing_after_a_facts_evidence_can_change_it(make: object) -> None:
    events = tastes("u") + tastes("v") + tastes("w")
    rng = np.random.default_rng(0)
    order = rng.permutation(len(events))
    snapshot = world([events[n] for n in order])
    before = make(snapshot, EvidenceWindow(), MOVIES)  # type: ignore[operator]
    for fact in before:
        frame = snapshot.interactions.frame.copy()
        later = frame["timestamp"] > pd.Timestamp(fact.evidence_time)
        frame.loc[later, "rating"] = 6.0 - frame.loc[later, "rating"]
        changed = make(replace(snapshot, interactions=Interactions(frame)), EvidenceWindow(), MOVIES)  # type: ignore[operator]
        twin = by_id(changed).get(fact.fact_id)
        assert twin is None or fact.evidence_time == CATALOG_TIME or twin.text.split(";")[0] == fact.text.split(";")[0]


def test_the_likers_of_an_aspect_are_those_who_had_shown_it_before() -> None:
    warmup = [(u, f"c{u}{k}", 5.0, None) for k in range(4) for u in "abcd"]
    others = [(u, f"d{u}{k}", 1.0, None) for k in range(4) for u in "abcd"]
    rest = [(u, f"h{u}{k}", 3.0, None) for k in range(4) for u in "wxyz"]
    target = [(u, "d-target", 1.0, None) for u in "abcd"] + [(u, "d-target", 5.0, None) for u in "wxyz"]
    facts = by_id(product_facts(world(warmup + others + rest + target), ALL, MOVIES))
    fact = facts["pd-target.taste.genre.Comedy"]
    assert fact.polarity == -1
    assert fact.text == "the 4 consumers who enjoy comedy movies rated it 1.0 of 5 on average, below its overall 3.0"


def test_a_product_says_what_it_is_and_how_it_was_rated() -> None:
    events = [(f"u{k}", "d1", 5.0 if k < 8 else 1.0, None) for k in range(10)] + [("u0", "h1", 1.0, None)]
    events += [(f"u{k}", "c1", 4.0, None) for k in range(10)]
    facts = by_id(product_facts(world(events), ALL, MOVIES))
    assert facts["pd1.genre.Drama"].text == "its genre is Drama"
    assert (facts["pd1.genre.Drama"].polarity, facts["pd1.genre.Drama"].evidence_time) == (0, CATALOG_TIME)
    assert facts["pd1.low"].text == "2 of 10 consumers rated it 2 or lower"
    assert facts["pd1.low"].polarity == -1
    assert not [fact_id for fact_id in facts if fact_id in ("ph1.low", "ph1.high")], "one rating is no share"


def test_a_difference_within_its_noise_is_not_said() -> None:
    events = [("u", f"{'dh'[k % 2]}{k}", (4.4, 4.1)[k % 2], None) for k in range(12)]
    assert not [fact for fact in consumer_facts(world(events), ALL, MOVIES) if fact.source == "ratings"]
    snapshot = world(events)
    told = Evidence(snapshot).telling(pd.Series([0.2, 0.4, 0.4, 1.0, -1.0]), pd.Series([100, 100, 2, 1, 1]))
    assert told.tolist() == [False, True, False, True, True]


def test_only_what_is_liked_is_enjoyed() -> None:
    events = [("u", f"{'dh'[k % 2]}{k}", (3.0, 1.0)[k % 2], None) for k in range(12)]
    facts = consumer_facts(world(events), ALL, MOVIES)
    assert {fact.polarity for fact in facts} == {-1}


def test_nobody_has_a_taste_for_a_year() -> None:
    snapshot = world(tastes())
    years = snapshot.catalog.attributes.assign(name="year", value="1994")
    catalog = replace(snapshot.catalog, attributes=pd.concat([snapshot.catalog.attributes, years]))
    dated = replace(snapshot, catalog=catalog)
    facts = [*consumer_facts(dated, ALL, MOVIES), *product_facts(dated, ALL, MOVIES)]
    assert not [fact for fact in facts if "1994" in fact.text]


def test_products_without_any_interaction_still_have_facts() -> None:
    snapshot = world([("u", "d1", 4.0, None)]).before(START)
    assert consumer_facts(snapshot) == []
    assert [fact.fact_id for fact in product_facts(snapshot)] == ["pd1.genre.Drama"]


def test_every_consumer_who_varies_gets_both_sides_but_few_and_different_ones() -> None:
    facts = consumer_facts(world(tastes("u") + tastes("v")), ALL, MOVIES)
    for consumer in "uv":
        for polarity in (1, -1):
            mine = [f for f in facts if f.entity_id == consumer and f.polarity == polarity]
            assert 1 <= len(mine) <= FACTS_PER_POLARITY
            assert len({fact.aspect for fact in mine}) == len(mine)
    assert all(fact.entity_kind is EntityKind.CONSUMER for fact in facts)


def test_review_sentences_become_facts_of_both_and_name_nobody() -> None:
    review = "I am at joe@mail.com. The strings stay in tune and sound great. Bye"
    events = [(f"u{k}", f"d{k % 3}", 5.0, review) for k in range(9)] + [(f"v{k}", "c1", 3.0, "fine") for k in range(60)]
    facts = [*consumer_facts(world(events), ALL), *product_facts(world(events), ALL)]
    said = [fact for fact in facts if fact.source == "review"]
    assert {fact.entity_kind for fact in said} == {EntityKind.CONSUMER, EntityKind.PRODUCT}
    assert all("The strings stay in tune and sound great" in fact.text for fact in said)
    assert not any("joe" in fact.text for fact in facts)


def test_foreign_text_is_washed() -> None:
    text = clean("Call +1 (555) 123-4567\x00 or <b>see</b> www.x.com &quot;now&quot;\u202e")
    assert text == 'Call [removed] or see [removed] "now"'
    assert sentences("I am at joe@mail.com. It works well.") == ["It works well"]
    assert len(clean("word " * 500)) <= 160


def test_titles_are_said_as_people_say_them() -> None:
    assert spoken_title("Postino, Il (1994)") == "Il Postino"
    assert spoken_title("Seven (Se7en) (1995)") == "Seven"
    assert spoken_title("Fargo (1996)") == "Fargo"
    assert len(spoken_title("Very long cable with many words " * 6)) <= 60


def test_a_quotation_fits_the_stars() -> None:
    review = "The volume knob is great and solid. The volume knob is loose and broken."
    others = [("x", f"c{n}", 4.0, "Nothing to report about the delivery this time.") for n in range(30)]
    told = [(f"v{n}", "d1", 5.0 if n % 2 else 1.0, review) for n in range(10)]
    facts = product_facts(world(others + told), ALL)
    assert {fact.text.partition("wrote: ")[2]: fact.polarity for fact in facts if fact.source == "review"} == {
        '"The volume knob is great and solid"': 1,
        '"The volume knob is loose and broken"': -1,
    }


def test_what_a_consumer_says_again_and_again_weighs_more_than_a_chance_remark() -> None:
    said = {"volume": "The volume knob is great and solid.", "strap": "The leather strap is great and solid."}
    often = [("u", f"d{n}", 5.0, said["volume"]) for n in range(3)] + [("u", "d9", 5.0, said["strap"])]
    others = [(f"v{n}", f"h{n % 10}", 5.0, said["strap" if n % 3 else "volume"]) for n in range(60)]
    others += [(f"w{n}", f"c{n % 10}", 5.0, "Nothing to report about the delivery this time.") for n in range(60)]
    weights = {
        fact.aspect: fact.weight
        for fact in consumer_facts(world(often + others), ALL)
        if fact.entity_id == "u" and fact.source == "review"
    }
    assert max(weights, key=weights.__getitem__) == "term=volume knob"
    assert weights["term=leather strap"] < weights["term=volume knob"] / 2


def test_a_description_that_pans_its_product_speaks_against_it() -> None:
    snapshot = world([("u", "d1", 4.0, None), ("u", "d2", 4.0, None)])
    texts = ["A disappointing sequel with a weak plot.", "A weak man finds his way in a small town."]
    products = snapshot.catalog.products.assign(description=texts)
    facts = by_id(product_facts(replace(snapshot, catalog=replace(snapshot.catalog, products=products))))
    assert (facts["pd1.text"].polarity, facts["pd2.text"].polarity) == (-1, 0)


def test_a_description_gives_its_first_full_sentence() -> None:
    assert key_sentence('Wow. "Blue Hour" is a moody trio recording. More.') == "Blue Hour is a moody trio recording"


def test_sums_over_earlier_events_leave_the_event_itself_out() -> None:
    codes = np.array([0, 1, 0, 1, 0])
    assert positions(codes).tolist() == [0, 0, 1, 1, 2]
    assert earlier_sum(np.array([1.0, 10, 2, 20, 4]), codes).tolist() == [0, 0, 1, 10, 3]


@pytest.mark.slow
def test_movielens_takes_seconds() -> None:
    if "COUNTERPOINT_DATA" not in os.environ:
        pytest.skip("COUNTERPOINT_DATA is not set")
    folder = Path(os.environ["COUNTERPOINT_DATA"]) / "ml-100k"
    names = ["consumer_id", "product_id", "rating", "seconds"]
    frame = pd.read_csv(folder / "u.data", sep="\t", names=names).astype({"consumer_id": str, "product_id": str})
    frame["timestamp"] = pd.to_datetime(frame["seconds"], unit="s", utc=True).astype("datetime64[us, UTC]")
    frame = frame.assign(row=np.arange(len(frame)), review=None, rating=frame["rating"].astype(float))
    frame = frame.sort_values(["timestamp", "row"], ignore_index=True)
    ids = sorted(frame["product_id"].unique())
    products = pd.DataFrame({"product_id": ids, "title": ids, "description": ""})
    attributes = pd.DataFrame({"product_id": ids, "name": "group", "value": [i[-1] for i in ids]})
    snapshot = Snapshot(Interactions(frame), Catalog(products, attributes), RatingScale(), datetime.now(UTC))
    clock = time.perf_counter()
    facts = [*consumer_facts(snapshot), *product_facts(snapshot)]
    assert time.perf_counter() - clock < 60
    assert {fact.entity_id for fact in facts if fact.entity_kind is EntityKind.CONSUMER} == set(frame["consumer_id"])
