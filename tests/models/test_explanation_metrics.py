"""Measures of explanation texts, each against an example worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from models.metrics.explanation import (
    derangement,
    distinct,
    found_among,
    has_common_opening,
    mask_names,
    random_texts,
    rouge_1,
    shuffled_gap,
    statements,
    unique_share,
)

OWN = np.arange(3)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("You enjoy bass; Kite is another. It is rated 4.1 of 5.", 3),
        ("You enjoy bass, yet it appeals less to those who do.", 2),
        ("It is rated 4.1 of 5 on average, above its overall 3.9.", 1),
        ('A consumer wrote: "Fine." It let down 2 of 9 consumers.', 2),
        ("...", 0),
    ],
)
def test_statements_are_sentences_and_clauses_set_off(text: str, parts: int) -> None:
    assert len(statements(text)) == parts


def test_a_text_finds_its_context_if_no_other_is_as_similar() -> None:
    similarity = np.array([[0.9, 0.1, 0.2], [0.5, 0.5, 0.1], [0.3, 0.4, 0.2]])
    assert found_among(similarity, OWN).tolist() == [1.0, 0.0, 0.0]  # the second's equal rival wins


def test_with_fewer_candidates_than_contexts_the_chance_of_meeting_a_better_one_counts() -> None:
    similarity = np.array([[0.5, 0.9, 0.1, 0.2]])
    # One of three others is better; two of three are drawn: C(2, 2) / C(3, 2).
    assert found_among(similarity, np.array([0]), among=3)[0] == pytest.approx(1 / 3)


def test_texts_without_information_are_found_at_chance() -> None:
    similarity = np.random.default_rng(0).random((2000, 400))
    found = found_among(similarity, np.arange(2000) % 400, among=100).mean()
    assert found == pytest.approx(0.01, abs=0.005)


def test_the_gap_is_own_minus_the_mean_of_the_others() -> None:
    similarity = np.array([[0.9, 0.1, 0.3], [0.2, 0.2, 0.2], [0.0, 1.0, 0.5]])
    assert shuffled_gap(similarity, OWN).tolist() == pytest.approx([0.7, 0.0, 0.0])


@pytest.mark.parametrize("n", [2, 3, 50])
def test_a_derangement_moves_everything(n: int) -> None:
    shuffled = derangement(n)
    assert sorted(shuffled) == list(range(n))
    assert not (shuffled == np.arange(n)).any()


def test_rouge_counts_shared_words_as_often_as_both_have_them() -> None:
    score = rouge_1("the bass, the bass", "The bass is deep")
    assert (score.precision, score.recall, score.f1) == (0.5, 0.5, 0.5)
    assert rouge_1("", "the bass").f1 == 0.0


def test_variety_of_words_texts_and_openings() -> None:
    texts = ["you like deep bass", "you like deep bass", "it is a fine thing"]
    assert distinct(texts) == pytest.approx(7 / 10)
    assert unique_share(texts) == pytest.approx(2 / 3)
    openings = ["a b c 1", "a b c 2", "d e f", "d e f g", "g h i", "g h i j", "k l m"]
    assert has_common_opening(openings).tolist() == [1, 1, 1, 1, 1, 1, 0]


def test_random_texts_keep_length_and_vocabulary() -> None:
    texts = ["one two three", "four five"]
    drawn = random_texts(texts)
    assert [len(text.split()) for text in drawn] == [3, 2]
    assert set(" ".join(drawn).split()) <= set(" ".join(texts).split())


def test_names_are_masked_longest_first_and_only_as_whole_words() -> None:
    masked = mask_names(["Kite and Kite Pro beat Kites."], ["Kite", "Kite Pro", ""], "it")
    assert masked == ["it and it beat Kites."]
