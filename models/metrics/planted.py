"""A judge for texts about the built-in world: it reads what a text states and checks that against what is so.

It knows nothing of facts, citations or gates. It finds the things a statement names (products, what they have, what
is quoted of whom) and the numbers it gives, and compares them with the planted reasons and with figures recomputed
from the interactions. What it cannot read counts as unsupported, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import pandas as pd

from features.evidence import EvidenceWindow
from features.readers.world import WorldTruth
from features.readers.world_aspects import ASPECTS
from features.readers.world_reviews import INDIFFERENT
from features.types import Snapshot, Stance
from models.metrics.explanation import statements, words
from models.metrics.world_record import WorldRecord

ROUNDING = 0.0501
CATALOG_TOLERANCE = 0.15
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


Reader = Callable[[str, int], tuple[int, bool | None]]
"""Takes a statement and the side it seems to take; gives its side and whether its taste is a planted one."""
_QUOTING = ("_own_words", "_others_words", "_description")
"""Readers of statements whose words after the colon are somebody else's."""


class _Wrong(Exception):
    """What a statement says is not so."""


_MINUS = re.compile(
    r"\b(?:less|lower than|lower:|harder to please|leave you cool|fell short|falls short|not|fault\w*|complain\w*"
    r"|against|dislike\w*|let down|below|little|few|no praise|holds little)\b",
    re.IGNORECASE,
)
_PLUS = re.compile(
    r"\b(?:enjoy\w*|like[sd]?|lov\w+|prais\w+|appeals|pleased?|above|taste for|drawn to|get on well|higher|suit|liking"
    r"|more|better|stood out|won|speak for)\b",
    re.IGNORECASE,
)
_MINE = re.compile(r"\byour?\b", re.IGNORECASE)
_FANS = re.compile(r"\b(?:those|consumers) who enjoy\b|\bif you enjoy\b", re.IGNORECASE)
_OTHERS = re.compile(r"\b(?:consumer|someone|reviews|praise for it|complaints about it)\b", re.IGNORECASE)
_DESCRIBED = re.compile(
    r"^(?:It is |In it, |What it is|In short|What to expect|In its own words|.{0,12}\b[Ii]ts (?:own )?description)"
)
_ATTRIBUTE = re.compile(r"\bits [\w ]+ is (?P<value>.+?)\.?$")
_MEAN = re.compile(r"(?P<mean>[\d.]*\d) of 5\b")
_GIVEN = re.compile(r"\brat(?:ed|ing) it (?P<stars>[1-5])\b(?! or\b)")
_COUNT = re.compile(
    r"(?P<count>\d+) of (?:them|these)\b|\brated (?P<bare>\d+) (?!of\b)|\b[Tt]he (?P<fans>\d+) (?:consumers|who|of)\b"
    r"|\bOf the (?P<those>\d+) "
)
_RATERS = re.compile(r"\b(?P<count>\d+) consumers?\b")
_PART = re.compile(r"(?P<part>\d+) of (?:\d+ consumers?|them)\b")
_EDGE = re.compile(r"\b(?P<edge>[1-5]) or (?P<way>lower|higher)\b")
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
        self._record = WorldRecord(snapshot, truth, window or EvidenceWindow())

    def read(self, text: str, consumer_id: str, product_id: str, stance: Stance) -> list[Reading]:
        """Every statement of a text about a pair, judged."""
        page, parts = _Page(self._record, consumer_id, product_id, stance), statements(text)
        readings = [page.judge(statement) for statement in parts]
        wanted = 1 if stance is Stance.FOR else -1
        conceded = [following.startswith("yet ") for following in [*parts[1:], ""]]
        return [
            replace(reading, verdict=Verdict.FALSE, why=reading.why or "it speaks for the other side")
            if reading.sign * wanted < 0 and not concession
            else reading
            for reading, concession in zip(readings, conceded, strict=True)
        ]


@dataclass
class _Page:
    """One text being read; a later statement may refer to what an earlier one was about."""

    record: WorldRecord
    consumer_id: str
    product_id: str
    stance: Stance
    topic: str = ""

    def judge(self, statement: str) -> Reading:
        """Asks the reader of this kind of statement, if it is a known one."""
        plain = statement.removeprefix("Of this one, ").removeprefix("yet ")
        reader = self._reader(plain)
        lead = self.record.without_titles(
            plain if reader is None or reader.__name__ not in _QUOTING else plain.split(": ")[0]
        )
        sign = -1 if _MINUS.search(lead) else 1 if _PLUS.search(lead) else 0
        if reader is None:
            return Reading(statement, Verdict.UNREAD, "no known form", sign)
        try:
            sign, planted = reader(plain, sign or (1 if self.stance is Stance.FOR else -1))
        except _Wrong as wrong:
            return Reading(statement, Verdict.FALSE, str(wrong), sign)
        return Reading(statement, Verdict.TRUE, "", sign, planted)

    def _reader(self, text: str) -> Reader | None:
        """Who reads a statement, by what it names and counts, whatever its words."""
        masked = self.record.without_titles(text)
        rated, quoting = bool(_MEAN.search(masked)), ": " in text
        known: list[tuple[object, Reader]] = [
            (text.startswith("among them "), self._examples),
            (_EDGE.search(masked), self._shares),
            (rated and _FANS.search(masked), self._affinity),
            ("catalog's" in masked or (rated and not _MINE.search(masked)), self._mean),
            (quoting and not rated and len(self.record.products_in(text.split(": ")[0])) == 1, self._own_words),
            (quoting and not _MINE.search(masked.split(": ")[0]) and _OTHERS.search(masked), self._others_words),
            (re.search(r" is (?:another|one)\b", text), self._another),
            (text.startswith("It is among ") or _ATTRIBUTE.search(masked), self._membership),
            (_DESCRIBED.search(text), self._description),
            (rated and len(self.record.products_in(text)) == 1 and "on average" not in text, self._one_rating),
            (rated and _MINE.search(masked), self._taste),
        ]
        return next((reader for fits, reader in known if fits), None)

    # What the consumer did.

    def _own_words(self, text: str, sign: int) -> tuple[int, bool | None]:
        product = self._only_title(text.split(": ")[0])
        rows = self.record.ratings_of(self.consumer_id)
        rows = rows[rows["product_id"] == product]
        self._quoted(text, rows, sign, product)
        return sign, None

    def _one_rating(self, text: str, sign: int) -> tuple[int, bool | None]:
        product, rows = self._only_title(text), self.record.ratings_of(self.consumer_id)
        given = rows.loc[rows["product_id"] == product, "rating"]
        masked = self.record.without_titles(text)
        self._equal(f"{given.iloc[0]:g}" if len(given) else "none", _MEAN.search(masked), "mean", "the rating of it")
        self._reference(masked, "usual", rows["rating"].mean())
        if (given.iloc[0] - rows["rating"].mean()) * sign <= 0:
            raise _Wrong("the rating lies on the other side of the usual")
        return sign, None

    def _taste(self, text: str, sign: int) -> tuple[int, bool | None]:
        self.topic, rows = self._only_thing(self.record.without_titles(text)), self.record.ratings_of(self.consumer_id)
        having = rows[rows["product_id"].isin(self.record.having(self.topic))]
        if having.empty or (having["rating"].mean() - rows["rating"].mean()) * sign <= 0:
            raise _Wrong("the mean does not lie on that side of the usual")
        self._examples(text, sign)
        self._figures(self.record.without_titles(text), having["rating"], {"usual": rows["rating"].mean()})
        if self.topic not in {aspect.name for aspect in ASPECTS}:
            return sign, None
        liked = self.topic in self.record.truth.consumer_likes[self.consumer_id]
        return sign, liked if sign > 0 else not liked

    def _examples(self, text: str, sign: int) -> tuple[int, bool | None]:
        having = self.record.having(self.topic) & set(self.record.ratings_of(self.consumer_id)["product_id"])
        if strangers := set(self.record.products_in(text)) - having:
            raise _Wrong(f"not among what was rated: {sorted(strangers)}")
        return 0, None

    def _another(self, text: str, sign: int) -> tuple[int, bool | None]:
        if self.record.products_in(text) != [self.product_id]:
            raise _Wrong("another product is meant")
        if self.product_id not in self.record.having(self.topic):
            raise _Wrong(f"it is none of those with {self.topic!r}")
        return 0, None

    # What is so of the product.

    def _others_words(self, text: str, sign: int) -> tuple[int, bool | None]:
        rows, stars = self.record.ratings_for(self.product_id), _GIVEN.search(text)
        rows = rows[rows["rating"] == float(stars["stars"])] if stars else rows
        sign = sign if stars is None else 1 if int(stars["stars"]) >= 4 else -1
        self._quoted(text, rows, sign, self.product_id)
        return sign, None

    def _affinity(self, text: str, sign: int) -> tuple[int, bool | None]:
        masked = self.record.without_titles(text)
        self.topic = self._only_thing(masked)
        fans, everyone = (
            self.record.fans(self.topic, self.product_id)["rating"],
            self.record.ratings_for(self.product_id)["rating"],
        )
        if fans.empty or (fans.mean() - everyone.mean()) * sign <= 0:
            raise _Wrong("their mean does not lie on that side of the overall one")
        self._figures(masked, fans, {"overall": everyone.mean()})
        return sign, None

    def _shares(self, text: str, sign: int) -> tuple[int, bool | None]:
        rating, edge = self.record.ratings_for(self.product_id)["rating"], _EDGE.search(text)
        low = edge is not None and edge["way"] == "lower"
        bound = float(edge["edge"]) if edge else float("nan")
        part = (rating <= bound) if low else (rating >= bound)
        self._equal(str(int(part.sum())), _PART.search(text), "part", "the count")
        self._equal(str(len(rating)), _RATERS.search(text), "count", "the count of all")
        return -1 if low else 1, None

    def _mean(self, text: str, sign: int) -> tuple[int, bool | None]:
        rows, events = self.record.ratings_for(self.product_id), self.record.events
        before = events.loc[: rows.index[-1] - 1, "rating"].mean() if len(rows) else float("nan")
        self._figures(_REFERENCE["catalog"].sub("", _RATERS.sub("", text)), rows["rating"], {})
        self._equal(str(len(rows)), _RATERS.search(text), "count", "the count of raters")
        self._reference(text, "catalog", before, CATALOG_TOLERANCE)
        if (rows["rating"].mean() - before) * sign <= -CATALOG_TOLERANCE:
            raise _Wrong("the mean lies on the other side of the catalog's")
        return sign, None

    def _membership(self, text: str, sign: int) -> tuple[int, bool | None]:
        found = _ATTRIBUTE.search(text)
        if self.product_id not in self.record.having(self._only_thing(found["value"] if found else text)):
            raise _Wrong("it is none of those")
        return 0, None

    def _description(self, text: str, sign: int) -> tuple[int, bool | None]:
        """Every aspect said of it is planted on that side, and no word comes from elsewhere."""
        truth = self.record.truth
        self._planted_in(text, truth.product_strengths[self.product_id], truth.product_weaknesses[self.product_id])
        described, text = str(self.record.descriptions[self.product_id]), text.split(": ")[-1]
        if strange := set(words(text)) - set(words(described)) - _DESCRIBING:
            raise _Wrong(f"its description does not say {sorted(strange)}")
        if several := [a.name for a in ASPECTS if text.count(a.name) > described.count(a.name)]:
            raise _Wrong(f"its description does not say {several} as often")
        return 0, None

    # Tools.

    def _only_title(self, text: str) -> str:
        found = self.record.products_in(text)
        if len(found) != 1:
            raise _Wrong(f"it names {len(found)} products where one is meant")
        return found[0]

    def _only_thing(self, text: str) -> str:
        found = self.record.things_in(text)
        if len(found) != 1:
            raise _Wrong(f"it names {sorted(found)} where one thing is meant")
        return found.pop()

    def _figures(self, text: str, ratings: pd.Series, references: Mapping[str, float]) -> None:
        """Count, mean and reference of a statement; a number that is none of these is wrong."""
        rest = text.replace(self.topic, "")
        for pattern, true, tolerance in ((_COUNT, len(ratings), 0.0), (_MEAN, ratings.mean(), ROUNDING)):
            if found := pattern.search(rest):
                said = next(group for group in found.groups() if group)
                if abs(float(said) - true) > tolerance:
                    raise _Wrong(f"it says {said}, it is {true:.4g}")
                rest = rest.replace(found[0], "", 1)
        for name, true_mean in references.items():
            self._reference(rest, name, true_mean)
            rest = _REFERENCE[name].sub("", rest)
        if left := _NUMBER.findall(rest):
            raise _Wrong(f"numbers without a meaning: {left}")

    def _reference(self, text: str, name: str, true: float, tolerance: float = ROUNDING) -> None:
        found = _REFERENCE[name].search(text)
        if found and abs(float(found["mean"]) - true) > tolerance:
            raise _Wrong(f"it says {name} {found['mean']}, it is {true:.1f}")

    @staticmethod
    def _equal(true: str, found: re.Match[str] | None, group: str, what: str) -> None:
        said = found[group] if found else "nothing"
        if said != true:
            raise _Wrong(f"{what} is {true}, it says {said}")

    def _quoted(self, text: str, rows: pd.DataFrame, sign: int, product: str) -> None:
        """Raises _Wrong if nobody wrote what is quoted, or wrote it in another spirit."""
        quote = " ".join(words(text.split(": ", 1)[1]))
        written = [" ".join(words(review)) for review in rows["review"] if isinstance(review, str)]
        if not quote or not any(quote in review for review in written):
            raise _Wrong("nobody wrote that")
        if any(all(part.lower() in f" {quote} " for part in map(_flat, shrug)) for shrug in _SHRUGS):
            raise _Wrong("the quotation shrugs, it takes no side")
        truth = self.record.truth
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
