"""ReasoningRec's benchmark: what a prompt may know, what code says as a teacher, and how rationales are judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.reasoning.data import Corpus, Pair, load, rationale, shots_of
from benchmarks.reasoning.judge import rests_on, side
from benchmarks.reasoning.peers import liked_share, own_share, sequence_scores
from benchmarks.reasoning.runs import checked
from models.metrics.ranking import auc
from models.reasoning.cases import Case, Described

PRODUCTS = {
    "t": Described("Tea", "A warm mild drink."),
    "c": Described("Cocoa", "A warm sweet drink."),
    "l": Described("Lemonade", "A cold sour drink."),
}


def corpus() -> Corpus:
    train = [Pair(f"c{n}", (("l", n % 2 == 1),), "t" if n % 2 else "c", n % 3 > 0) for n in range(12)]
    return Corpus("toy", train, train, train, PRODUCTS, {"c0": "Likes sweet things."})


def test_how_many_liked_a_product_leaves_out_who_is_asked_about() -> None:
    made = corpus()
    whole = made.counts("t", without="nobody")
    own = next(pair for pair in made.train if pair.product == "t")
    assert made.counts("t", without=own.consumer) == (whole[0] - own.liked, whole[1] - 1)
    told = made.lesson([own], facts=True).cases[0].target.description
    assert told.startswith(f"{whole[0] - own.liked} of {whole[1] - 1} others liked it.")


def test_cases_know_no_outcome_and_rationales_do() -> None:
    made = corpus()
    pair = made.train[0]
    other = Pair(pair.consumer, pair.history, pair.product, not pair.liked)
    first, second = made.lesson([pair]), made.lesson([other])
    assert first.cases == second.cases
    assert first.rationales != second.rationales


def test_a_rationale_names_the_event_of_its_side_that_shares_most() -> None:
    case = Case("", ((PRODUCTS["t"], True), (PRODUCTS["l"], False)), PRODUCTS["c"])
    liked, disliked = rationale(case, True), rationale(case, False)
    assert liked.startswith("They liked Tea, and this one shares drink, warm")
    assert disliked.startswith("They disliked Lemonade")
    assert (side(liked), side(disliked), side("")) == (True, False, None)
    assert rests_on(liked, case)
    assert not rests_on("They enjoy long walks at night.", case)


def test_pairs_that_choose_an_epoch_are_balanced() -> None:
    liked = [pair.liked for pair in checked(corpus())]
    assert len(liked) == 8
    assert sum(liked) == 4


@pytest.mark.parametrize("kind", ["gru", "sasrec"])
def test_a_peer_learns_what_labels_of_the_history_say(kind: str) -> None:
    rng = np.random.default_rng(0)
    pairs = [
        Pair(str(n), tuple(("t", like) for _ in range(3)), rng.choice(["c", "l"]), bool(like))
        for n, like in enumerate(rng.random(200) < 0.5)
    ]
    scores = sequence_scores(kind, pairs[:120], pairs[120:160], pairs[160:], 0)  # type: ignore[arg-type]
    assert auc(shots_of(pairs[160:]), scores) > 0.95
    assert auc(shots_of(pairs), own_share(pairs)) == 1


def test_a_product_that_more_liked_is_ranked_higher() -> None:
    made = corpus()
    scores = liked_share(made, [Pair("x", (), "t", True), Pair("x", (), "nothing", True)])
    assert scores[1] == pytest.approx(8 / 12)


@pytest.mark.parametrize("name", ["ml-1m", "amazon-beauty"])
def test_no_tested_pair_is_learned_from(name: str, real_data: Path) -> None:
    made = load(name, real_data)
    if name == "ml-1m":
        assert not {pair.consumer for pair in made.train} & {pair.consumer for pair in made.test}
    for pair in made.test:
        assert len(pair.history) > 0
    learned = {(pair.consumer, product) for pair in made.train for product, _ in (*pair.history, (pair.product, 0))}
    assert not learned & {(pair.consumer, pair.product) for pair in made.test}
