"""Reviews of the built-in world: whole columns of text from what each meeting of consumer and product gave."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.readers.world_aspects import ASPECTS

SILENT = 0.1
"""Share of ratings that come without a review."""
_MENTIONED = 2
"""At most so many aspects of a kind are named in one review."""
_SHRUG = 0.25

LIKED = (
    "{Clause}.",
    "What sold me: {clause}.",
    "{Clause}, and that is exactly what I look for.",
    "I care a lot about {aspect}, and here {clause}.",
    "Best of all, {clause}.",
    "{Aspect} matters to me, and {clause}.",
)
DISLIKED = (
    "Sadly, {clause}.",
    "{Clause}, which I cannot forgive.",
    "I am picky about {aspect}, and {clause}.",
    "What spoils it for me: {clause}.",
    "The let-down is that {clause}.",
    "{Clause}, reason enough for me to send them back.",
)
INDIFFERENT = (
    "The {aspect} is fine, not that it matters to me.",
    "Others may enjoy the {aspect}, I hardly notice it.",
    "I have no opinion on the {aspect}.",
)
NOTHING = (
    "Nothing about them stood out for me, good or bad.",
    "They do what headphones do.",
    "What others rave about leaves me rather cold.",
    "I have little to add to the other reviews.",
    "Perhaps I am just not the audience for these.",
    "They arrived on time and work as described.",
)
OPENINGS = (
    (
        "A bad buy.",
        "These went straight back.",
        "I regret this purchase.",
        "One star, and that is generous.",
        "Not for me at all.",
    ),
    (
        "I expected more.",
        "Rather disappointing.",
        "These and I did not become friends.",
        "Hard to recommend from where I sit.",
        "Below what I am used to.",
    ),
    (
        "Mixed feelings.",
        "They are all right.",
        "Middle of the road.",
        "Decent, no more.",
        "I have been using them for a month and I am undecided.",
    ),
    (
        "A good pair.",
        "I am happy with these.",
        "Pleasantly surprised.",
        "Solid choice for my commute.",
        "Nearly everything I wanted.",
    ),
    (
        "Exactly what I hoped for.",
        "I could hardly be happier.",
        "These are keepers.",
        "I would buy them again tomorrow.",
        "The best pair I have owned.",
    ),
)
"""By stars, lowest first."""

Texts = NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class Mention:
    """What B reviews are about; aspects as bits."""

    rating: NDArray[np.int_]  # (B,) 1 to 5
    met: NDArray[np.uint32]  # likes that meet strengths
    missed: NDArray[np.uint32]  # aversions that meet weaknesses
    ignored: NDArray[np.uint32]  # strengths that the consumer does not care about

    def take(self, rows: NDArray[np.intp]) -> Mention:
        """The mentions of other rows."""
        return Mention(self.rating[rows], self.met[rows], self.missed[rows], self.ignored[rows])


def write_reviews(rng: np.random.Generator, mention: Mention) -> Texts:
    """One text per row, or None where the consumer wrote nothing. (B,)"""
    n = len(mention.rating)
    openings = np.array(OPENINGS, dtype=object)
    opening = openings[mention.rating - 1, rng.integers(openings.shape[1], size=n)]
    praise = _sentences(rng, mention.met, _PRAISE, _MENTIONED)
    blame = _sentences(rng, mention.missed, _BLAME, _MENTIONED)
    shrug = _sentences(rng, np.where(rng.random(n) < _SHRUG, mention.ignored, 0), _SHRUGS, 1)
    nothing = np.array([f" {text}" for text in NOTHING], dtype=object)[rng.integers(len(NOTHING), size=n)]
    argued = np.where(mention.rating >= 4, praise + blame, blame + praise)
    texts = opening + np.where(mention.met | mention.missed, argued, nothing) + shrug
    texts[rng.random(n) < SILENT] = None
    return texts


def _sentences(rng: np.random.Generator, bits: NDArray[np.uint32], table: Texts, limit: int) -> Texts:
    """Up to `limit` sentences per row, each led by a space, about aspects drawn from the row's set. (B,)"""
    member = ((bits[:, None] >> np.arange(len(ASPECTS), dtype=np.uint32)) & 1).astype(bool)  # (B, A)
    lot = np.where(member, rng.random(member.shape), -1.0)
    drawn = np.argsort(-lot, axis=1)[:, :limit]
    variant = rng.integers(table.shape[1], size=drawn.shape)
    chosen = np.where(np.take_along_axis(member, drawn, 1), table[drawn, variant], "")
    return chosen.sum(axis=1)


def _table(templates: tuple[str, ...], clauses: tuple[tuple[str, ...], ...]) -> Texts:
    """Every sentence that the templates make of each aspect's clauses. (A, templates times clauses)"""
    sentences = [
        [_fill(template, aspect.name, clause) for template in templates for clause in own]
        for aspect, own in zip(ASPECTS, clauses, strict=True)
    ]
    return np.array(sentences, dtype=object)


def _fill(template: str, aspect: str, clause: str) -> str:
    """One sentence, led by a space; a capitalised field of the template begins with a capital."""
    fields = {"aspect": aspect, "clause": clause}
    capitals = {name.capitalize(): text[:1].upper() + text[1:] for name, text in fields.items()}
    return " " + template.format(**fields, **capitals)


_PRAISE = _table(LIKED, tuple(aspect.praise for aspect in ASPECTS))
_BLAME = _table(DISLIKED, tuple(aspect.complaint for aspect in ASPECTS))
_SHRUGS = _table(INDIFFERENT, (("",),) * len(ASPECTS))
