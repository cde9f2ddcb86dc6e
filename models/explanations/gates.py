"""Gates: what a text must pass before anyone sees it or learns from it. Each failure has a name.

A gate never repairs. A line that fails is asked for once more with the reason (`models/explanations/retry.py`); if it
fails again, its place is taken by the template wording of its fact, which says so in `Facet.model`, or it is left out.

Words are compared, not meanings: a text may use the words of its evidence and a small vocabulary of function words,
neighbouring words must be neighbours in the evidence too, and numbers and negations stay beside what they belong to.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from enum import StrEnum

from features.redaction import IDENTIFIERS, personal
from features.types import Claim, Fact, Slot, Stance
from features.words import CONTRARY, MILD, WORD, content, echoes, has_digit, is_function, negates, stem
from models.explanations.support import Support, evidence_text, neighbours, support

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
    RECOMBINED = "recombined"
    NUMBER = "number"
    TITLE = "title"
    MISQUOTED = "misquoted"
    STANCE = "stance"
    CONTRAST = "contrast"
    ONE_SIDED = "one-sided"
    ENTAILMENT = "entailment"
    ECHO = "echo"
    LOOP = "loop"
    LANGUAGE = "language"
    PERSONAL = "personal"


REASONS = {
    Failure.EMPTY: "it said nothing",
    Failure.LENGTH: "it was too short or too long",
    Failure.UNFINISHED: "it did not end",
    Failure.OPENING: "it did not begin as it should",
    Failure.CITATION: "it did not rest on the fact",
    Failure.GROUNDED: "it used words that the fact does not have",
    Failure.RECOMBINED: "it joined words that do not belong together in the fact",
    Failure.NUMBER: "it changed a number",
    Failure.TITLE: "it changed a name",
    Failure.MISQUOTED: "it changed a quotation",
    Failure.STANCE: "it said the contrary of the fact",
    Failure.CONTRAST: "it said the same for and against",
    Failure.ONE_SIDED: "the other side had nothing to say",
    Failure.ENTAILMENT: "it does not follow from the fact",
    Failure.ECHO: "it repeated an example",
    Failure.LOOP: "it repeated itself",
    Failure.LANGUAGE: "it was not plain English",
    Failure.PERSONAL: "it held personal data",
}
"""Each failure as a second request tells it to the model."""

_RUN = r"[A-Z][\w'’&-]*(?:\s+(?:(?:of|the|in|a|to|for|{joint})\s+)+[A-Z][\w'’&-]*|\s+[A-Z0-9&][\w'’&-]*)*"
_NAMES = re.compile(rf"(?<=[\w,;:] ){_RUN.format(joint='and')}")
_NAME = re.compile(_RUN.format(joint="the"))
_UNCOMMON = re.compile(r"[^ -;=?A-Za-z\u00a1-\u00ac\u00ae-\u024f\u2010-\u2026\u20ac]")
"""Signs that plain text in Latin script does not have: mark-up, other scripts, what cannot be seen."""
_FIGURE = r"(\d+(?:\.\d+)?)"
_ESSENTIAL = [
    re.compile(rf"(\d+) of (\d+) consumers? rated it {_FIGURE} or"),
    re.compile(rf"rated by \d+ consumers?, {_FIGURE} of"),
    re.compile(rf"rated .+ {_FIGURE} of [\d.]+, (?:above|below) their"),
]
"""The figures of a fact without which the others say something else."""
_QUOTED = re.compile(r'"(.+)"$')
_PAUSE = r"(?=\s*(?:[.,;:!?()–—-]|$))"
_END = re.compile(r"[.!?][\"'”’)]*$")


Follows = Callable[[str, str], bool]
"""Whether a claim (second) follows from the texts of its facts (first): the stricter check, by a model."""


def anything(premise: str, claim: str) -> bool:
    """No stricter check."""
    return True


def failures(
    text: str,
    stance: Stance,
    fact_ids: Sequence[str],
    facts: Iterable[Fact],
    opening: str = "",
    source: str = "",
    context: str = "",
) -> list[Failure]:
    """Names of the gates a text fails; empty if it may be used.

    Args:
        text: the line, its opening included.
        stance: the side it must take.
        fact_ids: the facts it cites.
        facts: those that were in its request.
        opening: its prescribed opening, which counts as grounded (it was made from the facts).
        source: the instructions with their worked examples; a text that takes content from there is an echo.
        context: what else was in the request and may be named, such as the product's title.
    """
    known = {fact.fact_id: fact for fact in facts}
    if not text.strip() or text.strip() == opening.strip():
        return [Failure.EMPTY]
    cited = [known[fact_id] for fact_id in fact_ids if fact_id in known]
    body = text[len(opening) :] if text.startswith(opening) else text
    miscited = not fact_ids or len(cited) < len(fact_ids)
    found = _worded(text, body, stance, support(evidence_text(cited, f"{opening}\n{context}")), source)
    if len(cited) == 1 and drops_figure(text, cited[0].text) and Failure.NUMBER not in found:
        found.append(Failure.NUMBER)  # of several facts, a sentence may tell one and leave the figures of the others
    quoting = opening.rstrip().endswith(":") and [fact.source for fact in cited] == ["review"]
    found += [Failure.MISQUOTED] * (quoting and misquotes(body, cited[0].text))
    found += [Failure.OPENING] * (not text.startswith(opening)) + [Failure.CITATION] * miscited
    if cited and not takes_side(stance, cited) and Failure.STANCE not in found:
        found.append(Failure.STANCE)
    return found


def takes_side(stance: Stance, cited: Iterable[Fact]) -> bool:
    """Whether a fact of the stance's side is among the cited ones. What a product is speaks for it, never against."""
    return any(fact.polarity in ((1, 0) if stance is Stance.FOR else (-1,)) for fact in cited)


def _worded(text: str, body: str, stance: Stance, known: Support, source: str) -> list[Failure]:
    """The gates that look at a text's wording."""
    count = len(text.split())
    checks: dict[Failure, Callable[[], object]] = {
        Failure.LENGTH: lambda: not MIN_WORDS <= count <= MAX_WORDS or len(text) > MAX_CHARACTERS,
        Failure.UNFINISHED: lambda: not _END.search(text.strip()) or f"{text.split()[-1].lower()} " in known.plain,
        Failure.GROUNDED: lambda: ungrounded(body, stance, known),
        Failure.RECOMBINED: lambda: recombined(text, known),
        Failure.NUMBER: lambda: not numbers_agree(body, known),
        Failure.TITLE: lambda: unknown_names(text, known),
        Failure.STANCE: lambda: _contradicts(body, stance, known) or _drops_negation(text, known),
        Failure.ECHO: lambda: echoes(body, source, known.text),
        Failure.LOOP: lambda: loops(body),
        Failure.LANGUAGE: lambda: set(_UNCOMMON.findall(body)) - set(known.text),
        Failure.PERSONAL: lambda: personal(text, IDENTIFIERS),
    }
    return [failure for failure, fails in checks.items() if fails()]


def unshowable(text: str, source: str, shown: str) -> list[Failure]:
    """Names of the gates that a text fails whatever it rests on: those for what a model may say from its own knowledge.

    Args:
        text: the line.
        source: the instructions; a text that takes content from there is an echo.
        shown: what the request showed, whose signs the text may use.
    """
    checks: dict[Failure, Callable[[], object]] = {
        Failure.EMPTY: lambda: not text.strip(),
        Failure.LENGTH: lambda: len(text.split()) > MAX_WORDS or len(text) > MAX_CHARACTERS,
        Failure.ECHO: lambda: echoes(text, source, shown),
        Failure.LOOP: lambda: loops(text),
        Failure.LANGUAGE: lambda: set(_UNCOMMON.findall(text)) - set(shown),
        Failure.PERSONAL: lambda: personal(text, IDENTIFIERS),
    }
    return [failure for failure, fails in checks.items() if fails()]


def miscites(claim: Claim, slot: Slot, labels: Collection[str]) -> list[Failure]:
    """Whether a claim cites what its request does not have or its slot does not allow, or takes another side."""
    wrong = [] if slot.stance is None or claim.stance == slot.stance else [Failure.STANCE]
    allowed = set(slot.cites) & set(labels)
    cites_well = bool(claim.cites) and set(claim.cites) <= allowed if slot.cites else set(claim.cites) <= set(labels)
    return wrong if cites_well else [*wrong, Failure.CITATION]


def turned_round(texts: Sequence[tuple[Stance, str]]) -> set[int]:
    """Places of texts that say on one side what another says on the other, but for words that take a side."""
    about = [(stance, content(text)) for stance, text in texts]
    return {
        place
        for place, (stance, said) in enumerate(about)
        if any(other is not stance and said == theirs for other, theirs in about)
    }


def ungrounded(text: str, stance: Stance, known: Support) -> list[str]:
    """Content words of a text that the evidence does not carry. Codes and negations must be its very words."""
    return [word for word in WORD.findall(text) if not _carried(word, stance, known)]


def _carried(word: str, stance: Stance, known: Support) -> bool:
    if is_function(word) or word.lower() in known.words:
        return True
    if has_digit(word):
        return word.replace(".", "").isdigit()  # plain numbers have a gate of their own
    if negates(word):
        return False
    return word.lower() in MILD[stance] or stem(word) in known.stems or parts_carried(word, known)


def parts_carried(word: str, known: Support) -> bool:
    """Whether the evidence has the parts of a hyphenated word (`small-sized`)."""
    return "-" in word and all(stem(part) in known.stems or is_function(part) for part in word.split("-") if part)


def recombined(text: str, known: Support) -> list[tuple[str, str]]:
    """Content words that stand side by side in a text, but nowhere in its evidence (`full volume`).

    A small model joins the words of a fact anew; each word is then carried and the whole is not.
    """
    found = []
    previous, end = "", -1
    for match in re.finditer(r"[^\W_]+(?:['’.][^\W_]+)*", text):
        word = match[0]
        here = "" if is_function(word) or has_digit(word) or word.lower() in _SIDED else stem(word)
        joined = previous and here and text[end : match.start()] in (" ", "-")
        if joined and (previous, here) not in known.near:
            found.append((previous, here))
        previous, end = here, match.end()
    return found


_SIDED = MILD[Stance.FOR] | MILD[Stance.AGAINST]


def unknown_names(text: str, known: Support) -> list[str]:
    """Names in a text that the evidence does not have as they stand; `A and B` are two names if not one."""
    parts = [
        part
        for run in _NAMES.findall(text)
        for part in ([run] if run.lower() in known.plain else re.split(r"\s+and\s+", run))
    ]
    return [part for part in parts if _NAME.match(part) and " ".join(part.lower().split()) not in known.plain]


def numbers_agree(text: str, known: Support) -> bool:
    """Whether each number of a text stands, in the evidence, beside the same word before or after it.

    So `2 of them 3.9 on average` fails where the fact says `2.5 of 5 on average, below their usual 3.9`.
    """
    return all(
        any((number, side, word) in known.numbers for side, word in enumerate(sides))
        for number, *sides in neighbours(text)
    )


def drops_figure(text: str, fact: str) -> bool:
    """Whether a text with numbers leaves out what the fact's other numbers hang on.

    `2 of 30 consumers rated it 2 or lower` without the first 2, `3 of 5, below their usual 4.2` without the 3.
    """
    essential = next(filter(None, (pattern.match(fact) for pattern in _ESSENTIAL)), None)
    said = Counter(re.findall(_FIGURE, text))
    return bool(said and essential and Counter(essential.groups()) - said)


def misquotes(said: str, fact: str) -> bool:
    """Whether what a text gives as somebody's words is not a run of them that ends where they pause.

    `I` must not become `you`, and `a very good tuner I had to return` not `a very good tuner`.
    """
    words, quoted = WORD.findall(said), _QUOTED.search(fact)
    run = r"\W+".join(map(re.escape, words))
    return quoted is not None and not re.search(rf"(?<!\w){run}{_PAUSE}", quoted[1], re.IGNORECASE)


def loops(text: str, size: int = 4) -> bool:
    """Whether four words in a row occur twice, or one word thrice in a row."""
    parts = [word.lower() for word in re.findall(r"[\w'’.-]+", text)]
    grams = [tuple(parts[n : n + size]) for n in range(len(parts) - size + 1)]
    thrice = any(parts[n] == parts[n + 1] == parts[n + 2] for n in range(len(parts) - 2))
    return len(set(grams)) < len(grams) or thrice


def _contradicts(body: str, stance: Stance, known: Support) -> bool:
    """Whether a text has a word of the other side that the evidence has not."""
    return any(word.lower() in CONTRARY[stance] and word.lower() not in known.words for word in WORD.findall(body))


def _drops_negation(text: str, known: Support) -> bool:
    """Whether a text says without a negation what the evidence denies (`does not break`)."""
    if not known.denied:
        return False
    said = WORD.findall(text)
    return any(
        stem(word) in known.denied and not any(map(negates, said[max(0, n - 4) : n])) for n, word in enumerate(said)
    )
