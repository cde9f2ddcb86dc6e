"""What words do in a text: which carry content, which take a side, and whether two texts say the same thing.

The gates of single texts and the contracts of whole tables rest on this, so that both mean the same by it.
"""

from __future__ import annotations

import re
from functools import lru_cache

from features.types import Stance

_FUNCTION_TEXT = """
a about across after also although am an and any are as at average based be because been before being between both
but by can consumer consumers could describe described describes did do does doing during each either especially
feature features find finding finds first for found from gave get gets give given gives going had has have having he
her here his how however i if in including indicate indicates into is it its itself just kind known like made make makes
making may means might my of off offer offers on one or other others our out overall own particularly people person
product products quite rate rated rates rather rating ratings received receives receiving same score scored scores
say says see seem seems several she should shows since so some someone star stars still such take taken tend tends than
that
the their them then there these they thing this those though through to took total up us user users usual usually was we
were what when where which while who whose why will with within would you your yours yourself
"""
FUNCTION_WORDS = frozenset(_FUNCTION_TEXT.split())
"""Words that say nothing of their own: they need no evidence. Quantifiers (`all`, `only`) and negations do."""

_MILD_TEXT = {
    Stance.FOR: """
above appeal appeals enjoy enjoyed enjoys good high higher highly liked likely likes more pleased praise praised
prefer prefers well
""",
    Stance.AGAINST: """
below dislike disliked dislikes down fault faulted fewer less let low lower rarely
""",
}
MILD = {stance: frozenset(text.split()) for stance, text in _MILD_TEXT.items()}
"""How a text may speak of ratings on its own side, without evidence for the very word."""

_STRONG_TEXT = {
    Stance.FOR: """
amazing awesome best better excellent fantastic favorite favourite flawless great ideal impressive incredible love
loved loves outstanding perfect perfectly recommend recommended recommends superb superior terrific unbeatable
wonderful worth
""",
    Stance.AGAINST: """
avoid awful bad badly disappoint disappointed disappointing dreadful fail failed fails hate hated hates horrible
inferior mediocre never poor poorly terrible unpleasant useless weak worse worst
""",
}
TAKES_SIDE = {stance: MILD[stance] | frozenset(text.split()) for stance, text in _STRONG_TEXT.items()}
"""All words that speak for one side; on the other side only the evidence's own may be used."""
_ANY_SIDE = TAKES_SIDE[Stance.FOR] | TAKES_SIDE[Stance.AGAINST]

CONTRARY = {Stance.FOR: TAKES_SIDE[Stance.AGAINST], Stance.AGAINST: TAKES_SIDE[Stance.FOR]}
"""Words that contradict a stance."""

NEGATING = frozenset(("no", "not", "never", "nor", "none", "nobody", "nothing", "without", "neither", "cannot"))

WORD = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")
"""A word in any script; `EJ45`, `G.I` and `12-string` are one word each."""
_SUFFIX = re.compile(r"(?:'s|’s)$|(?:ingly|edly|ings|ing|ers|ed|er|es|ly|s|e|y)$")
PART = re.compile(r"[-–.]")


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """A crude stem: enough to see that `movies` is carried by `movie`."""
    plain = word.lower().replace("’", "'")
    if len(plain) == 4 and plain[-1] == "s" and plain[-2] != "s":
        return plain[:-1]
    previous = ""
    while plain != previous and len(plain) > 4:
        previous = plain
        shorter = _SUFFIX.sub("", plain)
        plain = shorter if len(shorter) >= 3 else plain
    if len(plain) > 3 and plain[-1] == plain[-2]:
        return plain[:-1]
    return plain


@lru_cache(maxsize=65_536)
def stems_of(word: str) -> frozenset[str]:
    """Stems of one word; of a hyphenated one also of its parts."""
    parts = PART.split(word)
    return frozenset(stem(part) for part in ((word, *parts) if len(parts) > 1 else parts) if part)


def stems(text: str) -> set[str]:
    """Stems of a text's words, and of the parts of hyphenated ones."""
    return set().union(*map(stems_of, WORD.findall(text)))


@lru_cache(maxsize=65_536)
def is_function(word: str) -> bool:
    """Whether a word says nothing of its own."""
    return word.lower().replace("’", "'").removesuffix("'s") in FUNCTION_WORDS


@lru_cache(maxsize=65_536)
def has_digit(word: str) -> bool:
    """Whether a word is a number or a code such as `EJ45`."""
    return not word.isalpha() and any(letter.isdigit() for letter in word)


@lru_cache(maxsize=65_536)
def negates(word: str) -> bool:
    """Whether a word turns what it stands by into its contrary."""
    plain = word.lower().replace("’", "'")
    return plain in NEGATING or plain.endswith("n't")


def content(text: str) -> frozenset[str]:
    """What a text is about: stems and numbers, without function words and words that only take a side."""
    said = (word for word in WORD.findall(text) if not is_function(word) and not negates(word))
    return frozenset(stem(word) for word in said if word.lower() not in _ANY_SIDE)


def same_content(one: str, other: str) -> bool:
    """Whether two texts differ at most in the side they take: turned round, each would say the other."""
    return content(one) == content(other)


def echoes(text: str, source: str, shown: str, size: int = 5) -> bool:
    """Whether a text took something over from `source` that is not in what was shown for it.

    `size` words in a row must stand in the source, and among them content that `shown` does not have: turns of
    phrase may be shared, the content of a worked example may not.
    """
    own, runs = _plain_words(text), _runs(source, size)
    repeated = [run for run in zip(*(own[shift:] for shift in range(size)), strict=False) if run in runs]
    if not repeated:
        return False
    known = stems(shown)
    return any(not is_function(word) and stem(word) not in known for run in repeated for word in run)


def _plain_words(text: str) -> list[str]:
    return [word.lower() for word in WORD.findall(text)]


@lru_cache(maxsize=64)
def _runs(source: str, size: int) -> frozenset[tuple[str, ...]]:
    own = _plain_words(source)
    return frozenset(zip(*(own[shift:] for shift in range(size)), strict=False))


def latin_share(text: str) -> float:
    """Share of a text's letters that are Latin; 1 if it has none."""
    letters = [letter for letter in text if letter.isalpha()]
    return sum(letter < "\u0250" for letter in letters) / len(letters) if letters else 1.0
