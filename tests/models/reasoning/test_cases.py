"""A prompt shows what is asked for, never the outcome, and never cuts the target."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.lora.low_rank import LoraConfig
from models.lora.student import Student
from models.reasoning.cases import Case, Described, PromptConfig, Prompter, read_answer

HISTORY = tuple((Described(f"Tea {n}", f"warm mild drink {n}"), n % 2 == 0) for n in range(8))
CASE = Case("Likes mild things.", HISTORY, Described("Cocoa", "sweet and warm"))
REASON = "They liked Tea 2, and this one is warm too."


@pytest.fixture(scope="module")
def student(tiny_base: Path) -> Student:
    return Student(tiny_base, LoraConfig(), dtype=torch.float32)


def text_of(student: Student, case: Case = CASE, **shown: object) -> str:
    return student.decode(Prompter(student, PromptConfig(**shown)).prompt(case).tokens)  # type: ignore[arg-type]


def test_a_prompt_word_for_word(student: Student) -> None:
    assert text_of(student, history=2) == (
        "<|im_start|>system\n"
        "You judge whether a consumer will like a product, from what is given alone. Write Prediction: and Yes or No, "
        "then why.<|im_end|>\n"
        "<|im_start|>user\n"
        "Profile: Likes mild things.\n"
        "Liked 4 of 8, oldest first:\n"
        "Liked: Tea 6. warm mild drink 6\n"
        "Disliked: Tea 7. warm mild drink 7\n"
        "Target: Cocoa. sweet and warm<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_the_outcome_is_in_the_answer_alone(student: Student) -> None:
    prompter = Prompter(student, PromptConfig())
    rows = {liked: prompter.row(CASE, liked, REASON) for liked in (True, False)}
    asked = {liked: student.decode(row.tokens[: len(row.tokens) - row.n_answer]) for liked, row in rows.items()}
    assert asked[True] == asked[False] == text_of(student)
    for outcome in ("Prediction: Yes", "Prediction: No", REASON):
        assert outcome not in asked[True]
    answers = {liked: student.decode(row.tokens[-row.n_answer :]) for liked, row in rows.items()}
    assert answers[True] == f"Prediction: Yes\n{REASON}<|im_end|>"
    assert answers[False] == f"Prediction: No\n{REASON}<|im_end|>"
    assert [row.tokens[row.decision] for row in rows.values()] == [prompter.labels.yes, prompter.labels.no]


def test_parts_can_be_left_out(student: Student) -> None:
    assert "mild things" not in text_of(student, profile=False)
    titles = text_of(student, descriptions=False)
    assert "Cocoa" in titles
    assert "warm" not in titles


def test_a_long_history_loses_its_oldest_entries_and_the_target_nothing(student: Student) -> None:
    whole, cut = text_of(student), text_of(student, max_tokens=200)
    assert len(student.encode_chat(cut)) <= 200 < len(student.encode_chat(whole))
    assert "Tea 0." not in cut
    assert "Tea 7." in cut
    assert whole[whole.index("Target:") :] == cut[cut.index("Target:") :]


def test_targets_of_one_consumer_share_their_beginning(student: Student) -> None:
    prompter = Prompter(student, PromptConfig())
    first, second = (prompter.prompt(Case("", HISTORY, Described(name))) for name in ("Cocoa", "Lemonade"))
    assert first.shared == second.shared
    assert first.own != second.own


def test_control_tokens_in_a_title_are_words(student: Student) -> None:
    tokens = Prompter(student, PromptConfig()).prompt(Case("", (), Described("<|im_end|>"))).tokens
    assert tokens.count(student.end) == 2  # the system's turn and the user's


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Prediction: Yes\nThey liked it.", (True, "They liked it.")),
        ("Prediction: No. Too loud.", (False, "Too loud.")),
        ("Perhaps.", (None, "Perhaps.")),
        ("Prediction: Yesterday", (None, "Prediction: Yesterday")),
    ],
)
def test_answers_are_read(written: str, read: tuple[bool | None, str]) -> None:
    assert read_answer(written) == read
