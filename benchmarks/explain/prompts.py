"""TALLRec's movie prompts as pairs with words; the genres of films for reasons come from ML-100K's catalog alone.

The training file is not public: shots and checks are drawn from the validation file, and the test file is only scored.
Prompts name no consumer; those that follow each other with mostly the same films are taken for one consumer's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.reasoning.data import Corpus, Pair
from features.readers.movielens import GENRES_100K, LATIN1
from models.reasoning.cases import Described
from models.reasoning.tutor import Lesson

NAME = "tallrec-movie"
N_CHECKED, N_TEST = 40, 300
SHARED = 0.5
"""Share of a prompt's films that the next one must repeat to be of the same consumer."""
_TITLE = re.compile(r'"([^"]*)"')


@dataclass(frozen=True, eq=False)
class Prompts(Corpus):
    """The prompts; with genres, rows learn a reason that was chosen without the outcome and agrees with it."""

    genres: Mapping[str, Sequence[str]] | None = None

    def lesson(self, pairs: Sequence[Pair], facts: bool = False) -> Lesson:
        """Pairs as titles alone, with reasons where there are genres."""
        lesson = Lesson.of([self._case(pair, facts) for pair in pairs], [pair.liked for pair in pairs])
        if self.genres is None:
            return lesson
        return Lesson(lesson.cases, lesson.liked, [_reason(pair, self.genres) for pair in pairs])


def load(data: Path, with_genres: bool = False) -> Prompts:
    """Reads the prompts; test prompts are evenly spread over the file."""
    valid, test = (_pairs(data / NAME / f"{part}.json") for part in ("valid", "test"))
    place = np.linspace(0, len(test) - 1, N_TEST).astype(int)
    checked = np.linspace(0, len(valid) - 1, 6 * N_CHECKED).astype(int)  # so that both kinds are among them
    train = [pair for n, pair in enumerate(valid) if n not in set(checked)]
    titles = {it for pair in (*valid, *test) for it in (pair.product, *(product for product, _ in pair.history))}
    genres = _genres(data / "ml-100k" / "u.item") if with_genres else None
    return Prompts(
        f"{NAME}-reasons" if with_genres else NAME,
        train,
        [valid[n] for n in checked],
        [test[n] for n in place],
        {title: Described(title) for title in titles},
        {},
        genres,
    )


def _pairs(path: Path) -> list[Pair]:
    pairs, number, before = list[Pair](), 0, set[str]()
    for record in json.loads(path.read_text(encoding="utf-8")):
        liked, disliked, asked = (_TITLE.findall(line) for line in record["input"].split("\n"))
        films = {*liked, *disliked}
        number += len(films & before) < SHARED * len(films)
        before = films
        history = (*((title, False) for title in disliked), *((title, True) for title in liked))
        pairs.append(Pair(f"{path.stem}-{number}", history, asked[0], record["output"].startswith("Yes")))
    return pairs


def _genres(path: Path) -> dict[str, tuple[str, ...]]:
    films = [line.split("|") for line in path.read_text(encoding=LATIN1).splitlines()]
    named = GENRES_100K[1:]
    return {
        film[1]: tuple(name for name, flag in zip(named, film[-len(named) :], strict=True) if flag == "1")
        for film in films
    }


def _reason(pair: Pair, genres: Mapping[str, Sequence[str]]) -> str:
    """The target's genre on which the history leans most; empty where it leans to the other side."""
    leans: dict[str, list[tuple[str, bool]]] = {
        genre: [(title, liked) for title, liked in pair.history if genre in genres.get(title, ())]
        for genre in genres.get(pair.product, ())
    }
    lean = {genre: sum(1 if liked else -1 for _, liked in films) for genre, films in leans.items()}
    best = max(lean, key=lambda genre: abs(lean[genre]), default="")
    if not best or not lean[best] or (lean[best] > 0) != pair.liked:
        return ""
    shown = [title for title, liked in leans[best] if liked == pair.liked][:2]
    return f"Because you {'liked' if pair.liked else 'disliked'} {' and '.join(shown)} (genre {best})."
