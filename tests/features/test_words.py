"""Words: which carry content, which take a side, and when two texts say the same."""

from __future__ import annotations

from features.words import content, echoes, is_function, latin_share, same_content, stem, stems


def test_stems_join_forms_of_a_word() -> None:
    assert stem("movies") == stem("movie")
    assert stem("rated") == stem("rating")
    assert stem("apps") == stem("app")
    assert stem("war") != stem("warm")


def test_words_of_any_script_and_codes_count() -> None:
    assert stems("Брат EJ45") == {"брат", "ej45"}
    assert stem("string") in stems("12-string")


def test_quantifiers_and_negations_are_no_function_words() -> None:
    assert is_function("their")
    assert not any(map(is_function, ("all", "only", "never", "not", "most")))


def test_content_leaves_out_the_words_that_take_a_side() -> None:
    assert content("You enjoy jazz records.") == content("You do not like jazz records.")
    assert same_content("It is rated above 3.5.", "It is rated below 3.5.")
    assert not same_content("It pleased 30 of 80.", "It let down 6 of 80.")


def test_an_echo_takes_content_along() -> None:
    example = "You enjoy jazz records such as Kind of Blue, and rated 12 of them 4.6 of 5 on average."
    shown = "rated 3 war movies 4.1 of 5 on average; among them Patton"
    assert not echoes("such as Patton, and rated 3 of them 4.1 of 5 on average.", example, shown)
    assert echoes("such as Patton, and rated 12 of them 4.6 of 5 on average.", example, shown)
    assert echoes("jazz records such as Kind of Blue.", example, shown)


def test_the_share_of_latin_letters() -> None:
    assert [latin_share(text) for text in ("Amélie, 1999", "abДД", "12")] == [1.0, 0.5, 1.0]
