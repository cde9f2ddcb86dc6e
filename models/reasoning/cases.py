"""What a student is asked: a profile, a history of liked and disliked products, and a target.

A prompt never holds the outcome. Its beginning is the consumer's and is the same for all targets, so that it is read
once (`models/lora/scoring.py`); where it is too long, the history loses its oldest entries and the target nothing.
How many of the history were liked is said in a number, which the reference preparation does not do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from models.lora.labels import Labels, Prompt
from models.lora.rows import Row, latest_that_fit
from models.lora.student import Student

SYSTEM = (
    "You judge whether a consumer will like a product, from what is given alone. Write Prediction: and Yes or No, "
    "then why."
)
_BODY = "\x1a"
"""Stands for the body of the user's turn while the chat form is made."""
_CLIP = re.compile(r"\S+")


class PromptConfig(BaseModel):
    """What a prompt shows; leaving parts out is how their worth is measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: bool = True
    descriptions: bool = True
    history: int = 6
    """Latest events that are shown."""
    profile_words: int = 60
    description_words: int = 20
    max_tokens: int = 600
    """Of a prompt; the oldest entries of the history are left out where it would be longer."""
    rationale_tokens: int = 48
    """Of the rationale that is learned and written after the decision; 0 learns decisions alone."""


@dataclass(frozen=True)
class Described:
    """A product as a prompt shows it."""

    title: str
    description: str = ""


@dataclass(frozen=True)
class Case:
    """One pair to decide on. `history` is oldest first, each with whether it was liked."""

    profile: str
    history: tuple[tuple[Described, bool], ...]
    target: Described


class Prompter:
    """Makes prompts and rows of cases for one student."""

    def __init__(self, student: Student, config: PromptConfig) -> None:
        self.student, self.config, self.labels = student, config, Labels.find(student.encode)
        before, _, after = student.chat(SYSTEM, _BODY).partition(_BODY)
        self._before, self._after = student.encode_chat(before), student.encode_chat(after)

    def prompt(self, case: Case) -> Prompt:
        """The tokens up to where the answer begins."""
        encode, config = self.student.encode, self.config
        told = f"Profile: {clip(case.profile, config.profile_words)}\n" if config.profile and case.profile else ""
        head = [*self._before, *encode(told), *encode(f"{self._counted(case)}, oldest first:\n")]
        own = [*encode(f"Target: {self._shown(case.target)}"), *self._after]
        shown = case.history[-config.history :]
        entries = [encode(f"{'Liked' if liked else 'Disliked'}: {self._shown(it)}\n") for it, liked in shown]
        kept = latest_that_fit(entries, config.max_tokens - len(head) - len(own))
        return Prompt((*head, *(token for entry in kept for token in entry)), tuple(own))

    def row(self, case: Case, liked: bool, rationale: str = "") -> Row:
        """A prompt with the answer to learn: the decision first, then the rationale if there is one."""
        tokens, labels, room = self.prompt(case).tokens, self.labels, self.config.rationale_tokens
        place = len(tokens) + len(labels.lead)
        reason = self.student.encode(f"\n{rationale}")[:room] if rationale and room else []
        answer = [*labels.lead, *labels.of(liked), *reason, self.student.end]
        return Row([*tokens, *answer], len(answer), decision=place)

    @staticmethod
    def _counted(case: Case) -> str:
        """How many of the whole history were liked, where only its end is shown."""
        n_liked = sum(liked for _, liked in case.history)
        return f"Liked {n_liked} of {len(case.history)}"

    def _shown(self, product: Described) -> str:
        if not (self.config.descriptions and product.description):
            return product.title
        return f"{product.title}. {clip(product.description, self.config.description_words)}"


def clip(text: str, n_words: int) -> str:
    """The first words of a text on one line."""
    return " ".join(_CLIP.findall(text)[:n_words])


def read_answer(text: str) -> tuple[bool | None, str]:
    """The decision that a written answer begins with (None: no label) and its rationale."""
    found = re.match(r"\s*Prediction:\s*(Yes|No)\b[.\s]*(.*)", text, re.DOTALL)
    return (found[1] == "Yes", found[2].strip()) if found else (None, text.strip())
