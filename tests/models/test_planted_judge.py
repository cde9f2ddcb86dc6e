"""The judge of texts about the built-in world: what is so passes, the smallest untruth does not."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from features.evidence import EvidenceWindow
from features.facts import consumer_facts, product_facts
from features.readers.world import World, WorldConfig, WorldTruth, generate_world
from features.records import to_frame
from features.types import (
    INTERACTION_COLUMNS,
    Catalog,
    EntityKind,
    Explanation,
    Facet,
    Fact,
    Interactions,
    RatingScale,
    Snapshot,
    Stance,
)
from features.wording import Wording
from models.explanations.fewshot import template
from models.explanations.leads import leads_of
from models.explanations.published import Published
from models.explanations.statements import take_apart
from models.explanations.tuning_targets import continuations
from models.metrics.planted import Verdict, WorldJudge
from models.release import ReleaseTexts

NOW = datetime(2024, 1, 1, tzinfo=UTC)
NO_FACETS = to_frame([], Facet).assign(vector=None)
TITLES = {"p1": "Kolmar Kite 100", "p2": "Isarno Echo 101", "p3": "Elvane Drift 102"}
FEATURES = {"p1": ("bass",), "p2": ("bass", "comfort"), "p3": ("comfort",)}
DESCRIPTIONS = {
    "p1": "The Kite 100 has deep, controlled bass. On the downside, the treble is sharp at high levels.",
    "p2": "Isarno presents the Echo 101 with deep, controlled bass and all-day comfort.",
    "p3": "The Drift 102 has all-day comfort.",
}
EVENTS = [
    ("c1", "p1", 5.0, "What sold me: the bass is deep and tight."),
    ("c1", "p3", 2.0, None),
    ("c2", "p1", 2.0, "Sadly, the treble is harsh."),
    ("c2", "p2", 4.0, "The comfort is fine, not that it matters to me."),
    ("c3", "p1", 4.0, None),
]
"""c1's usual is 3.5; p1 has a mean of 3.7 from three consumers, before its last rating the catalog had 3.2."""


@pytest.fixture(scope="module")
def judge() -> WorldJudge:
    frame = pd.DataFrame(EVENTS, columns=["consumer_id", "product_id", "rating", "review"])
    frame["timestamp"] = pd.date_range("2023-01-01", periods=len(frame), tz="UTC").as_unit("us")
    frame["row"] = range(len(frame))
    products = pd.DataFrame(
        [(p, TITLES[p], DESCRIPTIONS[p]) for p in TITLES], columns=["product_id", "title", "description"]
    )
    rows = [(p, "feature", value) for p, values in FEATURES.items() for value in values]
    catalog = Catalog(products, pd.DataFrame(rows, columns=["product_id", "name", "value"]))
    truth = WorldTruth(
        consumer_likes={"c1": ("bass",), "c2": (), "c3": ()},
        consumer_aversions={"c1": (), "c2": ("treble",), "c3": ()},
        product_strengths=FEATURES,
        product_weaknesses={"p1": ("treble",), "p2": (), "p3": ()},
    )
    snapshot = Snapshot(Interactions(frame[list(INTERACTION_COLUMNS)]), catalog, RatingScale(), NOW)
    return WorldJudge(snapshot, truth, EvidenceWindow(share=1.0))


def verdicts(judge: WorldJudge, text: str, product: str = "p1", stance: Stance = Stance.FOR) -> list[Verdict]:
    return [reading.verdict for reading in judge.read(text, "c1", product, stance)]


LIKES_BASS = "You enjoy products with bass such as Kolmar Kite 100, and rated 1 of them 5.0 of 5 on average"
TRUE = {
    f"{LIKES_BASS}; Isarno Echo 101 is another.": ("p2", Stance.FOR),
    "You liked Kolmar Kite 100 and rated it 5 of 5, above your usual 3.5.": ("p2", Stance.FOR),
    "You did not take to Elvane Drift 102 and rated it 2 of 5, below your usual 3.5.": ("p2", Stance.AGAINST),
    "You praised Kolmar Kite 100 and wrote: What sold me: the bass is deep and tight.": ("p2", Stance.FOR),
    "A consumer who rated it 2 wrote: “Sadly, the treble is harsh”.": ("p1", Stance.AGAINST),
    "With 3.7 of 5 on average from 3 consumers, it is rated above the catalog's 3.2.": ("p1", Stance.FOR),
    "It let down 1 of 3 consumers, who rated it 2 or lower.": ("p1", Stance.AGAINST),
    "It is among products with comfort.": ("p2", Stance.FOR),
    "Its description says: Isarno presents the Echo 101 with deep, controlled bass.": ("p2", Stance.FOR),
    f"{LIKES_BASS}, yet it let down 1 of 3 consumers, who rated it 2 or lower.": ("p1", Stance.AGAINST),
}


@pytest.mark.parametrize("text", TRUE)
def test_what_is_so_passes(judge: WorldJudge, text: str) -> None:
    assert set(verdicts(judge, text, *TRUE[text])) == {Verdict.TRUE}


@pytest.mark.parametrize(
    ("text", "product", "stance"),
    [
        (LIKES_BASS.replace("rated 1", "rated 2"), "p2", Stance.FOR),
        (LIKES_BASS.replace("5.0", "4.9"), "p2", Stance.FOR),
        (LIKES_BASS.replace("Kolmar Kite 100", "Elvane Drift 102"), "p2", Stance.FOR),
        (LIKES_BASS.replace("bass", "comfort"), "p2", Stance.FOR),
        (LIKES_BASS.replace("enjoy", "are less taken with"), "p2", Stance.AGAINST),
        (LIKES_BASS, "p2", Stance.AGAINST),
        ("You liked Kolmar Kite 100 and rated it 4 of 5, above your usual 3.5.", "p2", Stance.FOR),
        ("You liked Kolmar Kite 100 and rated it 5 of 5, above your usual 3.6.", "p2", Stance.FOR),
        ("You praised Elvane Drift 102 and wrote: the bass is deep and tight.", "p2", Stance.FOR),
        ("A consumer who rated it 5 wrote: Sadly, the treble is harsh.", "p1", Stance.FOR),
        ("A consumer who rated it 4 wrote: The comfort is fine, not that it matters to me.", "p2", Stance.FOR),
        ("With 3.6 of 5 on average from 3 consumers, it is rated above the catalog's 3.2.", "p1", Stance.FOR),
        ("With 3.7 of 5 on average from 3 consumers, it is rated below the catalog's 3.2.", "p1", Stance.AGAINST),
        ("It let down 2 of 3 consumers, who rated it 2 or lower.", "p1", Stance.AGAINST),
        ("It let down 1 of 3 consumers, who rated it 2 or lower.", "p1", Stance.FOR),
        ("It is among products with comfort.", "p1", Stance.FOR),
        ("Its description says: Isarno presents the Echo 101 with gentle bass.", "p2", Stance.FOR),
    ],
)
def test_the_smallest_untruth_does_not(judge: WorldJudge, text: str, product: str, stance: Stance) -> None:
    assert Verdict.FALSE in verdicts(judge, text, product, stance)


def test_what_cannot_be_read_says_so(judge: WorldJudge) -> None:
    assert verdicts(judge, "Everyone should own a pair of these.") == [Verdict.UNREAD]


def test_another_refers_to_the_taste_before_it(judge: WorldJudge) -> None:
    assert verdicts(judge, f"{LIKES_BASS}; Elvane Drift 102 is another.", "p3")[1] is Verdict.FALSE


def test_a_taste_is_compared_with_the_planted_ones(judge: WorldJudge) -> None:
    (reading,) = judge.read(LIKES_BASS, "c1", "p2", Stance.FOR)
    assert (reading.sign, reading.planted) == (1, True)


@pytest.fixture(scope="module")
def world() -> World:
    return generate_world(WorldConfig(n_consumers=60, n_products=50, n_interactions=1200))


@pytest.fixture(scope="module")
def snapshot(world: World) -> Snapshot:
    dataset = world.dataset
    return Snapshot(dataset.interactions, dataset.catalog, dataset.scale, NOW + timedelta(days=730))


@pytest.fixture(scope="module")
def facts(snapshot: Snapshot) -> list[Fact]:
    return [*consumer_facts(snapshot), *product_facts(snapshot)]


@pytest.mark.slow
def test_every_wording_of_every_kind_of_fact_is_read(world: World, snapshot: Snapshot, facts: list[Fact]) -> None:
    judge, found = WorldJudge(snapshot, world.truth), Counter[Verdict]()
    for fact in facts[::8]:
        stance, statement = Stance.FOR if fact.polarity >= 0 else Stance.AGAINST, take_apart(fact)
        pair = (fact.entity_id, "p01") if fact.entity_kind is EntityKind.CONSUMER else ("c01", fact.entity_id)
        openings = [statement.fill(lead) for lead in leads_of(statement, stance)]
        texts = [f"{opening} {text}" for opening in openings for text in continuations(statement, opening)]
        for text in [template(fact, Wording()), *texts]:
            found.update(reading.verdict for reading in judge.read(text, *pair, stance))
    assert found[Verdict.UNREAD] == 0
    assert found[Verdict.TRUE] / found.total() >= 0.98


@pytest.mark.slow
def test_what_code_alone_says_of_a_world_is_nearly_always_so(
    world: World, snapshot: Snapshot, facts: list[Fact]
) -> None:
    catalog = world.dataset.catalog
    texts = ReleaseTexts(catalog.products, NO_FACETS, to_frame(facts, Fact), to_frame([], Explanation))
    published, judge = Published(texts), WorldJudge(snapshot, world.truth)
    pairs = snapshot.interactions.frame[["consumer_id", "product_id"]].sample(200, random_state=0)
    verdicts = [
        reading.verdict
        for pair in pairs.itertuples(index=False)
        for text in published.of(*pair)
        if text.granularity != "none"
        for reading in judge.read(text.text, *pair, text.stance)
    ]
    assert len(verdicts) > 400
    assert sum(verdict is Verdict.TRUE for verdict in verdicts) / len(verdicts) >= 0.98
