"""Texts of pairs on a small world: which are bought, in which order, who sees them, and what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.lr import world
from benchmarks.lr.examples import examples
from benchmarks.lr.figures import draw_costs
from benchmarks.lr.judge import scorer
from benchmarks.lr.pair_texts import HELD_OUT, TRAIN, pair_cost, planned_pairs, read_pairs, word_pairs
from benchmarks.lr.splits import BenchSplit
from benchmarks.lr.texts import BOUGHT_SHARES
from benchmarks.lr.wording import word
from benchmarks.lr_granularity import ARMS, compared, table
from features.errors import InputError
from features.lake import Lake
from features.settings import HostSettings
from features.types import ModelIdentity, TextRequest
from models.backbones.collaborative import CollaborativeConfig
from models.llm.scripted import ScriptedEngine
from models.methods.lr_recsys import LRRecsysConfig
from tests.benchmarks.letters import LetterEncoder

pytestmark = pytest.mark.slow  # a world with texts is made first

TOY = LRRecsysConfig(
    embedding_size=8, hidden=(8,), members=2, epochs=2,
    collaborative=CollaborativeConfig(rank=2, chains=1, sweeps=20, burn_in=10, samples=5, folds=2, starts=(0.3,)),
)  # fmt: skip
WHOLE, BY_LINE = ModelIdentity("scripted", "1"), ModelIdentity("scripted", "1+tuned")
"""A model that words all facts of a pair at once, and one that words each alone."""
IDS = ["consumer_id", "product_id"]


def repeat_facts(request: TextRequest) -> list[str]:
    """A model that says its openings and then the words of the facts they cite: of a review, what is quoted."""
    by_label = {fact.label: fact.text.removesuffix(".") for fact in request.facts}
    texts = [[by_label[label] for label in slot.cites] for slot in request.slots]
    if request.model == BY_LINE:
        texts = [[f'"{text.split(chr(34))[1]}"' if chr(34) in text else text for text in listed] for listed in texts]
    return [f"{slot.opening} {', and '.join(text)}." for slot, text in zip(request.slots, texts, strict=True)]


@dataclass(frozen=True)
class Worded:
    """A split whose consumers, products and pairs were worded in a home."""

    split: BenchSplit
    settings: HostSettings
    engine: ScriptedEngine

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.lake)


@pytest.fixture(scope="module")
def split() -> Iterator[BenchSplit]:
    with pytest.MonkeyPatch.context() as patch:
        for name, size in (("N_CONSUMERS", 60), ("N_PRODUCTS", 40), ("N_INTERACTIONS", 800)):
            patch.setattr(world, name, size)
        patch.setattr("models.text.TextEncoder", LetterEncoder)
        yield world.world_split("seed-5")


def worded(split: BenchSplit, home: Path, identity: ModelIdentity) -> Worded:
    made = Worded(
        split,
        HostSettings.from_environment({"COUNTERPOINT_HOME": str(home)}),
        ScriptedEngine(repeat_facts, identity),
    )
    word(split, made.engine, made.settings)
    word_pairs(split, made.engine, made.settings)
    return made


@pytest.fixture(scope="module")
def by_line(split: BenchSplit, tmp_path_factory: pytest.TempPathFactory) -> Worded:
    return worded(split, tmp_path_factory.mktemp("by-line"), BY_LINE)


@pytest.fixture(scope="module")
def whole(split: BenchSplit, tmp_path_factory: pytest.TempPathFactory) -> Worded:
    return worded(split, tmp_path_factory.mktemp("whole"), WHOLE)


def ids(frame: pd.DataFrame) -> set[tuple[str, str]]:
    return set(frame[IDS].itertuples(index=False, name=None))


def test_pairs_that_facts_rest_on_are_not_bought_and_held_out_ones_come_last(by_line: Worded) -> None:
    split, plan = by_line.split, planned_pairs(by_line.split, by_line.lake, BY_LINE)
    train, late = plan[plan["part"] == TRAIN], plan[plan["part"] == HELD_OUT]
    may_see = ids(split.train.interactions.frame[~split.evidence])
    assert 0.5 * len(may_see) < len(train) <= len(may_see)
    assert ids(train) <= may_see
    assert ids(late) <= ids(split.valid) | ids(split.test)
    assert len(late) > 0
    assert list(plan["part"]) == [TRAIN] * len(train) + [HELD_OUT] * len(late)
    assert set(map(len, plan["requests"])) == {2}


def test_texts_that_were_not_bought_are_asked_for(split: BenchSplit, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"benchmarks\.lr\.generate world/seed-5 --pairs"):
        read_pairs(split, Lake(tmp_path))


@pytest.mark.parametrize("model", ["by_line", "whole"])
def test_pairs_are_bought_once_and_have_both_texts(model: str, request: pytest.FixtureRequest) -> None:
    made: Worded = request.getfixturevalue(model)
    asked = len(made.engine.seen)
    cost = word_pairs(made.split, made.engine, made.settings)
    assert len(made.engine.seen) == asked
    assert cost == pair_cost(made.split, made.lake)
    assert cost.requests == 2 * cost.pairs
    assert 0.4 * cost.pairs < cost.with_texts <= cost.pairs
    assert set(read_pairs(made.split, made.lake, held_out=True).groupby(IDS).size()) == {2}


def test_a_model_that_words_facts_alone_has_lines_in_common(by_line: Worded, whole: Worded) -> None:
    costs = [pair_cost(made.split, made.lake) for made in (by_line, whole)]
    assert costs[0].pairs == costs[1].pairs
    assert costs[0].lines < costs[1].lines


def test_a_smaller_share_lies_within_a_larger_one(by_line: Worded) -> None:
    split, lake = by_line.split, by_line.lake
    costs = [pair_cost(split, lake, share, held_out=False) for share in BOUGHT_SHARES]
    assert [cost.pairs for cost in costs] == sorted({cost.pairs for cost in costs})
    assert [cost.lines for cost in costs] == sorted(cost.lines for cost in costs)
    assert costs[0].lines < costs[-1].lines
    assert costs[-1].pairs < pair_cost(split, lake).pairs
    texts = [set(read_pairs(split, lake, share)["text"]) for share in BOUGHT_SHARES]
    assert all(few <= many for few, many in pairwise(texts))


@pytest.mark.parametrize(
    ("name", "held_out", "facets"), [("pairs@1", False, True), ("pairs_all", True, True), ("pairs_alone", True, False)]
)
def test_who_sees_which_texts(by_line: Worded, name: str, held_out: bool, facets: bool) -> None:
    train, _, test = examples(by_line.split, name, by_line.settings)
    bought = train.batch.pairs.codes.index >= 0
    assert not bought[by_line.split.evidence].any()  # their own rating is behind the facts
    assert bought.any()
    assert np.isfinite(train.batch.pairs.codes.table).all()
    assert (test.batch.pairs.codes.index >= 0).any() == held_out
    assert (test.batch.products.facet_codes.index >= 0).any() == facets


def test_every_arm_has_a_cost_and_a_quality(by_line: Worded, tmp_path: Path) -> None:
    figures = compared(by_line.split, TOY, by_line.settings, scorer(by_line.split, None))
    arms = figures["arms"]
    assert list(arms) == list(ARMS)
    requests = [arms[name]["requests"] for name in ("no texts", "composed", "pairs@0.02", "pairs@1", "pairs_all")]
    assert requests == sorted(set(requests))
    assert requests[0] == 0
    assert arms["pairs_alone"]["requests"] == arms["pairs_all"]["requests"] - arms["composed"]["requests"]
    assert all(0.2 < arm["mean"]["rmse"] < 3 for arm in arms.values())
    told = {(arm["mean"]["auc"], arm["mean"]["ece"]) for arm in arms.values()}
    assert len(told) == len(arms)  # not by stars, which may stay where ratings alone put them
    assert "against_composed" not in arms["composed"]
    assert "pairs@0.2" in table(figures)
    draw_costs(figures, tmp_path / "costs.png")
    assert (tmp_path / "costs.png").stat().st_size > 1000
