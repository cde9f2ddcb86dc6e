"""Pairs with words: windows of Amazon Beauty, and pairs of ML-1M beside profiles that saw none of them.

- `amazon-beauty`: windows as published (`models/reasoning/windows.py`); a like is 4 stars or more. Descriptions and the
  profiles of 160 consumers were written by a large model; which reviews it saw is not known, so it may have seen tested
  ones. Many consumers repeat another's whole sequence, labels included, which flatters whatever remembers. Of pairs
  that a consumer repeats, the latest counts.
- `ml-1m`: the test part of the split that was made with the consumers' profiles, which draw on none of its pairs. It
  has no times. A consumer's pairs are shuffled; the first are the labelled history, others are targets. Consumers of
  train, valid and test differ. One-sentence summaries of all films were written by a large model from memory.
"""

from __future__ import annotations

import csv
import gzip
import html
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.words import content
from models.reasoning.cases import Case, Described
from models.reasoning.tutor import Lesson
from models.reasoning.windows import PARTS, windows

N_TEST, N_VALID = 400, 160
LIKED_FROM, WINDOW = 4, 4
HISTORY, TARGETS, CONSUMERS_TRAINED = 10, 8, 2500
N_LIKED = 150
"""Liked test pairs of Amazon Beauty."""
SPLIT_SEED = 20240607


@dataclass(frozen=True)
class Pair:
    """One labelled pair with what came before it, oldest first."""

    consumer: str
    history: tuple[tuple[str, bool], ...]
    product: str
    liked: bool


@dataclass(frozen=True, eq=False)
class Corpus:
    """A dataset's pairs, and the words of its products and consumers."""

    name: str
    train: list[Pair]
    valid: list[Pair]
    test: list[Pair]
    products: Mapping[str, Described]
    profiles: Mapping[str, str]

    def lesson(self, pairs: Sequence[Pair], facts: bool = False) -> Lesson:
        """Pairs as cases with rationales worded by code, told the outcome.

        Args:
            pairs: any.
            facts: adds to each target how many other training consumers liked it. [beyond the paper]
        """
        cases = [self._case(pair, facts) for pair in pairs]
        liked = np.array([pair.liked for pair in pairs], bool)
        return Lesson(cases, liked, [rationale(case, pair.liked) for case, pair in zip(cases, pairs, strict=True)])

    def _case(self, pair: Pair, facts: bool) -> Case:
        history = tuple((self.products[product], liked) for product, liked in pair.history)
        target = self.products[pair.product]
        if facts:
            told = self.liked_by(pair.product, without=pair.consumer)
            target = replace(target, description=f"{told} {target.description}".strip())
        return Case(self.profiles.get(pair.consumer, ""), history, target)

    def liked_by(self, product: str, without: str) -> str:
        """How many of the training consumers but one, who knew a product, liked it."""
        n_liked, n_known = self.counts(product, without)
        return f"{n_liked} of {n_known} others liked it." if n_known else "Nobody rated it yet."

    def counts(self, product: str, without: str) -> tuple[int, int]:
        """Likes and labels of a product among training consumers but one."""
        labels = self._labels[product]
        known = [liked for consumer, liked in labels.items() if consumer != without]
        return sum(known), len(known)

    @cached_property
    def _labels(self) -> Mapping[str, Mapping[str, bool]]:
        """By product and consumer, what the training pairs and their histories say."""
        known: dict[str, dict[str, bool]] = defaultdict(dict)
        for pair in self.train:
            for product, liked in (*pair.history, (pair.product, pair.liked)):
                known[product][pair.consumer] = liked
        return known


def load(name: str, data: Path) -> Corpus:
    """Reads a dataset of the folder of real data."""
    return {"amazon-beauty": _beauty, "ml-1m": _movies}[name](data)


def shots_of(pairs: Sequence[Pair]) -> NDArray[np.bool_]:
    """The outcomes of pairs."""
    return np.array([pair.liked for pair in pairs], bool)


def rationale(case: Case, liked: bool) -> str:
    """Why, in words of code that knows the outcome: the event of that side which shares most words with the target.

    Stands in for a large teacher, which this benchmark does not have; the form is fixed, the content is the case's.
    """
    target = content(f"{case.target.title} {case.target.description}")
    verb = "liked" if liked else "disliked"
    best, shared = "", set[str]()
    for product, label in case.history:
        common = content(f"{product.title} {product.description}") & target
        if label == liked and len(common) > len(shared):
            best, shared = product.title, common
    if not shared:
        few = sum(label == liked for _, label in case.history)
        return (
            f"They {verb} {few} of the {len(case.history)} they rated before, and {case.target.title} is close to them."
        )
    return f"They {verb} {best}, and this one shares {', '.join(sorted(shared)[:3])} with it."


def _beauty(data: Path) -> Corpus:
    folder = data / "amazon-beauty"
    told = json.loads((folder / "processed_item_information.json").read_text(encoding="utf-8"))
    products = {
        key: Described(html.unescape(item["title"]).strip(), " ".join(item["description"].split()))
        for key, item in told.items()
    }
    profiles = json.loads((folder / "user_profile_summary.json").read_text(encoding="utf-8"))
    train, valid, test = _windows(folder / "ratings.csv")
    test = _with_all_of_the_rarer(test)
    return Corpus(
        "amazon-beauty", train, valid, test, products, {who: " ".join(text.split()) for who, text in profiles.items()}
    )


def _with_all_of_the_rarer(pairs: list[Pair]) -> list[Pair]:
    """All disliked pairs and some of the others: nearly every one is liked, and an AUC is not moved by how many."""
    rng = np.random.default_rng(SPLIT_SEED)
    liked = [pair for pair in pairs if pair.liked]
    chosen = [liked[place] for place in sorted(rng.permutation(len(liked))[:N_LIKED])]
    return [pair for pair in pairs if not pair.liked] + chosen


def _windows(path: Path) -> list[list[Pair]]:
    """Pairs of train, valid and test: each consumer's third last, second last and last event, after those before it.

    Of a repeated pair the latest event counts, or a tested pair would be among those that are learned from.
    """
    events: dict[str, dict[str, bool]] = defaultdict(dict)
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):  # by consumer and time
            events[row["user"]].pop(row["item"], None)
            events[row["user"]][row["item"]] = float(row["rating"]) >= LIKED_FROM
    made: dict[str, list[Pair]] = {part: [] for part in PARTS}
    for consumer, labels in events.items():
        seen = list(labels.items())
        for part, window in windows(len(seen), WINDOW).items():
            history = tuple(seen[place] for place in window.history)
            made[part].append(Pair(consumer, history, *seen[window.target]))
    return [made[part] for part in PARTS]


def _movies(data: Path) -> Corpus:
    known: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    with gzip.open(data / "ml-1m" / "profile_split_test.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            known[row["user_id"]].append((row["movie_id"], row["liked"] == "1"))
    with (data / "movie-summaries" / "movie_summary_25_words.csv").open(encoding="utf-8") as file:
        products = {
            row["movie_id"]: Described(
                f"{row['name'].strip()} ({row['year']}), {row['cleaned_genre']}",
                row["summary"].replace('"', "").strip(),
            )
            for row in csv.DictReader(file)
        }
    with gzip.open(data / "ml-1m" / "llm_user_profiles.jsonl.gz", "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    profiles = {str(record["user_id"]): " ".join(record["profile"].split()) for record in records}
    rng = np.random.default_rng(SPLIT_SEED)
    who = [consumer for consumer in sorted(known, key=int) if len(known[consumer]) >= HISTORY + TARGETS]
    who = [who[place] for place in rng.permutation(len(who))]
    n_test, n_valid = N_TEST // TARGETS, N_VALID // TARGETS
    parts = who[:n_test], who[n_test : n_test + n_valid], who[n_test + n_valid :][:CONSUMERS_TRAINED]
    made = [[pair for consumer in part for pair in _targets(consumer, known[consumer], rng)] for part in parts]
    return Corpus("ml-1m", made[2], made[1], made[0], products, profiles)


def _targets(consumer: str, labelled: Sequence[tuple[str, bool]], rng: np.random.Generator) -> list[Pair]:
    order = [labelled[place] for place in rng.permutation(len(labelled))]
    history = tuple(order[:HISTORY])
    return [Pair(consumer, history, product, liked) for product, liked in order[HISTORY : HISTORY + TARGETS]]
