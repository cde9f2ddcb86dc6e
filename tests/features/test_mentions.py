"""What is quoted of reviews: on the right side, about the product, and what tells this consumer from others."""

from __future__ import annotations

import pytest

from features.mentions import Rates
from features.relevance import Relevance
from features.terms import Terms
from features.tone import Tone

TITLES = ["Kolmar Kite Headphones", "Kolmar Arc", "Kolmar Echo", "Snark SN1", "Snark SN2", "Snark SN5"]


@pytest.mark.parametrize(
    "sentence",
    [
        "Very quick shipping and it works perfectly",
        "The seller was great and answered at once",
        "I returned this because I wanted the script version",
        "A better pair of headphones than the Snark was",
        "I would have loved to see a slightly larger version",
        "Is this really the best sound they can make?",
        "All the other reviews praise the sound of it",
        "My old pair had wonderful sound and soft pads",
        "The sound is great (and the pads are soft",
        "The sound is great for studio use, but",
        "The sound is great.good pads too, and a solid band",
        "Great sound",
    ],
)
def test_what_is_not_about_the_product_is_worth_nothing(sentence: str) -> None:
    assert Relevance(TITLES).about(TITLES[0])(sentence) == 0.0


def test_a_plain_sentence_is_worth_more_than_one_that_weighs_two_things() -> None:
    worth = Relevance(TITLES).about(TITLES[0])
    assert worth("The sound of the Kolmar is rich and warm") == 1.0
    assert 0 < worth("The sound is rich but the pads are hard") < 1.0


def test_a_corpus_teaches_which_words_blame() -> None:
    reviews = [("The strings buzz on every fret", -1)] * 20 + [("The strings ring on every fret", 1)] * 80
    tone = Tone(reviews)
    assert tone.of("A buzz from the start").score <= -1 < 0 < tone.of("They ring for long").score
    assert tone.of("The strings on every fret").score == 0
    assert tone.of("They do not ring").score < 0


def test_without_both_sides_the_list_of_words_decides() -> None:
    tone = Tone([("The strings ring", 1)] * 20)
    said = ("A great sound", "Never a great sound", "It rings", "Others may enjoy the great sound")
    assert [tone.of(text).score for text in said] == [1.0, -1.0, 0.0, 0.0]


def test_a_side_is_clear_if_no_listed_word_takes_the_other() -> None:
    tone = Tone([])
    said = ("A great sound", "A great sound, a loose plug", "A loose plug", "A plug")
    assert [tone.of(text).clarity(1) for text in said] == [1.0, 0.5, 0.0, 0.5]


def test_terms_are_what_people_name_and_names_of_two_words_are_one() -> None:
    said = [
        "The battery life is long",
        "My battery life fell",
        "The picks are soft",
        "A pick is lost",
        "It often rains",
    ]
    terms = Terms(said * 10 + ["Nothing to say here"] * 50)
    assert terms.found(["battery", "life", "often", "rains", "picks"]) == {"battery life", "pick"}


def rates(own: int, alike: bool) -> float:
    """Evidence of a consumer who praised the bass `own` times in 4 reviews, where 40 others praise it 40 times in 160.

    `alike`: each of them once; else ten of them in every review.
    """
    praise = frozenset({(1, "bass")})
    reviews = [(0, product, praise if product < own else frozenset()) for product in range(4)]
    for consumer in range(1, 41):
        often = 1 if alike else 4 * (consumer <= 10)
        reviews += [(consumer, 4 * consumer + n, praise if n < often else frozenset()) for n in range(4)]
    return Rates(reviews).evidence(0, (1, "bass"))


def test_what_is_said_more_often_than_usual_is_evidence_the_more_the_more_people_differ() -> None:
    assert rates(0, alike=False) == rates(1, alike=False) == 0.0
    assert 0 < rates(2, alike=False) < rates(4, alike=False)
    assert rates(4, alike=True) < rates(4, alike=False)


def test_praise_that_everybody_has_for_a_product_tells_nothing_of_one_consumer() -> None:
    praise, nothing = frozenset({(1, "bass")}), frozenset[tuple[int, str]]()
    others = [
        (consumer, product, praise if product < 2 else nothing) for consumer in range(2, 30) for product in range(9)
    ]
    fond, led = [(0, 7, praise), (0, 8, praise)], [(1, 0, praise), (1, 1, praise)]
    found = Rates([*others, *fond, *led])
    assert found.evidence(0, (1, "bass")) > 2 * found.evidence(1, (1, "bass"))
