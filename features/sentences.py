"""Foreign text made safe and short: titles as people say them, one telling sentence of a review or description.

Reviews are written by anyone, so nothing of them goes on unwashed: mark-up and control characters are removed,
what identifies a person or leads elsewhere is replaced, and lengths are capped.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection
from functools import lru_cache

from features.instructions import foreign, instructs, orders, suspect
from features.redaction import CONTACTS, REDACTED, Personal, redact

MAX_SENTENCE = 160
MAX_DESCRIPTION = 240
MAX_TITLE = 60
MAX_TEXT = 20_000
MAX_NAME = 4
"""A title of more words that commands, or is in another language, is looked at part by part."""

WASHED = 16_384
"""Texts whose sentences are remembered: the facts of consumers and of products read the same reviews."""

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

PANNING = frozenset(
    {"bland", "disappointing", "dull", "forgettable", "lackluster", "mediocre", "tedious", "uninspired"}
)


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


@lru_cache(maxsize=100_000)  # an answer says the same few titles again and again; a title is read with many patterns
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
    return list(_washed(text, frozenset(kinds))) if isinstance(text, str) else []


@lru_cache(maxsize=WASHED)
def _washed(text: str, kinds: frozenset[Personal]) -> tuple[str, ...]:
    if instructs(html.unescape(html.unescape(_TAGS.sub(" ", text[:MAX_TEXT])))):
        return ()
    parts = _END.split(clean(text, 4_000, kinds))
    whole = (part.replace('"', "").strip(" .'-*,;:") for part in parts if part)
    plain = list(whole)
    beside = {place + step for place, part in enumerate(plain) if orders(part) for step in (-1, 0, 1)}
    kept = (part for place, part in enumerate(plain) if place not in beside)
    return tuple(part for part in kept if REDACTED not in part and not suspect(part))


def pans(description: str) -> bool:
    """Whether a description runs its product down, as written-up summaries sometimes do."""
    return bool(PANNING & set(words(description)))


def key_sentence(description: str) -> str:
    """The first sentence of a description that says something, or nothing."""
    for sentence in sentences(description, CONTACTS):
        if len(sentence) >= 25:
            return shorten(sentence, MAX_DESCRIPTION)
    return ""
