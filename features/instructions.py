"""Text that gives orders: to a language model, to whoever writes about a product, or in a form that hides itself.

Titles, descriptions and reviews are written by anyone, and a fact that quotes one of them ends up in a prompt and on a
page. So a sentence is evidence only if it is plain English that orders nothing. There is no list of attacks here, but
what orders have in common: they command, they speak of the text to be written, or they do not look like plain text.
A false alarm costs one sentence of one review; `benchmarks/proofs/injection.py` measures what gets through.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from functools import lru_cache

from features.words import FUNCTION_WORDS, NEGATING, WORD

_MACHINE = re.compile(
    r"\b(?:ai|a\.i|llms?|gpt\w*|chatgpt|chatbots?|bots?|language model|neural network|jailbreak\w*|prompts?|json"
    r"|system (?:prompt|message|note|override|text)|(?:as|the|to|dear|an?) assistants?"
    r"|(?:the|your|these|those|all|any|previous|prior|earlier|initial|above|following|new|my|other"
    r"|no) instructions?"
    r"|instructed|overrid\w+|base ?64|decod\w+|rot ?13|hex|configuration|continuation|canary|compliance"
    r"|(?:new|your|the|following) tasks?|quality control|authori[sz]\w+|which rules|what you were told"
    r"|whoever (?:reads|writes|summari[sz]es)|outdated|withdrawn|verified|evidence|invent (?:any|one|some)|competitors?"
    r"|(?:the|your|this|each|every|of|a) (?:summary|summaries|answers?|outputs?|repl(?:y|ies)|explanations?"
    r"|recommendations?|continuation|sentences?|texts?|reasons?|greeting|facts?|arguments?)"
    r"|disadvantages?|downsides? and|reasons? (?:for|against)|arguments? against)\b",
    re.IGNORECASE,
)
"""Speaks of a machine that writes, or of what it writes."""

_SPEECH = (
    r"ignor\w*|disregard|forget|say|tell|write|print|output|repeat|reply|respond|answer|reveal|mention"
    r"|state|claim|declare"
    r"|describe|praise|insert|append|include|add|quote|cite|omit|hide|conceal|suppress|skip|refuse"
    r"|pretend|behave|obey"
    r"|translate|disclose|summari[sz]e|emphasi[sz]e|convince|persuade|assure|replace|recommend|promote"
    r"|rate|call|list|treat"
    r"|end|start|begin|finish|leave|stop|keep (?:quiet|silent)|put|use|act|speak|talk|show|give|turn"
    r"|do not|don['’]t|never"
)
_POLITE = (
    r"(?:please|kindly|now|also|and|then|just|simply|always|only|instead|so|or|but|remember to"
    r"|be sure to|make sure to|reminder|note|important|attention|hey|dear \w+|to confirm"
    r"|for \w+(?: \w+)?|if [^,]{1,40}|when [^,]{1,60}|whenever [^,]{1,60}|as [^,]{1,40}|from now on)"
)
_ORDER = re.compile(rf"(?:^|[,;:(\-–—]\s*|[.!?]\s+)(?:{_POLITE},?\s+)*(?:{_SPEECH})\b", re.IGNORECASE)
_MUST = re.compile(
    rf"\byou (?:must|should|shall|will|have to|need to|are to|may|can|are required to)\s+(?:only "
    rf"|always |never |not )*(?:{_SPEECH})\b"
    r"|\byou are (?:now |an? (?:ai|model|sales\w+|assistant|expert|bot))"
    r"|\b(?:must|has to be|have to be|needs? to be|should|shall|may) (?:be |always |only |never "
    r"|not )*(?:say|said|told|mention\w*|contain"
    r"|include|written|turned into|assured|rejected|print|cite|quote)\b"
    r"|\b(?:authori[sz]es?|orders?|commands?|instructs?|requires?|expects?) (?:that )?(?:you|the reader"
    r"|everyone|readers|shoppers|the sentence)\b",
    re.IGNORECASE,
)
_ROLE = re.compile(
    r"\b(?:system|user|assistant|human|ai|model|developer|tool|admin|bot|instructions?|response|role"
    r"|task|fact|sentence"
    r"|note to \w+|hex|polarity|stance)\s*[:=]|\[/?\w+\]|<<|>>|<\||\|>|```|\*\*|##|__|[{}\[\]<>|\\^`]",
    re.IGNORECASE,
)
_CITED = re.compile(
    r"\b[Ff]\d{1,3}\b\W{0,2}(?:[:\])]|is\b)|\bfact_id\b|\b[cp]\w+\.(?:mean|low|high|few|text|title|genre|taste)\b"
)
_RATED = re.compile(
    r"\b\d+ of \d+ (?:consumers|customers|people|users|buyers)|\bof 5 on average|\brated (?:by (?:all"
    r"|everyone|\d+)|it \d)"
    r"|\b\d{4,} (?:consumers|customers|people|users|buyers)",
    re.IGNORECASE,
)
_SPACED = re.compile(r"(?:\b\w\b[\s.·_-]){5,}")
_PACKED = re.compile(
    r"(?<!\w)(?=[\w+/=]*\d)(?=[\w+/=]*[A-Z])(?=[\w+/=]*[a-z])[A-Za-z0-9+/=_]{16,}"
    r"|\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{16,}\b"
)
_ODD = re.compile(r"^[.,!?)]+\w|(?:\b\w*[a-z][0-9][a-z]\w*\b\W+(?:\w+\W+){0,2}){3}", re.IGNORECASE)
"""Begins with an end, or has digits inside of many words: reversed, or `y0u kn0w`."""
_UNLEET = str.maketrans("013457", "oieast")
_SHOUT = re.compile(r"(?:\b[A-ZÀ-Þ]{2,}\b[^a-z]{0,4}){5,}")
_INVISIBLE = re.compile(
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e007f]"
)
_FOREIGN_TEXT = """
que los las por para una con está como pero siempre todas anteriores les des est une pas vous dans pour avec cet ce
toutes aucun ne et ou und nicht ist der ein eine mit auf keine jeden alle bisherigen sie wir che non per sono delle
tutte soltanto dei il lo uma não você com todas apenas sobre este inclua het een niet van alle en eerdere wszystkie
poprzednie nie jest się ve tüm bu yok semua sebelumnya dan ini yang tulis di
"""
_FOREIGN = frozenset(_FOREIGN_TEXT.split())
_SMALL = (
    FUNCTION_WORDS | NEGATING | frozenset(("too", "very", "all", "every", "only", "never", "more", "most", "few", "if"))
)
MIN_ENGLISH = 0.1
"""Least share of English function words in a sentence of `LONG` words or more."""
LONG = 6


REMEMBERED = 8_192
"""Sentences whose judgement is kept: people write the same short ones again and again."""


def instructs(text: str) -> bool:
    """Whether a text gives orders to its reader's machine, or hides what it says; then none of it is evidence."""
    if _INVISIBLE.search(text):
        return True
    plain = _plain(text)
    if (
        (not plain.isascii() and any(letter.isalpha() and letter >= "\u0250" for letter in plain))
        or _SPACED.search(plain)
        or _PACKED.search(plain)
        or _ODD.search(text.strip())
    ):
        return True
    return _encoded(plain) or any(pattern.search(plain) for pattern in (_ROLE, _CITED, _MUST, _MACHINE, _RATED))


def _encoded(plain: str) -> bool:
    """Whether a text reads better with its letters changed back: `1gn0r3`, reversed, or shifted by thirteen."""
    readings = (plain.translate(_UNLEET), plain[::-1], codecs.encode(plain, "rot13"))
    most = max(map(_n_small, readings))
    return most >= _n_small(plain) + 2


def _n_small(text: str) -> int:
    return sum(word in _SMALL and len(word) > 1 for word in text.lower().split())


@lru_cache(maxsize=REMEMBERED)
def orders(sentence: str) -> bool:
    """Whether a sentence tells its reader what to say or to leave out."""
    return _ORDER.search(_plain(sentence)) is not None


@lru_cache(maxsize=REMEMBERED)
def suspect(sentence: str) -> bool:
    """Whether one sentence commands, shouts or is not plain English; then it is no evidence."""
    plain = _plain(sentence)
    return bool(instructs(sentence) or _ORDER.search(plain) or _SHOUT.search(plain)) or not english(plain)


def _plain(text: str) -> str:
    """The text with compatibility forms and accents undone, so that `Ignöre` reads as `Ignore`."""
    plain = text
    if not text.isascii():
        plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return plain.strip(" \"'“”‘’«»\n\t")


def english(sentence: str) -> bool:
    """Whether a sentence, if long enough to tell, has the small words of English and not those of another language."""
    said = [word.lower() for word in WORD.findall(sentence)]
    own = sum(word in _SMALL for word in said)
    return not foreign(sentence) and (len(said) < LONG or own >= MIN_ENGLISH * len(said))


def foreign(sentence: str) -> bool:
    """Whether a sentence has more small words of another language than of English."""
    said = [word.lower() for word in WORD.findall(sentence)]
    theirs = sum(word in _FOREIGN for word in said)
    return theirs >= 2 and theirs >= sum(word in _SMALL for word in said)
