"""Whether a sentence of a review is worth quoting about its product: about the thing itself, and clear by itself.

Reviews also speak of the parcel, the seller, the product somebody had before, the review they read. All of that may
be true, sourced and on the right side, and is no reason for or against the product.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence

from features.sentences import words

MIN_LETTERS, MAX_LETTERS, MIN_WORDS = 25, 130, 5
"""What a quotation must have to say something, and may have to be read."""
MIXED = 0.5
"""What a sentence that weighs two things against each other, or tells a story, is worth beside a plain one."""
BRANDS = 3
"""From how many titles that begin with it a word counts as a maker's name."""

_DEAL = re.compile(
    r"\b(?:ship(?:s|ped|ping|ment)?|deliver(?:y|ed|s)|arriv\w+|packag\w+|parcels?|postage|sellers?|vendors?|dealers?"
    r"|amazon|ebay|stores?|customer (?:service|support)|refund\w*|return(?:s|ed|ing)?|exchang\w+|order(?:s|ed|ing)?"
    r"|promptly|in stock|warrant(?:y|ies)|manufacturers?|company|sent (?:me|it|them|back)"
    r"|se(?:nd|nt) (?:it|them|this|these) back|receiv\w+|reciev\w+)\b",
    re.IGNORECASE,
)
"""The deal, not the thing."""
_HEARSAY = re.compile(
    r"\b(?:reviews?|reviewers?|ratings?|stars?|other (?:people|users|buyers)|the description|website|advertised)\b",
    re.IGNORECASE,
)
_UNREAL = re.compile(
    r"\b(?:wish|hop(?:e|ing)|would (?:like|have|love)|i'd|should have|could have|was looking|were looking"
    r"|haven't|have not|not sure|can't say|cannot say|don't know|no idea|probably|maybe|supposed|expect\w*|guess"
    r"|figured|trying to find|thought|next time|evaluate|should (?:make|put|sell|come))\b"
    r"|^\W*(?:if|when|until)\b|\?",
    re.IGNORECASE,
)
"""Wishes, guesses, questions: nothing that somebody found."""
_OTHER = re.compile(
    r"\b(?:instead|unlike|compared?|versus|vs|competitors?|the original|other (?:brand|model|one|product)s?|another"
    r"|my (?:old|last|previous|first|other)|used to (?:have|own|use)|previously|my first|the old|most other|replaced"
    r"|(?:that|first|other) one|something else|favou?rite is)\b",
    re.IGNORECASE,
)
"""Another thing than the one that is reviewed."""
_MIXED = re.compile(
    r"\b(?:but|however|although|though|except|otherwise|yet|than|i (?:bought|got|needed|had|purchased|went|decided))\b"
    r"|^\W*(?:and|but|or|so|also|plus|which|because|then|that|except)\b",
    re.IGNORECASE,
)
_CUT = re.compile(r"\b(?:but|and|or|a|an|the|to|of|with|for|so|because|that)\W*$|[a-z]{3}\.[a-z]{3}", re.IGNORECASE)
"""Ends in the middle, or holds the end of another sentence."""
_CAPITALISED = re.compile(r"(?<=[\w,;:] )[A-Z][\w'’-]+")


class Relevance:
    """Knows the catalog's makers by its titles, so that another maker's product is noticed."""

    def __init__(self, titles: Sequence[str]) -> None:
        first = Counter(said[0] for title in titles if (said := words(title)))
        self._makers = {word for word, count in first.items() if count >= BRANDS and len(word) > 2}

    def about(self, title: str) -> Callable[[str], float]:
        """What a sentence is worth as a quotation about the product of that title: 0 if nothing, 1 at most."""
        others = self._makers - set(words(title))
        return lambda sentence: _worth(sentence, others)


def _worth(sentence: str, others: Collection[str]) -> float:
    if not MIN_LETTERS <= len(sentence) <= MAX_LETTERS or len(words(sentence)) < MIN_WORDS:
        return 0.0
    rival = any(word.lower() in others for word in _CAPITALISED.findall(sentence))
    if rival or _torn(sentence) or any(pattern.search(sentence) for pattern in (_DEAL, _HEARSAY, _UNREAL, _OTHER)):
        return 0.0
    return MIXED if _MIXED.search(sentence) else 1.0


def _torn(sentence: str) -> bool:
    """Whether a sentence is not whole: cut, grown together with another, or with a bracket left open."""
    return bool(_CUT.search(sentence)) or sentence.count("(") != sentence.count(")")
