"""Texts against their facts, their contexts and the model: what supports, recognises and moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from features.batch import CODE_WIDTH, N_FACETS, FeatureBatch, Indexed, PairBlock
from features.types import STANCES, EntityKind, Explanation, Fact, Stance
from features.wording import Wording
from models.base import Scores
from models.evaluate import mean_with_interval
from models.evaluate_texts import Argued, Recognition, floors, measure_argued
from models.metrics.deletion import facet_slots, moves
from models.metrics.grounding import Evidence, contrast, supported
from models.metrics.pair_context import PairContexts, encode_once
from models.testing import plain_batch

NOW = datetime(2024, 1, 1, tzinfo=UTC)


def fact(fact_id: str, text: str, polarity: int, source: str = "ratings", aspect: str = "mean") -> Fact:
    return Fact(fact_id, EntityKind.PRODUCT, "p1", aspect, text, polarity, 1.0, source, NOW)


GOOD = fact("good", "rated by 9 consumers, 4.5 of 5 on average, above the catalog's 3.5", 1)
BAD = fact("bad", 'a consumer who rated it 2 wrote: "the strings broke within a week"', -1, "review", "term=strings")
EVIDENCE = Evidence({"good": GOOD, "bad": BAD}, {"p1": "Oak Strings"}, Wording())
PRO = "With 4.5 of 5 on average from 9 consumers, it is rated above the catalog's 3.5."
CON = "A consumer who rated it 2 wrote: The strings broke within a week."


def said(text: str, stance: Stance = Stance.FOR, cites: tuple[str, ...] = ("good",)) -> Explanation:
    return Explanation("c1", "p1", stance, text, cites, NOW, "entity", "tiny", "")


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        (said(PRO), [True]),
        (said(PRO.replace("9", "8")), [False]),
        (said(f"{PRO} It sounds warm."), [True, False]),
        (said(f"{PRO} Elm Strings is another."), [True, False]),
        (said(PRO, cites=("gone",)), [False]),
        (said(CON, Stance.AGAINST), [False]),
    ],
)
def test_a_statement_holds_if_its_cited_facts_carry_it(text: Explanation, holds: list[bool]) -> None:
    assert supported(text, EVIDENCE) == holds


def test_two_sides_contrast_if_each_says_its_own() -> None:
    con = said(CON, Stance.AGAINST, ("bad",))
    assert contrast(said(PRO), con, EVIDENCE) == (True, True, True)
    assert not contrast(said(PRO), said(PRO, Stance.AGAINST), EVIDENCE).differ
    assert not contrast(said(PRO), replace(con, fact_ids=("good",)), EVIDENCE).agree
    assert not contrast(said(PRO), replace(con, text=f"{CON} It is heavy."), EVIDENCE).grounded


WORDS = ("bass", "comfort", "cable", "case", "kite", "drift")


def encode(texts: Sequence[str]) -> NDArray[np.float32]:
    """Which of the words a text has, as a unit vector."""
    found = np.array([[float(word in text.lower()) for word in WORDS] for text in texts], np.float32)
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


PAIRS = [("c1", "p1"), ("c2", "p1"), ("c1", "p2")]
CONTEXTS = PairContexts.encoded(
    PAIRS,
    {"c1": ["Loves bass.", "Has a cable."], "c2": ["Loves comfort."]},
    {"p1": ["A kite."], "p2": ["A drift."]},
    encode,
)


def test_a_text_is_as_near_as_its_statements_nearest_passages() -> None:
    near = CONTEXTS.similarities(["You like bass. It is a kite."], np.array([0]), encode)
    assert near["pair"][0].tolist() == [[1.0, 0.5, 0.5]]
    assert near["consumer"][0].tolist() == [[1.0, 0.5]]  # c1, c2, each with p1
    assert near["product"][0].tolist() == [[1.0, 0.5]]


def test_an_entity_without_passages_is_like_nothing() -> None:
    contexts = PairContexts.encoded([("new", "p1"), ("c1", "p1")], {"c1": ["bass"]}, {}, encode)
    assert contexts.similarities(["bass"], np.array([1]), encode)["pair"][0].tolist() == [[0.0, 1.0]]


def test_a_text_is_encoded_once() -> None:
    asked: list[str] = []

    def count(texts: Sequence[str]) -> NDArray[np.float32]:
        asked.extend(texts)
        return encode(texts)

    once = encode_once(count)
    assert once(["bass", "cable", "bass"]).shape == (3, len(WORDS))
    assert np.array_equal(once(["cable"]), encode(["cable"]))
    assert asked == ["bass", "cable"]


def test_texts_of_the_pair_beat_the_floors_in_every_measure() -> None:
    titles = {"p1": "Kite", "p2": "Drift"}
    facts = {
        f"{c}{p}{s}": fact(
            f"{c}{p}{s}", f'described as: "Known for {word}, it is {titles[p]}"', 1 if s == "for" else -1
        )
        for (c, p), word in zip(PAIRS, ("bass", "comfort", "cable"), strict=True)
        for s in ("for", "against")
    }
    both = tuple(
        tuple(
            Explanation(
                c,
                p,
                stance,
                f"Known for {word}{extra}. It is {titles[p]}.",
                (f"{c}{p}{stance}",),
                NOW,
                "entity",
                "",
                "",
            )
            for stance, extra in zip(STANCES, ("", " too"), strict=True)
        )
        for (c, p), word in zip(PAIRS, ("bass", "comfort", "cable"), strict=True)
    )
    argued = Argued(both)  # type: ignore[arg-type]
    who = np.array([c for c, _ in PAIRS])
    recognition = Recognition(CONTEXTS, who, ["bass kite", "comfort kite", "cable drift"], ["Kite", "Drift"], encode)
    evidence = Evidence(facts, titles, Wording())
    own = measure_argued(argued, evidence, recognition)
    other = {name: measure_argued(floor, evidence, recognition) for name, floor in floors(argued).items()}
    for measure in ("identified", "identified/masked", "gap/cosine", "overlap_gap/rouge_1"):
        assert own[measure].value > other["shuffled"][measure].value, measure
    assert own["identified"].value == 1.0
    assert own["grounded"].value > other["shuffled"]["grounded"].value


def test_means_have_the_interval_of_a_bootstrap_over_groups() -> None:
    values, groups = np.array([1.0, 1.0, 0.0, 0.0, np.nan]), np.array(["a", "a", "b", "b", "c"])
    interval = mean_with_interval(values, groups)
    assert (interval.value, interval.low, interval.high) == (0.5, 0.0, 1.0)
    assert np.isnan(mean_with_interval(np.array([np.nan]), np.array(["a"])).value)


class SumOfWeights:
    """Rates a pair by its facets' weights: strengths minus weaknesses."""

    def score(self, batch: FeatureBatch) -> Scores:
        total = np.zeros(len(batch), np.float32)
        for weights in (batch.consumers.facet_weights, batch.products.facet_weights):
            rows = np.where((weights.index >= 0)[:, None, None], weights.table[weights.index], 0.0)
            total += rows[:, 0].sum(-1) - rows[:, 1].sum(-1)
        return Scores(total, total)


def batch_of(weights: NDArray[np.float32]) -> FeatureBatch:
    """Pairs of one consumer with one product, whose facets have these weights (2, M) on both sides."""
    n_rows = 2
    batch = plain_batch(np.array(["c1"] * n_rows, object), np.array(["p1"] * n_rows, object))
    index = np.zeros(n_rows, np.int32)
    codes = Indexed(np.ones((1, 2, N_FACETS, CODE_WIDTH), np.float32), index)
    facets = {"facet_codes": codes, "facet_weights": Indexed(weights[None], index)}
    return replace(batch, consumers=replace(batch.consumers, **facets), products=replace(batch.products, **facets))


FACETS = pd.DataFrame(
    [
        (f"{kind.value}-{stance.value}-{rank}", kind.value, "x", stance.value, rank)
        for kind in EntityKind
        for stance in STANCES
        for rank in (1, 0)
    ],
    columns=["fact_id", "entity_kind", "entity_id", "stance", "rank"],
).assign(fact_ids=lambda frame: frame["fact_id"].map(lambda fact_id: (fact_id,)))


def test_facets_fill_their_slots_in_order_of_rank() -> None:
    slots = facet_slots(FACETS)
    assert slots["consumer-for-0"] == (0, 0, 0)
    assert slots["product-against-1"] == (1, 1, 1)


def test_what_is_cited_moves_the_score_and_an_empty_facet_does_not() -> None:
    weights = np.zeros((2, N_FACETS), np.float32)
    weights[:, 0], weights[:, 1] = 1.0, 1e-9  # the second is there, but the model hardly hears it
    texts = [said("", cites=("consumer-for-0",)), said("", Stance.AGAINST, ("product-against-1", "unworded"))]
    moved = moves(SumOfWeights(), batch_of(weights), texts, FACETS)  # type: ignore[arg-type]
    assert moved.cited.tolist() == [1.0, 0.0]
    assert moved.uncited.tolist() == [1.0, 1.0]


def test_without_a_facet_to_take_nothing_is_judged() -> None:
    batch = batch_of(np.ones((2, N_FACETS), np.float32))
    nothing = [said("", cites=()), said("", cites=("consumer-for-0",))]
    moved = moves(SumOfWeights(), batch, nothing, FACETS)  # type: ignore[arg-type]
    assert np.isnan(moved.cited[0])
    written = replace(batch, pairs=PairBlock(Indexed(np.ones((1, 2, CODE_WIDTH), np.float32), np.zeros(2, np.int32))))
    moved = moves(SumOfWeights(), written, nothing, FACETS)  # type: ignore[arg-type]
    assert np.isnan(moved.cited).all()  # the model sees the pair's own text, not its facets
