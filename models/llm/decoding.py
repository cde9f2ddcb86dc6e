"""The form of an answer: forced openings, sentences that end, tokens that are allowed. No model in here.

A small model keeps no format by itself, so it is not asked to. Its answer is written slot by slot: the opening is
forced, the model continues it by one sentence, then the next opening is forced.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Callable, Sequence
from enum import IntEnum

from features.types import FinishReason, Slot

_STOP = re.compile(r"[.!?]+[\"'”’)\]]*(?=\s|$)")
_ABBREVIATION = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|St|Jr|Sr|vs|Vol|No|etc|e\.g|i\.e)|\b[A-HJ-Z]|(?:[A-Z]\.)+[A-Z])\.$")
_TYPOGRAPHIC = frozenset("‘’“”–—…")


class Ask(IntEnum):
    """What the writer wants next from the model: a first token of a sentence, any token, or none."""

    FIRST = 0
    """A token that begins the sentence: neither an end nor bare punctuation."""
    FREE = 1
    FORCED = 2


def sentence_end(text: str) -> int | None:
    """Where the first sentence of a text ends (the index after its stop), or None if it is still open.

    "3.5" and abbreviations end nothing; "in 1999." is open until something follows that is not a digit.
    """
    for stop in _STOP.finditer(text):
        head = text[: stop.end()]
        undecided = stop.end() == len(text) and re.search(r"\d\.$", head)
        if not undecided and not _ABBREVIATION.search(head):
            return stop.end()
    return None


def readable(piece: str) -> bool:
    """Whether a token's text is made of printable ASCII, Latin letters and typographic marks only."""
    return bool(piece) and all(_readable_character(character) for character in piece)


def _readable_character(character: str) -> bool:
    if character.isascii():
        return character.isprintable()
    return character in _TYPOGRAPHIC or unicodedata.name(character, "").startswith("LATIN ")


def begins_sentence(piece: str, after_opening: bool) -> bool:
    """Whether a token may be the first after an opening, or the first of all if there is none.

    After an opening it must begin with a space: "They like" may become "They like old films", not "They liked".
    """
    return piece.startswith(" ") == after_opening and any(character.isalnum() for character in piece)


class AnswerWriter:
    """Writes one answer: says what it wants next, takes one token at a time.

    Args:
        slots: the lines to write.
        openings: the tokens of each slot's opening.
        separator: the tokens forced between two lines.
        piece: the text of a token; tokens of `ends` have none.
        ends: tokens that end a line (newlines, end of turn).
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        openings: Sequence[Sequence[int]],
        separator: Sequence[int],
        piece: Callable[[int], str],
        ends: frozenset[int],
    ) -> None:
        self.slots, self.openings, self.separator = slots, openings, separator
        self.piece, self.ends = piece, ends
        self.lines: list[str] = []
        self.finish: FinishReason | None = None if slots else FinishReason.STOP
        self.note = ""
        self._forced: deque[int] = deque()
        self._text, self._n_tokens = "", 0

    @property
    def ask(self) -> Ask:
        """What is wanted next."""
        if self._forced:
            return Ask.FORCED
        return Ask.FREE if self._n_tokens else Ask.FIRST

    def take_forced(self) -> int:
        """The next forced token, to be fed to the model."""
        return self._forced.popleft()

    def take(self, token: int) -> int | None:
        """Takes the token the model chose; returns what to feed, or None once the answer is complete."""
        slot = self.slots[len(self.lines)]
        self._n_tokens += 1
        ended = token in self.ends
        feed = not ended
        if not ended:
            before = len(self._text)
            self._text += self.piece(token)
            end = sentence_end(self._text)
            ended = end is not None
            feed = end is None or end > before  # a look-ahead that only showed that the sentence was over
            self._text = self._text[:end]
        if ended:
            self._close()
        elif self._n_tokens >= slot.max_tokens:
            self._cut(slot)
        if self.finish is not None:
            return None
        return token if feed else self.take_forced()

    def _close(self) -> None:
        """Finishes a line that ended by itself and forces the next opening."""
        self.lines.append(self._line(self._text))
        self._text, self._n_tokens = "", 0
        if len(self.lines) == len(self.slots):
            self.finish = FinishReason.STOP
            return
        self._forced.extend([*self.separator, *self.openings[len(self.lines)]])

    def _cut(self, slot: Slot) -> None:
        """Gives up at a line that is too long: the answer will not be used, so no more is paid for it."""
        self.note = f"line {len(self.lines) + 1} had no end after {slot.max_tokens} tokens"
        self.lines.append(self._line(self._text))
        self.lines += [rest.opening.strip() for rest in self.slots[len(self.lines) :]]
        self.finish = FinishReason.LENGTH

    def _line(self, text: str) -> str:
        return (self.slots[len(self.lines)].opening.rstrip() + text).strip()
