"""Foreign text made safe and short: titles as people say them, one telling sentence of a review or description.

Reviews are written by anyone, so nothing of them goes on unwashed: mark-up and control characters are removed,
what identifies a person or leads elsewhere is replaced, and lengths are capped.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterable

import numpy as np

from features.instructions import foreign, instructs, orders, suspect
from features.redaction import CONTACTS, REDACTED, Personal, redact

MAX_SENTENCE = 160
MAX_DESCRIPTION = 240
MAX_TITLE = 60
MAX_TEXT = 20_000
MAX_NAME = 4
"""A title of more words that commands, or is in another language, is looked at part by part."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")
_TAG = re.compile(r"<[^>]{0,200}>")
_TAGS = re.compile(r"</?(?:br|p|b|i|em|strong|ul|ol|li|u|h[1-6]|div|table|tr|td|a)\b[^>]{0,200}>", re.IGNORECASE)
"""Mark-up that sellers' texts have; other tags make a text suspicious."""
_END = re.compile(r"(?<=[.!?])\s*(?=[A-Z\"'])|[.!?]\s+|\s{2,}|\n")
_ARTICLE = re.compile(
    r"^(?P<rest>.+), (?P<article>The|A|An|Il|Lo|La|Le|Les|L'|El|Los|Las|Der|Die|Das|Un|Une)(?P<tail>$| \()"
)
_YEAR = re.compile(r"\s*\(\d{4}\)\s*$")
_ALIAS = re.compile(r"\s*\([^()]*\)\s*$")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")

_COMMON_TEXT = """
a about after again all also am an and any are as at back be because been before being both but by can cant
could did do does doesn't don't dont down each even ever every few find first for from get gets give go goes
going gone got had has have having he her here hers him his how however i i'll i'm i've if in into is isn't it
it's its just know last let like little long look looks made make makes many may me might more most much must
my need needs never new no not now of off old on once one only or other our out over own pretty put quite
rather really s same say see seem seems she should since so some something still such sure t take than that
that's the their them then there these they thing things think this those though thought through time to too
took try two up us use used uses using very want wanted was way we well went were what when where which while
who why will with without would yet you your years year months month day days bought buy amazon product item
review works work working ordered purchase purchased came come else lot lots bit happy love loved anyone
someone people around keep set
"""
COMMON = frozenset(_COMMON_TEXT.split())
_PRAISE_TEXT = """
accurate amazing awesome beautiful beautifully best better bright clean clear comfortable crisp durable easily
easy enjoy excellent fantastic favorite fine fits flawless flawlessly full good great happy impressed love
loved loves nice nicely perfect perfectly pleased recommend rich smooth solid stable sturdy superb
warm well wonderful worth
"""
PRAISE = frozenset(_PRAISE_TEXT.split())
_BLAME_TEXT = """
annoying awful bad broke broken cheap cheaply complaint difficult disappointed disappointing downside failed
fell flimsy hard hate horrible issue issues junk lack lacks loose lousy muddy noisy poor poorly problem
problems returned rough sadly stiff terrible tinny too trouble uncomfortable unfortunately useless
waste weak worse worst wrong wish
"""
BLAME = frozenset(_BLAME_TEXT.split())
PANNING = frozenset(
    {"bland", "disappointing", "dull", "forgettable", "lackluster", "mediocre", "tedious", "uninspired"}
)
_NEGATION_TEXT = """
not no never didn't don't doesn't isn't wasn't can't couldn't won't without
"""
_SHRUG = re.compile(
    r"\bothers (?:may|might|will)\b|\bhardly (?:notice|care|matter)|\bno opinion\b"
    r"|\b(?:not that it|doesn't|does not) matter|\b(?:don't|do not) care\b",
    re.IGNORECASE,
)
"""How people say that something is nothing to them, with words that would pass for praise."""
_NEGATION = frozenset(_NEGATION_TEXT.split())


def clean(text: object, limit: int = MAX_SENTENCE, kinds: Collection[Personal] = frozenset(Personal)) -> str:
    """Plain text of at most `limit` characters, without mark-up, control characters or personal data."""
    return shorten(" ".join(redact(_unmarked(text), kinds).split()), limit)


def _unmarked(text: object) -> str:
    """The text without mark-up and control characters."""
    if not isinstance(text, str):
        return ""
    plain = _TAG.sub(" ", html.unescape(html.unescape(text[:MAX_TEXT])))
    return _CONTROL.sub(" ", plain)


def shorten(text: str, limit: int) -> str:
    """The text cut at a word's end so that it has at most `limit` characters."""
    if len(text) <= limit:
        return text
    return text[: limit - 3].rsplit(" ", 1)[0].rstrip(" ,;:-") + "..."


def spoken_title(title: str) -> str:
    """A title as one says it: `Postino, Il (1994)` is `Il Postino`; long shop titles end at a natural break.

    A title that gives orders is cut before them, and is empty if nothing is left.
    """
    plain = " ".join(clean(_harmless(title), 300, CONTACTS).replace(REDACTED, " ").split())
    plain = _YEAR.sub("", plain).strip(" -,;:(")
    aliased = _ALIAS.sub("", plain)
    plain = aliased or plain
    match = _ARTICLE.match(plain)
    if match:
        plain = f"{match['article']} {match['rest']}".replace("L' ", "L'")
    if len(plain) > MAX_TITLE:
        plain = re.split(r"\s+-+\s+|,\s|\s\(|;\s", plain, maxsplit=1)[0]
    return shorten(plain, MAX_TITLE).removesuffix("...").rstrip(" ,;:-")


def _harmless(title: str) -> str:
    """The parts of a title before the first that gives orders. `Say Anything` is short enough to be a name."""
    plain = " ".join(html.unescape(html.unescape(title)).split())
    if not instructs(plain) and not (len(plain.split()) > MAX_NAME and (orders(plain) or foreign(plain))):
        return title
    kept = ""
    for part in re.split(r"(?<=[.!?:;,|()\-])\s+|\s+(?=[(|-])|\n", plain):
        if suspect(part):
            break
        kept = f"{kept} {part}"
    return kept.strip(" -|([:;,") if len(kept.split()) > 1 else ""


def words(text: str) -> list[str]:
    """Lower-case words of a text."""
    return _WORD.findall(text.lower())


def sentences(text: object, kinds: Collection[Personal] = frozenset(Personal)) -> list[str]:
    """Clean sentences of a text, without those that hold personal data or give orders.

    A text that talks to a language model, or hides what it says, gives none, and what stands beside an order is none
    either: what looks harmless there may be part of the same attempt.
    """
    if not isinstance(text, str) or instructs(html.unescape(html.unescape(_TAGS.sub(" ", text[:MAX_TEXT])))):
        return []
    parts = _END.split(clean(text, 4_000, kinds))
    whole = (part.replace('"', "").strip(" .'-*,;:") for part in parts if part)
    plain = list(whole)
    beside = {place + step for place, part in enumerate(plain) if orders(part) for step in (-1, 0, 1)}
    kept = (part for place, part in enumerate(plain) if place not in beside)
    return [part for part in kept if REDACTED not in part and not suspect(part)]


def pans(description: str) -> bool:
    """Whether a description runs its product down, as written-up summaries sometimes do."""
    return bool(PANNING & set(words(description)))


def mood(text: str) -> int:
    """Praising minus blaming words; a negation turns the next three words, and a shrug takes no side at all."""
    if _SHRUG.search(text):
        return 0
    score, turned = 0, 0
    for word in words(text):
        value = (word in PRAISE) - (word in BLAME)
        score += -value if turned else value
        turned = 3 if word in _NEGATION else max(turned - 1, 0)
    return score


class Terms:
    """The words a review corpus talks about: neither everywhere nor nearly nowhere."""

    def __init__(self, texts: Iterable[object], most: int = 300) -> None:
        counts: dict[str, int] = {}
        n_texts = 0
        for text in texts:
            if isinstance(text, str) and text:
                n_texts += 1
                for word in set(words(text)):
                    counts[word] = counts.get(word, 0) + 1
        skipped = COMMON | PRAISE | BLAME
        fitting = [
            (count, word)
            for word, count in counts.items()
            if len(word) > 3 and word not in skipped and max(5, 0.003 * n_texts) <= count <= 0.25 * n_texts
        ]
        self.weights = {word: float(np.log(n_texts / count)) for count, word in sorted(fitting, reverse=True)[:most]}


def key_sentence(description: str) -> str:
    """The first sentence of a description that says something, or nothing."""
    for sentence in sentences(description, CONTACTS):
        if len(sentence) >= 25:
            return shorten(sentence, MAX_DESCRIPTION)
    return ""
