"""The form of an answer, without a model: where sentences end and what a writer forces."""

from __future__ import annotations

import pytest

from features.types import FinishReason, Slot
from models.llm.decoding import AnswerWriter, Ask, begins_sentence, readable, sentence_end

WORDS = ["<end>", "\n", " old", " films", ".", " rated", " 4", "5", " Next", " And", ".5", " Mr", " K"]
NUMBER = {word: n for n, word in enumerate(WORDS)}
OPENINGS = [[100, 101], [102]]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (" old films.", " old films."),
        (" old films. And", " old films."),
        (' "old" films!" And', ' "old" films!"'),
        (" rated 3.5 stars", None),
        (" made in 1999.", None),
        (" made in 1999. And", " made in 1999."),
        (" films by Mr. Smith", None),
        (" films by J. Smith.", " films by J. Smith."),
        (" what else?!", " what else?!"),
        ("", None),
    ],
)
def test_a_sentence_ends_at_its_stop_and_not_in_a_number_or_a_name(text: str, kept: str | None) -> None:
    end = sentence_end(text)
    assert (text[:end] if end is not None else None) == kept


@pytest.mark.parametrize(
    ("piece", "fine"),
    [(" film", True), (" café", True), ("’s", True), ("影", False), (" Фи", False), ("\t", False), ("", False)],
)
def test_only_latin_text_is_readable(piece: str, fine: bool) -> None:
    assert readable(piece) is fine


def test_a_sentence_begins_with_a_word_of_its_own() -> None:
    assert begins_sentence(" old", after_opening=True)
    assert not begins_sentence("d", after_opening=True)  # "They like" must not become "They liked"
    assert not begins_sentence(" .", after_opening=True)
    assert begins_sentence("Old", after_opening=False)


def written(chosen: list[str], max_tokens: int = 24) -> tuple[AnswerWriter, list[int]]:
    """What a writer of two lines feeds when the model chooses these words."""
    slots = (Slot("They like", max_tokens), Slot("Not", max_tokens))
    writer = AnswerWriter(slots, OPENINGS, [NUMBER["\n"]], WORDS.__getitem__, frozenset({0, 1}))
    fed: list[int] = []
    choices = iter(chosen)
    while writer.finish is None:
        if writer.ask is Ask.FORCED:
            fed.append(writer.take_forced())
        elif (token := writer.take(NUMBER[next(choices)])) is not None:
            fed.append(token)
    assert next(choices, None) is None
    return writer, fed


def test_the_next_opening_is_forced_after_a_full_stop() -> None:
    writer, fed = written([" old", " films", ".", " films", "."])
    assert writer.lines == ["They like old films.", "Not films."]
    assert writer.finish is FinishReason.STOP
    assert fed == [NUMBER[" old"], NUMBER[" films"], NUMBER["."], NUMBER["\n"], 102, NUMBER[" films"]]


@pytest.mark.parametrize("end", ["<end>", "\n"])
def test_an_end_chosen_too_early_ends_the_line_and_not_the_answer(end: str) -> None:
    writer, fed = written([" old", end, " films", end])
    assert writer.lines == ["They like old", "Not films"]
    assert NUMBER["<end>"] not in fed


def test_a_word_that_only_showed_that_the_sentence_was_over_is_dropped() -> None:
    writer, fed = written([" rated", " 4", ".", " And", " rated", " 4", ".5", "\n"])
    assert writer.lines == ["They like rated 4.", "Not rated 4.5"]
    assert NUMBER[" And"] not in fed


def test_a_line_that_does_not_end_cuts_the_answer_and_buys_no_more() -> None:
    writer, _ = written([" old", " old", " old"], max_tokens=3)
    assert writer.finish is FinishReason.LENGTH
    assert writer.lines == ["They like old old old", "Not"]
    assert "line 1" in writer.note


def test_the_first_word_of_each_line_is_asked_for_as_such() -> None:
    writer = AnswerWriter((Slot("A"), Slot("B")), OPENINGS, [1], WORDS.__getitem__, frozenset({0, 1}))
    assert writer.ask is Ask.FIRST
    writer.take(NUMBER[" old"])
    assert writer.ask is Ask.FREE
    writer.take(NUMBER["."])
    assert writer.ask is Ask.FORCED
    assert [writer.take_forced(), writer.take_forced()] == [1, 102]
    assert writer.ask is Ask.FIRST
