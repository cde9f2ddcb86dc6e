"""The subjects a review corpus talks about: words and two-word names that are neither everywhere nor nearly nowhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

from features.sentences import words
from features.tone import BLAME, PRAISE

_COMMON_TEXT = """
a about after again all also am an and any are as at back be because been before being both but by can cant
could did do does doesn't don't dont down each even ever every few find first for from get gets give go goes
going gone got had has have having he her here hers him his how however i i'll i'm i've if in into is isn't it
it's its just know last let like little long look looks made make makes making many may me might more most much must
my need needs never new no not now of off old on once one only or other our out over own pretty put quite
rather really s same say see seem seems several she should since so some something still such sure t take than that
that's the their them then there these they thing things think this those though thought through time to too
took try two up us use used uses using very want wanted was way we well went were what when where which while
who why will with without would yet you your years year months month day days bought buy amazon product item
review reviews star stars works work working ordered purchase purchased came come else lot lots bit happy love loved
anyone someone people around keep set
overall opinion brand real deal reason fact idea kind part piece stuff purpose level second third next whole
"""
COMMON = frozenset(_COMMON_TEXT.split()) | PRAISE | BLAME
_BEFORE_TEXT = """
a an the this that these those my your its their his her our no any each every
"""
_BEFORE_NOUNS = frozenset(_BEFORE_TEXT.split())
RARE, FREQUENT, MOST = 0.003, 0.4, 300
"""Share of the reviews that speak of a term at least and at most, and how many terms are kept."""
NAMED = 0.15
"""Least share of a word's occurrences that follow an article, a possessive or a judgement: it names something."""
TOGETHER, GAP = 0.5, 2
"""From this share of the occurrences of both, two words at most `GAP` apart are one name (`battery life`)."""


class Terms:
    """What a corpus talks about; `found` tells which of it a sentence speaks of."""

    def __init__(self, texts: Iterable[object]) -> None:
        spoken = [words(text) for text in texts if isinstance(text, str) and text]
        nouns, following = _nouns(spoken)
        names = _joined(spoken, _plurals(nouns + following))
        self._names = {word: name for word, name in names.items() if word in nouns or " " in name}

    def __len__(self) -> int:
        return len(set(self._names.values()))

    def found(self, spoken: Iterable[str]) -> frozenset[str]:
        """The terms among a sentence's lower-case words."""
        return frozenset(self._names[word] for word in spoken if word in self._names)


def _nouns(spoken: Sequence[Sequence[str]]) -> tuple[Counter[str], Counter[str]]:
    """The commonest words that name something, and those that follow one (`the battery life`), by number of texts."""
    texts = Counter(word for own in spoken for word in set(own))
    least, most = max(5, RARE * len(spoken)), FREQUENT * len(spoken)
    fitting = {word for word, n in texts.items() if len(word) > 3 and word not in COMMON and least <= n <= most}
    nouns = _commonest(texts, _following(spoken, fitting, _BEFORE_NOUNS | PRAISE | BLAME))
    return nouns, _commonest(texts, _following(spoken, fitting, nouns) - nouns.keys())


def _commonest(texts: Mapping[str, int], chosen: Iterable[str]) -> Counter[str]:
    ordered = sorted(((word, texts[word]) for word in chosen), key=lambda pair: (-pair[1], pair[0]))
    return Counter(dict(ordered[:MOST]))


def _following(spoken: Sequence[Sequence[str]], fitting: Collection[str], leading: Collection[str]) -> set[str]:
    """Words that often stand right behind one of the leading ones."""
    n = Counter(word for own in spoken for word in own if word in fitting)
    led = Counter(word for own in spoken for before, word in pairwise(own) if before in leading and word in fitting)
    return {word for word, count in led.items() if count >= NAMED * n[word]}


def _plurals(nouns: Counter[str]) -> dict[str, str]:
    """Each word with its name: that of singular and plural is the commoner of both."""
    names = {word: word for word in nouns}
    for word in nouns:
        if word + "s" in nouns:
            names[word] = names[word + "s"] = max(word, word + "s", key=lambda form: nouns[form])
    return names


def _joined(spoken: Sequence[Sequence[str]], names: Mapping[str, str]) -> dict[str, str]:
    """Words that nearly always stand together share a name."""
    alone, together = Counter[str](), Counter[tuple[str, str]]()
    for own in spoken:
        places = [(place, names[word]) for place, word in enumerate(own) if word in names]
        alone.update({name for _, name in places})
        together.update({(a, b) for (m, a), (n, b) in pairwise(places) if a != b and n - m <= GAP})
    phrases: dict[str, str] = {}
    for (first, second), count in sorted(together.items(), key=lambda pair: (-pair[1], pair[0])):
        if count >= TOGETHER * max(alone[first], alone[second]) and not {first, second} & phrases.keys():
            phrases |= {first: f"{first} {second}", second: f"{first} {second}"}
    return {word: phrases.get(name, name) for word, name in names.items()}
