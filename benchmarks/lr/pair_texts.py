"""Texts of a split's pairs, as published: two requests for each, bought once, of which sets take a share.

A training row that facts rest on may not see a text, so its pair is not bought. The others are bought in the order of
the platform's own plan (`models/explanations/plan.py`): a pair is there once both of its requests are. Held-out pairs
come last: they are bought where a method has no composer and needs texts of every pair that it scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from benchmarks.lr.splits import BenchSplit
from benchmarks.lr.wording import in_lines, split_facts, whole_answers
from features.errors import InputError
from features.lake import Lake
from features.ledger import Ledger
from features.records import to_frame
from features.settings import HostSettings
from features.types import Completion, EntityKind, Explanation, ModelIdentity, TextRequest
from models.base import Progress, silent
from models.explanations.facets import by_entity
from models.explanations.pairs import Pair, ParsedPairs, pair_requests, parse_pairs
from models.explanations.plan import Asked, entity_worths, make_plan
from models.explanations.retry import second_requests
from models.llm.client import TextEngine
from models.llm.generate import Budget, generate

TRAIN, HELD_OUT = "train", "held_out"
_IDS = ["consumer_id", "product_id"]


@dataclass(frozen=True)
class PairCost:
    """What the texts of some pairs take."""

    pairs: int
    """Pairs that were asked about."""
    with_texts: int
    """Those of them that have both texts; the others' were refused."""
    requests: int
    """Two for each pair, as published."""
    distinct_requests: int
    """Those with other facts to word: what a ledger buys."""
    lines: int
    """Answers that were bought, second ones included: a model that words each fact alone has many lines in common."""
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    """Of the model, summed over answers."""


def planned_pairs(split: BenchSplit, lake: Lake, identity: ModelIdentity) -> pd.DataFrame:
    """The pairs to buy, in order: `consumer_id`, `product_id`, `part`, and `requests`, the keys of both requests."""
    found = _pairs(split, lake)
    places = _places(split, [pair for pair, part in found if part == TRAIN], identity)
    rows = []
    for pair, part in found:
        keys = [request.key for request in pair_requests(pair, identity)]
        done = max(places[key] for key in keys) if part == TRAIN else len(places)
        rows.append((pair.consumer_id, pair.product_id, part, keys, done))
    frame = pd.DataFrame(rows, columns=[*_IDS, "part", "requests", "done"])
    return frame.sort_values(["done", *_IDS]).drop(columns="done").reset_index(drop=True)


def word_pairs(split: BenchSplit, engine: TextEngine, settings: HostSettings, progress: Progress = silent) -> PairCost:
    """Has all pairs worded, buying what the ledger lacks, and leaves texts, plan and costs in the lake."""
    lake, identity = Lake(settings.lake), engine.identity
    pairs = [pair for pair, _ in _pairs(split, lake)]
    requests = {request.key: request for pair in pairs for request in pair_requests(pair, identity)}
    with Ledger(settings.ledger_url) as ledger:
        asked = [line for request in requests.values() for line in _lines(request)]
        first = generate(asked, engine, ledger, progress).completions
        answers = {**first, **whole_answers([request for request in requests.values() if _splits(request)], first)}
        refused = parse_pairs(pairs, answers, identity)
        second = generate(second_requests(refused.rejected), engine, ledger, progress).completions
        parsed = parse_pairs(pairs, {**answers, **second}, identity)
    made_from = f"{identity.name}@{identity.revision}"
    lake.write(_table(split, "pair_texts"), to_frame(parsed.texts, Explanation), made_from)
    lake.write(_table(split, "pair_lines"), _bought(requests, {**first, **second}, refused), made_from)
    lake.write(_table(split, "pair_plan"), planned_pairs(split, lake, identity), made_from)
    return pair_cost(split, lake)


def read_pairs(split: BenchSplit, lake: Lake, share: float = 1.0, held_out: bool = False) -> pd.DataFrame:
    """Texts of the first share of the training pairs in the plan, and of the held-out ones; fields of `Explanation`.

    Raises InputError if they were not bought.
    """
    texts = _read(split, lake, "pair_texts")
    return texts.merge(_chosen(split, lake, share, held_out)[_IDS], on=_IDS)


def pair_cost(split: BenchSplit, lake: Lake, share: float = 1.0, held_out: bool = True) -> PairCost:
    """What these pairs' texts took, bought now or before."""
    chosen, lines = _chosen(split, lake, share, held_out), _read(split, lake, "pair_lines")
    keys = {key for listed in chosen["requests"] for key in listed}
    bought = lines[lines["request"].isin(keys)].drop_duplicates("line")
    told = read_pairs(split, lake, share, held_out).drop_duplicates(_IDS)
    return PairCost(
        pairs=len(chosen),
        with_texts=len(told),
        requests=sum(map(len, chosen["requests"])),
        distinct_requests=len(keys),
        lines=len(bought),
        prompt_tokens=int(bought["prompt_tokens"].sum()),
        completion_tokens=int(bought["completion_tokens"].sum()),
        seconds=round(float(bought["seconds"].sum()), 1),
    )


def _pairs(split: BenchSplit, lake: Lake) -> list[tuple[Pair, str]]:
    """All pairs with an argument for either side, each with its part, and with facts of the split's evidence alone."""
    known = by_entity(split_facts(split, lake))
    products = split.train.catalog.products
    titles = dict(zip(products["product_id"], products["title"], strict=True))
    train = split.train.interactions.frame
    parts = [(train[~split.evidence], TRAIN), (split.valid, HELD_OUT), (split.test, HELD_OUT)]
    found = []
    for rows, part in parts:
        for consumer, product in rows[_IDS].drop_duplicates().itertuples(index=False):
            told = (known.get((EntityKind.CONSUMER, consumer), ()), known.get((EntityKind.PRODUCT, product), ()))
            pair = Pair(consumer, product, titles[product], split.train.as_of, *map(tuple, told))
            if pair_requests(pair, _ANY):
                found.append((pair, part))
    return found


_ANY = ModelIdentity("any", "")
"""Whether a pair can be argued does not depend on who words it."""


def _places(split: BenchSplit, pairs: Sequence[Pair], identity: ModelIdentity) -> dict[str, int]:
    """The place of each request in the plan, by key."""
    asked = [
        Asked(request, ((EntityKind.CONSUMER, pair.consumer_id), (EntityKind.PRODUCT, pair.product_id)))
        for pair in pairs
        for request in pair_requests(pair, identity)
    ]
    worth = entity_worths(split.train, [], split.train.as_of)
    plan = make_plan(asked, (), (), frozenset(), worth, {}, Budget())
    return {row.request.key: place for place, row in enumerate(plan.to_make)}


def _splits(request: TextRequest) -> bool:
    """Whether each of its lines words one fact alone, so that it can be bought line by line."""
    return bool(request.slots[0].about)


def _lines(request: TextRequest) -> list[TextRequest]:
    return in_lines(request) if _splits(request) else [request]


def _bought(
    requests: Mapping[str, TextRequest], answers: Mapping[str, Completion], refused: ParsedPairs
) -> pd.DataFrame:
    """One row per request and answer that was bought for it."""
    asked = [(request.key, line.key) for request in requests.values() for line in _lines(request)]
    asked += [(line.request.key, line.second.key) for line in refused.rejected if line.second is not None]
    return pd.DataFrame(
        [
            (request, line, answers[line].prompt_tokens, answers[line].completion_tokens, answers[line].seconds)
            for request, line in asked
            if line in answers
        ],
        columns=["request", "line", "prompt_tokens", "completion_tokens", "seconds"],
    )


def _chosen(split: BenchSplit, lake: Lake, share: float, held_out: bool) -> pd.DataFrame:
    plan = _read(split, lake, "pair_plan")
    train = plan[plan["part"] == TRAIN]
    late = plan[plan["part"] == HELD_OUT].head(len(plan) if held_out else 0)
    return pd.concat([train.head(round(share * len(train))), late], ignore_index=True)


def _read(split: BenchSplit, lake: Lake, name: str) -> pd.DataFrame:
    if not lake.has(_table(split, name)):
        raise InputError(
            f"The model has not yet worded the pairs of {split.key}.",
            remedy=f"Run `python -m benchmarks.lr.generate {split.key} --pairs` in this COUNTERPOINT_HOME.",
        )
    return lake.read(_table(split, name))


def _table(split: BenchSplit, name: str) -> str:
    return f"benchmark/{split.key}/{name}"
