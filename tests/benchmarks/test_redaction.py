"""The proof of `make prove`, small: generated sentences, and the promise that brands and numbers of models survive."""

from __future__ import annotations

import pytest

from benchmarks.personal import KINDS, Labelled, sentences
from benchmarks.proofs.redaction import MAX_FALSE, MIN_RECALL, measure
from features.redaction import Personal, personal, redact
from features.sentences import clean, spoken_title


def test_generated_personal_data_is_found_and_harmless_sentences_are_left() -> None:
    figures = measure(sentences(900, seed=5))
    assert figures["recall"] >= MIN_RECALL
    assert figures["false_alarms"] <= MAX_FALSE
    assert set(figures["recall_by_kind"]) == set(KINDS)


def test_the_measure_sees_misses_and_false_alarms() -> None:
    figures = measure([Labelled("name", "nothing here"), Labelled("", "call 212-555-0199"), Labelled("", "plain")])
    assert (figures["recall"], figures["false_alarms"]) == (0.0, 0.5)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("jo (at) shop (dot) com", Personal.EMAIL),
        ("4111 1111 1111 1111", Personal.CARD),
        ("DE89 3704 0044 0532 0130 00", Personal.IBAN),
        ("my doctor says my diabetes is worse", Personal.HEALTH),
        ("good cable - John Smith", Personal.NAME),
    ],
)
def test_kinds_are_told_apart(text: str, kind: Personal) -> None:
    assert kind in personal(text)
    assert "[removed]" in redact(text)


def test_a_number_that_is_no_card_is_left() -> None:
    assert personal("serial 4111 1111 1111 1112", {Personal.CARD}) == []


@pytest.mark.parametrize("title", ["Dr. Strangelove", "My Name Is Joe", "21 Jump Street", "84 Charing Cross Road"])
def test_titles_keep_their_names_and_streets(title: str) -> None:
    assert spoken_title(title) == title


def test_a_title_loses_contacts() -> None:
    assert "555" not in clean("Cable, call 212-555-0199 now")
    assert spoken_title("Oak Cable 212-555-0199") == "Oak Cable"
