"""Gates: what a text must pass before anyone sees it or learns from it. Each failure has a name.

A gate never repairs. A text that fails is dropped, and its place is taken by the template wording of its fact,
which says so in `Facet.model` or `Explanation.model`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum

from features.sentences import PERSONAL
from features.types import Fact, Stance

MIN_WORDS, MAX_WORDS, MAX_CHARACTERS = 4, 60, 400
TEMPLATE = "template"
"""`model` of texts worded by code, not by a language model."""


class Failure(StrEnum):
    """Why a text was refused."""

    EMPTY = "empty"
    LENGTH = "length"
    UNFINISHED = "unfinished"
    OPENING = "opening"
    CITATION = "citation"
    GROUNDED = "grounded"
    NUMBER = "number"
    TITLE = "title"
    STANCE = "stance"
    ECHO = "echo"
    LOOP = "loop"
    PERSONAL = "personal"


_FUNCTION_WORDS_TEXT = """
a about above across after all also although among an and any are as at average based be because been before
being below better between both but by can could did do does doing down each either even especially every few
fewer find finding finds first for found from full gave get gets give given gives good had has have having he
her here high higher highly his how however i if in including indicate indicates into is it its itself just
kind known lean leaning less like liked likely likes low lower made make makes making many may means might
more most much my no nor not of off often on one only or other others our out over own particularly people
prefer quite rate rated rates rather rating ratings really received receiving receives same score scored
scores see seem seems several she should shows since so some still such than that the their them then there
these they this those though through to too two under up usual usually user users us very was we well went
were what when where which while who whose why will with within without would you your yours yourself consumer
consumers enjoy enjoys enjoyed appeal appeals star stars overall total product products example describe
described describes feature features offer offers praise praised fault faulted someone anyone
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS_TEXT.split())
"""Words that say nothing of their own: they need no fact behind them."""

_DENYING_TEXT = """
below lower dislike disliked rarely hate hated worse worst disappointing disappointed disappoint never
"""
DENYING = frozenset(_DENYING_TEXT.split())
_PRAISING_TEXT = """
above love loved loves favorite best excellent great wonderful praised highly
"""
PRAISING = frozenset(_PRAISING_TEXT.split())
CONTRARY = {Stance.FOR: DENYING, Stance.AGAINST: PRAISING}
"""Words that contradict a stance, unless the cited fact itself has them."""

_WORD = re.compile(r"[A-Za-zÀ-ÿ]+(?:['’-][A-Za-zÀ-ÿ]+)*")
_NAME = re.compile(r"(?<=[a-z,;] )(?:[A-Z][\w'’&-]*)(?:\s+(?:(?:of|the|and|in|a|to|for)\s+)*[A-Z0-9][\w'’&-]*)*")
_PROMPT_WORDS = re.compile(r"\bfacts?\b|\bsentences?\b|\bpolarity\b|\bstance\b|\bexample answer\b", re.IGNORECASE)
_SUFFIX = re.compile(r"(?:'s|’s)$|(?:ingly|edly|ings|ing|ers|ed|er|es|ly|s|e|y)$")


def stem(word: str) -> str:
    """A crude stem: enough to see that `movies` is carried by `movie`."""
    plain = word.lower().replace("’", "'")
    previous = ""
    while plain != previous and len(plain) > 4:
        previous = plain
        shorter = _SUFFIX.sub("", plain)
        plain = shorter if len(shorter) >= 3 else plain
    if len(plain) > 3 and plain[-1] == plain[-2]:
        return plain[:-1]
    return plain


def stems(text: str) -> set[str]:
    """Stems of a text's words; of hyphenated ones also of their parts."""
    found: set[str] = set()
    for word in _WORD.findall(text):
        found.update(stem(part) for part in {word, *re.split(r"[-–]", word)} if part)
    return found


_FUNCTION_STEMS = frozenset(stem(word) for word in FUNCTION_WORDS)


def evidence_text(cited: Iterable[Fact], context: str = "") -> str:
    """All a text may rest on: the cited facts, the things they are about, and the request's own wording."""
    return " ".join([context, *(f"{fact.text} {fact.aspect.replace('=', ' ')}" for fact in cited)])


def failures(
    text: str,
    stance: Stance,
    fact_ids: Sequence[str],
    facts: Iterable[Fact],
    opening: str = "",
    prompt: str = "",
    context: str = "",
) -> list[Failure]:
    """Names of the gates a text fails; empty if it may be used.

    Args:
        text: the line, its opening included.
        stance: the side it must take.
        fact_ids: the facts it cites.
        facts: those that were in its request.
        opening: its prescribed opening, which counts as grounded (it was made from the facts).
        prompt: the request's prompt; a text that repeats a long stretch of its instructions is an echo.
        context: what else was in the request and may be named, such as the product's title.
    """
    known = {fact.fact_id: fact for fact in facts}
    if not text.strip() or text.strip() == opening.strip():
        return [Failure.EMPTY]
    cited = [known[fact_id] for fact_id in fact_ids if fact_id in known]
    evidence = evidence_text(cited, f"{opening} {context}")
    body = text[len(opening) :] if text.startswith(opening) else text
    count = len(text.split())
    checks = {
        Failure.LENGTH: not MIN_WORDS <= count <= MAX_WORDS or len(text) > MAX_CHARACTERS,
        Failure.UNFINISHED: _unfinished(text.strip(), evidence),
        Failure.OPENING: not text.startswith(opening),
        Failure.CITATION: not fact_ids or len(cited) < len(fact_ids),
        Failure.GROUNDED: bool(ungrounded(body, evidence)),
        Failure.NUMBER: not numbers_agree(body, evidence),
        Failure.TITLE: any(name not in evidence for name in _NAME.findall(text)),
        Failure.STANCE: _contradicts(body, stance, evidence),
        Failure.ECHO: _talks_of_the_task(body, evidence) or _repeats_instructions(body, prompt, evidence),
        Failure.LOOP: loops(body),
        Failure.PERSONAL: any(pattern.search(text) for pattern in PERSONAL),
    }
    return [failure for failure, failed in checks.items() if failed]


def ungrounded(text: str, evidence: str) -> list[str]:
    """Content words of a text that the evidence does not carry."""
    carried = stems(evidence) | _FUNCTION_STEMS
    return [
        word
        for word in _WORD.findall(text)
        if stem(word) not in carried and not stems(word) <= carried and word.lower() not in FUNCTION_WORDS
    ]


def numbers_agree(text: str, evidence: str) -> bool:
    """Whether each number of a text stands, in the evidence, beside the same word before or after it.

    So `2 of them 3.9 on average` fails where the fact says `2.5 of 5 on average, below their usual 3.9`.
    """
    known = {
        (number, side, word) for number, *sides in _neighbours(evidence) for side, word in enumerate(sides) if word
    }
    return all(
        any((number, side, word) in known for side, word in enumerate(sides)) for number, *sides in _neighbours(text)
    )


def _neighbours(text: str) -> list[tuple[str, str, str]]:
    """Each number of a text with the words before and after it."""
    tokens = re.findall(r"\d+(?:[.,]\d+)*|[a-z][\w'’-]*", text.lower())
    padded = ["", *tokens, ""]
    return [(padded[n], padded[n - 1], padded[n + 1]) for n in range(1, len(padded) - 1) if padded[n][0].isdigit()]


def _unfinished(text: str, evidence: str) -> bool:
    """Whether a text has no end, or ends at a full stop that stands inside a name (`G.I. Jane`)."""
    return not re.search(r"[.!?][\"'”’)]*$", text) or f"{text.split()[-1]} " in evidence


def loops(text: str, size: int = 4) -> bool:
    """Whether four words in a row occur twice, or one word thrice in a row."""
    parts = [word.lower() for word in re.findall(r"[\w'’.-]+", text)]
    grams = [tuple(parts[n : n + size]) for n in range(len(parts) - size + 1)]
    thrice = any(parts[n] == parts[n + 1] == parts[n + 2] for n in range(len(parts) - 2))
    return len(set(grams)) < len(grams) or thrice


def _contradicts(body: str, stance: Stance, evidence: str) -> bool:
    carried = {word.lower() for word in _WORD.findall(evidence)}
    said = {word.lower() for word in _WORD.findall(body)}
    return bool((said & CONTRARY[stance]) - carried)


def _talks_of_the_task(body: str, evidence: str) -> bool:
    return any(word.lower() not in evidence.lower() for word in _PROMPT_WORDS.findall(body))


def _repeats_instructions(body: str, prompt: str, evidence: str, size: int = 6) -> bool:
    """Whether six words in a row come from the prompt but not from the evidence."""
    parts = body.lower().split()
    grams = [" ".join(parts[n : n + size]) for n in range(len(parts) - size + 1)]
    return any(gram in prompt.lower() and gram not in evidence.lower() for gram in grams)
