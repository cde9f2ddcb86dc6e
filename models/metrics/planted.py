"""A judge for texts about the built-in world: it reads what a text states and checks that against what is so.

It knows nothing of facts, citations or gates. It finds the things a statement names (products, what they have, what
is quoted of whom) and the numbers it gives, and compares them with the planted reasons and with figures recomputed
from the interactions. What it cannot read counts as unsupported, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

import numpy as np
import pandas as pd

from features.evidence import Evidence, EvidenceWindow
from features.readers.world import WorldTruth
from features.readers.world_texts import ASPECTS, INDIFFERENT
from features.sentences import spoken_title
from features.types import Snapshot, Stance
from models.metrics.explanation import statements, words

CATALOG_TOLERANCE = 0.1
"""Stars by which the catalog's mean may differ: texts give it pulled to the middle while ratings are few."""


class Verdict(StrEnum):
    """What became of a statement."""

    TRUE = "true"
    FALSE = "false"
    UNREAD = "unread"


@dataclass(frozen=True)
class Reading:
    """One statement as the judge understood it."""

    text: str
    verdict: Verdict
    why: str = ""
    sign: int = 0
    """The side the statement takes: +1, -1, or 0 where it only says what something is."""
    planted: bool | None = None
    """Whether the taste that is stated is a planted one; None if the statement is of no taste."""


class _Wrong(Exception):
    """What a statement says is not so."""


_PLUS = re.compile(r"\b(?:enjoy|enjoys|like|likes|liked|love|praised|appeals to|pleased|above)\b")
_MINUS = re.compile(
    r"\b(?:less taken|not content|not take to|dislike|disliked|appeals less|let down|below|little known)\b"
)
_QUOTE = re.compile(r"\bwrote(?: of it)?: ?[“\"]?(?P<quote>.+?)[”\"]?\.?[”\"]?$")
_MEAN = re.compile(r"(?P<mean>[\d.]*\d) of 5\b")
_GIVEN = re.compile(r"\brated it (?P<stars>[1-5])\b(?! or\b)")
_COUNT = re.compile(r"(?P<count>\d+) of (?:them|these)\b|\brated (?P<bare>\d+) (?!of\b)|\bthe (?P<fans>\d+) consumers")
_RATERS = re.compile(r"\b(?:from|by|only) (?P<count>\d+) consumers?\b")
_SHARE = re.compile(r"(?P<part>\d+) of (?P<all>\d+) consumers?.*?\b(?P<edge>[1-5]) or (?P<way>lower|higher)")
_REFERENCE = {
    name: re.compile(rf"{word} (?P<mean>[\d.]*\d)")
    for name, word in (("usual", "usual"), ("overall", "overall"), ("catalog", "catalog's"))
}
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_STRONG = {phrase: aspect.name for aspect in ASPECTS for phrase in (aspect.strong, *aspect.praise)}
_WEAK = {phrase: aspect.name for aspect in ASPECTS for phrase in (aspect.weak, *aspect.complaint)}
_SHRUGS = [text.split("{aspect}") for text in INDIFFERENT]
_DESCRIBING_TEXT = "it its is are described as description says presents makes has comes in by with the a an"
_DESCRIBING = frozenset(_DESCRIBING_TEXT.split())


class WorldJudge:
    """Reads texts about one world, as it was before a time."""

    def __init__(self, snapshot: Snapshot, truth: WorldTruth, window: EvidenceWindow | None = None) -> None:
        """Args: what was known, the planted reasons, and which share of each one's events texts may rest on."""
        self._truth, self._evidence = truth, Evidence(snapshot)
        events, window = snapshot.interactions.frame, window or EvidenceWindow()
        self._events = events.reset_index(drop=True)
        self._of_consumer = self._windowed(window.mask(self._evidence.consumer), "consumer_id")
        self._inside = window.mask(self._evidence.product)
        self._of_product = self._windowed(self._inside, "product_id")
        products = snapshot.catalog.products
        self._descriptions = dict(zip(products["product_id"], products["description"], strict=True))
        titles = {
            spoken_title(title): product
            for product, title in zip(products["product_id"], products["title"], strict=True)
        }
        self._titles = titles
        self._title = re.compile("|".join(map(re.escape, sorted(titles, key=len, reverse=True))))
        attributes = snapshot.catalog.attributes
        self._has: dict[str, set[str]] = {}
        for product, value in zip(attributes["product_id"], attributes["value"].astype(str), strict=True):
            self._has.setdefault(value.lower(), set()).add(product)
        things = sorted(self._has, key=len, reverse=True)
        self._thing = re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, things)) + r")(?!\w)", re.IGNORECASE)

    def read(self, text: str, consumer_id: str, product_id: str, stance: Stance) -> list[Reading]:
        """Every statement of a text about a pair, judged."""
        page, parts = _Page(self, consumer_id, product_id, stance), statements(text)
        readings = [page.judge(statement) for statement in parts]
        wanted = 1 if stance is Stance.FOR else -1
        conceded = [following.startswith("yet ") for following in [*parts[1:], ""]]
        return [
            replace(reading, verdict=Verdict.FALSE, why=reading.why or "it speaks for the other side")
            if reading.sign * wanted < 0 and not concession
            else reading
            for reading, concession in zip(readings, conceded, strict=True)
        ]

    def _windowed(self, mask: np.ndarray, key: str) -> dict[str, pd.DataFrame]:
        return {str(entity): rows for entity, rows in self._events[mask].groupby(key)}

    @cached_property
    def aspect_codes(self) -> Mapping[str, int]:
        """Code of each thing a product may have, by its name in lower case."""
        return {value.lower(): code for code, (_, value) in enumerate(self._evidence.aspects)}


@dataclass
class _Page:
    """One text being read; a later statement may refer to what an earlier one was about."""

    judge_of: WorldJudge
    consumer_id: str
    product_id: str
    stance: Stance
    topic: str = ""

    def judge(self, statement: str) -> Reading:
        """Finds the first reader that knows this kind of statement and asks it."""
        plain = statement.removeprefix("Of this one, ").removeprefix("yet ")
        sign = -1 if _MINUS.search(plain) else 1 if _PLUS.search(plain) else 0
        for pattern, reader in self._readers():
            if pattern.search(plain):
                try:
                    sign, planted = reader(plain, sign)
                except _Wrong as wrong:
                    return Reading(statement, Verdict.FALSE, str(wrong), sign)
                return Reading(statement, Verdict.TRUE, "", sign, planted)
        return Reading(statement, Verdict.UNREAD, "no known form", sign)

    def _readers(self) -> Iterator[tuple[re.Pattern[str], Callable[[str, int], tuple[int, bool | None]]]]:
        yield re.compile(r"^You .* wrote: "), self._own_words
        yield re.compile(r"^[Aa] consumer who rated it \d .*wrote: "), self._others_words
        yield re.compile(r"^You .*\brated it\b"), self._one_rating
        yield re.compile(r"^You "), self._taste
        yield re.compile(r" is (?:another|one)\b"), self._another
        yield re.compile(r"\bit appeals\b|consumers who enjoy", re.IGNORECASE), self._affinity
        yield re.compile(r"\bor (?:lower|higher)\b"), self._shares
        yield re.compile(r"\bcatalog's\b"), self._mean
        yield re.compile(r"\blittle known\b|\bonly \d+ consumers?\b"), self._few
        yield re.compile(r"^It is among "), self._membership
        yield re.compile(r"^(?:It is |Its description|In it, )"), self._description

    # What the consumer did.

    def _own_words(self, text: str, sign: int) -> tuple[int, bool | None]:
        product = self._only_title(text.split(" wrote: ")[0])
        rows = self.judge_of._of_consumer.get(self.consumer_id, self.judge_of._events.iloc[:0])
        rows = rows[rows["product_id"] == product]
        self._quoted(text, rows, sign, product)
        return sign, None

    def _one_rating(self, text: str, sign: int) -> tuple[int, bool | None]:
        product, rows = self._only_title(text), self._history()
        given = rows.loc[rows["product_id"] == product, "rating"]
        masked = self._masked(text)
        self._equal(f"{given.iloc[0]:g}" if len(given) else "none", _MEAN.search(masked), "mean", "the rating of it")
        self._reference(masked, "usual", rows["rating"].mean())
        if (given.iloc[0] - rows["rating"].mean()) * sign <= 0:
            raise _Wrong("the rating lies on the other side of the usual")
        return sign, None

    def _taste(self, text: str, sign: int) -> tuple[int, bool | None]:
        named = re.split(r" such as | and rated |, and |:", text)[0]
        self.topic, rows = self._only_thing(self._masked(named)), self._history()
        having = rows[rows["product_id"].isin(self.judge_of._has[self.topic])]
        if having.empty or (having["rating"].mean() - rows["rating"].mean()) * sign <= 0:
            raise _Wrong("the mean does not lie on that side of the usual")
        strangers = set(self._products(text)) - set(having["product_id"])
        if strangers:
            raise _Wrong(f"not among what was rated: {sorted(strangers)}")
        self._figures(self._masked(text), having["rating"], {"usual": rows["rating"].mean()})
        if self.topic not in {aspect.name for aspect in ASPECTS}:
            return sign, None
        liked = self.topic in self.judge_of._truth.consumer_likes[self.consumer_id]
        return sign, liked if sign > 0 else not liked

    def _another(self, text: str, sign: int) -> tuple[int, bool | None]:
        if self._products(text) != [self.product_id]:
            raise _Wrong("another product is meant")
        if self.product_id not in self.judge_of._has.get(self.topic, set()):
            raise _Wrong(f"it is none of those with {self.topic!r}")
        return 0, None

    # What is so of the product.

    def _others_words(self, text: str, sign: int) -> tuple[int, bool | None]:
        rows, stars = self._raters(), _GIVEN.search(text)
        rows = rows[rows["rating"] == float(stars["stars"])] if stars else rows
        sign = 1 if stars and int(stars["stars"]) >= 4 else -1
        self._quoted(text, rows, sign, self.product_id)
        return sign, None

    def _affinity(self, text: str, sign: int) -> tuple[int, bool | None]:
        masked, judge = self._masked(text), self.judge_of
        self.topic = self._only_thing(re.split(r":| rated ", masked)[0])
        enjoys = judge._evidence.enjoys(judge.aspect_codes[self.topic]) & judge._inside
        of_product = (judge._events["product_id"] == self.product_id).to_numpy()
        fans, everyone = judge._events["rating"][enjoys & of_product], self._raters()["rating"]
        if fans.empty or (fans.mean() - everyone.mean()) * sign <= 0:
            raise _Wrong("their mean does not lie on that side of the overall one")
        self._figures(masked, fans, {"overall": everyone.mean()})
        return sign, None

    def _shares(self, text: str, sign: int) -> tuple[int, bool | None]:
        found, rating = _SHARE.search(text), self._raters()["rating"]
        if not found:
            raise _Wrong("no count of consumers is given")
        edge = float(found["edge"])
        part = (rating <= edge) if found["way"] == "lower" else (rating >= edge)
        self._equal(str(int(part.sum())), found, "part", "the count")
        self._equal(str(len(rating)), found, "all", "the count of all")
        return -1 if found["way"] == "lower" else 1, None

    def _mean(self, text: str, sign: int) -> tuple[int, bool | None]:
        rows, events = self._raters(), self.judge_of._events
        before = events.loc[: rows.index[-1] - 1, "rating"].mean() if len(rows) else float("nan")
        self._equal(f"{rows['rating'].mean():.1f}", _MEAN.search(text), "mean", "the mean")
        self._equal(str(len(rows)), _RATERS.search(text), "count", "the count of raters")
        self._reference(text, "catalog", before, CATALOG_TOLERANCE)
        if (rows["rating"].mean() - before) * sign <= -CATALOG_TOLERANCE:
            raise _Wrong("the mean lies on the other side of the catalog's")
        return sign, None

    def _few(self, text: str, sign: int) -> tuple[int, bool | None]:
        self._equal(str(len(self._raters())), _RATERS.search(text), "count", "the count of raters")
        return -1, None

    def _membership(self, text: str, sign: int) -> tuple[int, bool | None]:
        if self.product_id not in self.judge_of._has[self._only_thing(text)]:
            raise _Wrong("it is none of those")
        return 0, None

    def _description(self, text: str, sign: int) -> tuple[int, bool | None]:
        """Every aspect said of it is planted on that side, and no word comes from elsewhere."""
        truth = self.judge_of._truth
        self._planted_in(text, truth.product_strengths[self.product_id], truth.product_weaknesses[self.product_id])
        described = str(self.judge_of._descriptions[self.product_id])
        if strange := set(words(text)) - set(words(described)) - _DESCRIBING:
            raise _Wrong(f"its description does not say {sorted(strange)}")
        if several := [a.name for a in ASPECTS if text.count(a.name) > described.count(a.name)]:
            raise _Wrong(f"its description does not say {several} as often")
        return 0, None

    # Tools.

    def _history(self) -> pd.DataFrame:
        return self.judge_of._of_consumer.get(self.consumer_id, self.judge_of._events.iloc[:0])

    def _raters(self) -> pd.DataFrame:
        return self.judge_of._of_product.get(self.product_id, self.judge_of._events.iloc[:0])

    def _products(self, text: str) -> list[str]:
        return [self.judge_of._titles[title] for title in self.judge_of._title.findall(text)]

    def _masked(self, text: str) -> str:
        return self.judge_of._title.sub("it", text)

    def _only_title(self, text: str) -> str:
        found = self._products(text)
        if len(found) != 1:
            raise _Wrong(f"it names {len(found)} products where one is meant")
        return found[0]

    def _only_thing(self, text: str) -> str:
        found = {thing.lower() for thing in self.judge_of._thing.findall(text)}
        if len(found) != 1:
            raise _Wrong(f"it names {sorted(found)} where one thing is meant")
        return found.pop()

    def _figures(self, text: str, ratings: pd.Series, references: Mapping[str, float]) -> None:
        """Count, mean and reference of a statement; a number that is none of these is wrong."""
        rest = text.replace(self.topic, "")
        for pattern, true in ((_COUNT, str(len(ratings))), (_MEAN, f"{ratings.mean():.1f}")):
            if found := pattern.search(rest):
                said = next(group for group in found.groups() if group)
                if said != true:
                    raise _Wrong(f"it says {said}, it is {true}")
                rest = rest.replace(found[0], "", 1)
        for name, true_mean in references.items():
            self._reference(rest, name, true_mean)
            rest = _REFERENCE[name].sub("", rest)
        if left := _NUMBER.findall(rest):
            raise _Wrong(f"numbers without a meaning: {left}")

    def _reference(self, text: str, name: str, true: float, tolerance: float = 0.0) -> None:
        found = _REFERENCE[name].search(text)
        if found and abs(float(found["mean"]) - round(true, 1)) > tolerance + 1e-9:
            raise _Wrong(f"it says {name} {found['mean']}, it is {true:.1f}")

    @staticmethod
    def _equal(true: str, found: re.Match[str] | None, group: str, what: str) -> None:
        said = found[group] if found else "nothing"
        if said != true:
            raise _Wrong(f"{what} is {true}, it says {said}")

    def _quoted(self, text: str, rows: pd.DataFrame, sign: int, product: str) -> None:
        """Raises _Wrong if nobody wrote what is quoted, or wrote it in another spirit."""
        found = _QUOTE.search(text)
        quote = " ".join(words(found["quote"])) if found else ""
        written = [" ".join(words(review)) for review in rows["review"] if isinstance(review, str)]
        if not quote or not any(quote in review for review in written):
            raise _Wrong("nobody wrote that")
        if any(all(part.lower() in f" {quote} " for part in map(_flat, shrug)) for shrug in _SHRUGS):
            raise _Wrong("the quotation shrugs, it takes no side")
        truth = self.judge_of._truth
        self._planted_in(quote, truth.product_strengths[product], truth.product_weaknesses[product], sign)

    @staticmethod
    def _planted_in(text: str, strengths: tuple[str, ...], weaknesses: tuple[str, ...], sign: int = 0) -> None:
        """Raises _Wrong if a text praises or blames an aspect that is not planted so, or takes another side by it."""
        plain = f" {' '.join(words(text))} "
        for phrases, planted, side in ((_STRONG, strengths, 1), (_WEAK, weaknesses, -1)):
            for phrase, aspect in phrases.items():
                if f" {' '.join(words(phrase))} " in plain:
                    if aspect not in planted:
                        raise _Wrong(f"{aspect} is no {'strength' if side > 0 else 'weakness'} of it")
                    if side * sign < 0:
                        raise _Wrong(f"{aspect} speaks for the other side")


def _flat(part: str) -> str:
    """A part of a template as it stands among flattened words."""
    return f" {' '.join(words(part))} " if words(part) else ""
