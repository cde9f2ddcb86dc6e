"""Composed arguments: a shared aspect first, then likeness, then the product alone, then an honest nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from features.errors import InputError
from features.types import EntityKind, Explanation, Facet, Fact, Stance
from features.wording import Wording
from models.explanations.compose import ComposeConfig, Side, compose

TIME = datetime(2020, 1, 1, tzinfo=UTC)


def side(kind: EntityKind, entries: list[tuple[str, str, Stance, str]], title: str = "", *attributes: str) -> Side:
    """A side of facets (aspect, source, stance, text), with attribute facts of a product."""
    facts, facets = {}, []
    for n, (aspect, source, stance, text) in enumerate(entries):
        key, when = f"{kind.value[0]}.{aspect}.{stance}", TIME + timedelta(days=n)
        facts[key] = Fact(key, kind, "x", aspect, text, 1, 0.5, source, when)
        facets.append(Facet(key, kind, "x", stance, n, text, 0.5, (key,), when, f"request-{key}", "hash", "tiny"))
    for aspect in attributes:
        facts[aspect] = Fact(aspect, kind, "x", aspect, aspect, 0, 0.1, "attribute", TIME)
    return Side("x", tuple(facets), facts, title)


LIKES_DRAMA = ("genre=Drama", "ratings", Stance.FOR, "You enjoy drama movies such as Fargo.")
AVOIDS_HORROR = ("genre=Horror", "ratings", Stance.AGAINST, "You are less taken with horror movies.")
PRAISED = ("mean", "ratings", Stance.FOR, "With 4.1 of 5 on average, it is rated above the catalog's 3.5.")
NOT_FOR_DRAMA = ("genre=Drama", "affinity", Stance.AGAINST, "It appeals less to those who enjoy drama movies.")
STORY = ("description", "description", Stance.FOR, "It is a quiet drama of a small town.")
LOW = ("low", "ratings", Stance.AGAINST, "It let down 6 of 80 consumers.")


def both(consumer: Side, product: Side, similarity: float = 0.0) -> tuple[Explanation, Explanation]:
    return compose(consumer, product, np.full((len(consumer.facets), len(product.facets)), similarity))


def test_a_taste_meets_an_attribute_on_both_sides() -> None:
    consumer = side(EntityKind.CONSUMER, [LIKES_DRAMA, AVOIDS_HORROR])
    product = side(EntityKind.PRODUCT, [PRAISED, LOW], "Alien (1979)", "genre=Drama", "genre=Horror")
    pro, con = both(consumer, product)
    assert pro.text == f"You enjoy drama movies such as Fargo; Alien is another. {PRAISED[3]}"
    assert con.text == f"You are less taken with horror movies; Alien is another. {LOW[3]}"
    assert (pro.stance, con.stance) == (Stance.FOR, Stance.AGAINST)
    assert pro.granularity == con.granularity == "entity"
    assert pro.fact_ids == ("c.genre=Drama.for", "p.mean.for", "genre=Drama")


def test_those_who_share_the_taste_speak_against_it() -> None:
    consumer, product = side(EntityKind.CONSUMER, [LIKES_DRAMA]), side(EntityKind.PRODUCT, [LOW, NOT_FOR_DRAMA])
    _, con = both(consumer, product)
    assert con.text == ("You enjoy drama movies such as Fargo, yet it appeals less to those who enjoy drama movies.")
    assert con.evidence_time == TIME + timedelta(days=1)


def test_a_product_is_never_its_own_example() -> None:
    consumer = side(EntityKind.CONSUMER, [LIKES_DRAMA])
    pro, _ = both(consumer, side(EntityKind.PRODUCT, [PRAISED], "Fargo (1996)", "genre=Drama"), 1.0)
    assert pro.text == PRAISED[3]


def test_similar_texts_are_joined_only_from_the_threshold() -> None:
    consumer, product = side(EntityKind.CONSUMER, [LIKES_DRAMA]), side(EntityKind.PRODUCT, [STORY])
    assert both(consumer, product, 0.9)[0].text == f"{LIKES_DRAMA[3]} {STORY[3]}"
    assert both(consumer, product, 0.1)[0].text == STORY[3]


def test_likeness_to_a_sentence_about_ratings_means_nothing() -> None:
    consumer, product = side(EntityKind.CONSUMER, [LIKES_DRAMA]), side(EntityKind.PRODUCT, [PRAISED])
    assert both(consumer, product, 0.9)[0].text == PRAISED[3]


def test_a_fact_without_a_facet_is_said_by_the_template_and_marked() -> None:
    text = "rated 6 drama movies 4.8 of 5 on average, above their usual 3.5; among them Fargo"
    fact = Fact("c.drama", EntityKind.CONSUMER, "x", "genre=Drama", text, 1, 0.5, "ratings", TIME)
    consumer = Side("x", (), {"c.drama": fact})
    product = side(EntityKind.PRODUCT, [], "Alien (1979)", "genre=Drama")
    pro, _ = compose(consumer, product, np.zeros((0, 0)), ComposeConfig(wording=Wording(many="movies")))
    assert (
        pro.text == "You enjoy drama movies such as Fargo, and rated 6 of them 4.8 of 5 on average; Alien is another."
    )
    assert (pro.model, pro.fact_ids) == ("template", ("c.drama", "genre=Drama"))


def test_reviews_meet_in_a_term() -> None:
    mine = ("term=tune", "review", Stance.FOR, "You praised Oak Strings and wrote: They stay in tune.")
    theirs = ("term=tune", "review", Stance.FOR, "A consumer who rated it 5 wrote: Holds its tune.")
    pro, _ = both(side(EntityKind.CONSUMER, [mine]), side(EntityKind.PRODUCT, [PRAISED, theirs], "Elm Strings"))
    assert pro.text == f"{mine[3]} Of this one, a consumer who rated it 5 wrote: Holds its tune."


def test_what_another_taste_thinks_supports_nothing() -> None:
    consumer = side(EntityKind.CONSUMER, [AVOIDS_HORROR])
    product = side(EntityKind.PRODUCT, [NOT_FOR_DRAMA, LOW], "Alien", "genre=Horror")
    assert both(consumer, product)[1].text.endswith(LOW[3])


def test_a_cold_consumer_hears_the_products_side() -> None:
    pro, con = both(Side("new"), side(EntityKind.PRODUCT, [PRAISED, LOW]))
    assert (pro.text, con.text) == (PRAISED[3], LOW[3])
    assert con.model == "tiny"


def test_nothing_is_said_only_where_nothing_is_known() -> None:
    _, con = both(side(EntityKind.CONSUMER, [AVOIDS_HORROR]), side(EntityKind.PRODUCT, [PRAISED]))
    assert (con.granularity, con.text) == ("none", "Nothing known speaks against it.")
    assert (con.fact_ids, con.evidence_time, con.request_key) == ((), None, "")


def test_a_matrix_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="similarity"):
        compose(side(EntityKind.CONSUMER, [LIKES_DRAMA]), Side("p"), np.zeros((2, 2)))
