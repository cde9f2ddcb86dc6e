"""The list answer of a language model that is tuned: its tokens, the soft scores of one forward pass, what it writes.

Source: arXiv 2504.11658, whose answers are a fixed list of names and numbers. One sequence holds the chat and a whole
list, so each attribute's expected number is read after the numbers written before it. What would follow a 1 is read at
every number's place beside the number that stands there, since a 10 is a 1 followed by a 0. The system's turn names the
attributes and leaves their descriptions out: a step of tuning pays for every token of it, once for each product.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.attributes.asked import read_scores
from models.attributes.expected import SYSTEM, digit_tokens, expected_number
from models.attributes.listed import HIGH, LOW, Attribute
from models.base import Progress, silent
from models.lora.labels import Prompt
from models.lora.rows import Aside, Row
from models.lora.student import Student

FORM = """{role} Answer with one line for each attribute, in this form:
attribute: number
The attributes: {names}."""
SPARE = 1.5
"""How much longer than the list a freely written answer may become."""


class ListForm:
    """Products as rows of a student, and scores read from them.

    Args:
        student: reads and writes.
        attributes: m of them, in the order of the list.
        max_text: characters of a product's text that are read.
    """

    def __init__(self, student: Student, attributes: Sequence[Attribute], max_text: int) -> None:
        self.student, self.attributes, self.max_text = student, tuple(attributes), max_text
        self._system = FORM.format(role=SYSTEM, names=", ".join(it.name for it in attributes))
        self._digits = digit_tokens(student.encode, lambda token: student.decode([token]))
        self._leads = [student.encode(f"{it.name}: {LOW}")[:-1] for it in attributes]
        self._line_end = student.encode("\n")

    def row(self, text: str, numbers: Sequence[int]) -> Row:
        """A product's chat and its list with these numbers (m,); every line ends alike, the last one too."""
        tokens, asides = self._prompt(text), list[Aside]()
        n_prompt = len(tokens)
        for lead, number in zip(self._leads, numbers, strict=True):
            tokens += lead
            asides.append(Aside(len(tokens), self._digits[1]))
            tokens += [*(self._digits[int(digit)] for digit in str(int(number))), *self._line_end]
        tokens.append(self.student.end)
        return Row(tokens, len(tokens) - n_prompt, asides=tuple(asides))

    def rows(self, texts: Sequence[str], scores: NDArray[np.float32]) -> list[Row]:
        """Rows of N products whose lists hold scores (N, m), rounded."""
        whole = np.clip(np.rint(scores), LOW, HIGH).astype(int)
        return [self.row(text, numbers) for text, numbers in zip(texts, whole.tolist(), strict=True)]

    def soft(self, rows: Sequence[Row], hidden: Tensor) -> Tensor:
        """(B, m) expected numbers, differentiable, from what the student's head is given of these rows."""
        which = torch.arange(len(rows)).unsqueeze(1)
        before = torch.tensor([[aside.place - 1 for aside in row.asides] for row in rows])
        beside = torch.tensor([len(row.tokens) for row in rows]).unsqueeze(1) + torch.arange(len(self.attributes))
        first = self.student.logits(hidden[which, before], self._digits[1:])
        after_one = self.student.logits(hidden[which, beside], (self._digits[0], self._line_end[0]))
        return expected_number(first.flatten(0, 1), after_one.flatten(0, 1)).view(len(rows), -1)

    @torch.no_grad()
    def scores(self, rows: Sequence[Row], progress: Progress = silent) -> NDArray[np.float32]:
        """(N, m) the same of any number of rows by the student as it is, each in LOW..HIGH."""
        network, size = self.student.network, self.student.config.batch_size
        network.eval()
        values = np.zeros((len(rows), len(self.attributes)), np.float32)
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            values[start : start + len(some)] = self.soft(some, self.student.hidden(some)).numpy()
            progress("attributes", start + len(some), len(rows))
        return values

    def parse_rate(self, texts: Sequence[str]) -> float:
        """The share of the m numbers that the parser finds in what the student freely writes of products."""
        longest = max(len(lead) for lead in self._leads) + len(str(HIGH)) + len(self._line_end)
        limit = int(SPARE * longest * len(self.attributes))
        written = self.student.writer().write([Prompt((), tuple(self._prompt(text))) for text in texts], limit)
        readings = [read_scores([self.student.decode(tokens)], self.attributes) for tokens in written]
        return float(np.mean([np.isfinite(reading.values) for reading in readings]))

    def _prompt(self, text: str) -> list[int]:
        return self.student.encode_chat(self.student.chat(self._system, text[: self.max_text]))
