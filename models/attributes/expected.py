"""Attribute scores read from a language model's own odds: the expected number, without writing a word.

Source: arXiv 2504.11658, whose fine-tuning makes scores differentiable by the expectation of the number under the
softmax over digit tokens; here it also scores. The embedded model's answers are sentences (`models/llm/decoding.py`),
so this is how that model is asked. The text is read once, each attribute's question after it by itself, so no answer
depends on the order of the questions and there is nothing to average.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from features.errors import GenerationError
from models.attributes.asked import Subject
from models.attributes.listed import HIGH, LOW, Attribute
from models.base import Progress, silent
from models.llm.network import Network, Shape, best_dtype
from models.llm.tokens import Tokens
from models.threads import free_cores, torch_threads

SYSTEM = "You are a salesperson who knows every product of the shop. You rate products from 1 to 10."
BATCH = 64
MAX_TEXT = 600
"""Characters of a text that are read; what follows is left out."""


def expected_number(first: Tensor, after_one: Tensor) -> Tensor:
    """The expected whole number of 1..10, (N,), differentiable.

    A number is written digit by digit, so 10 is a 1 followed by a 0.

    Args:
        first: (N, 9) logits of the digits 1 to 9.
        after_one: (N, 2) logits, after a 1, of a 0 and of an end.
    """
    chance = first.softmax(-1)
    ten = chance[:, 0] * after_one.softmax(-1)[:, 0]
    digits = torch.arange(1, 10, dtype=first.dtype, device=first.device)
    return chance @ digits + (HIGH - LOW) * ten


class ExpectedScores:
    """Scores subjects with the embedded model.

    Args:
        folder: its network and tokenizer (`models.llm.gguf.converted`).
        device: `cpu` or `cuda`.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        from safetensors.torch import load_file

        self.tokens, shape = Tokens(folder, latin_only=True), Shape.read(folder)
        self._digits = digit_tokens(self.tokens.of, self.tokens.pieces.__getitem__)
        choices = torch.tensor([*self._digits[1:], self._digits[0], self.tokens.separator[0]])
        where = torch.device(device)
        self.network = Network(shape, load_file(folder / "model.safetensors"), where, best_dtype(device), choices)

    def score(
        self, subjects: Sequence[Subject], attributes: Sequence[Attribute], progress: Progress = silent
    ) -> NDArray[np.float32]:
        """(N, m): expected scores, each in LOW..HIGH."""
        texts = [self.tokens.of_turn(it.text[:MAX_TEXT]) for it in subjects]
        openings = [
            self.tokens.of(f"{it.name} ({it.description}), from {LOW} to {HIGH}: {LOW}")[:-1] for it in attributes
        ]
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))  # texts of like length share a batch
        values = np.zeros((len(texts), len(openings)), np.float32)
        with torch_threads(free_cores()):
            prefix = self.network.prefix(self.tokens.of_system(SYSTEM))
            for start in range(0, len(order), BATCH):
                rows = order[start : start + BATCH]
                values[rows] = self._batch([texts[row] for row in rows], openings, prefix)
                progress("attributes", start + len(rows), len(order))
        return values

    @torch.inference_mode()
    def _batch(self, texts: list[list[int]], openings: list[list[int]], prefix: Tensor) -> NDArray[np.float32]:
        """(n, m). Each opening is read over the one before it: the text's keys and values stay."""
        memory, columns = self.network.memory(), []
        memory.reserve(len(texts), max(map(len, texts)) + max(map(len, openings)) + 1)
        self.network.read(texts, [0] * len(texts), 0, memory, prefix)
        for opening in openings:
            starts = [len(text) for text in texts]
            first = self.network.read([opening] * len(texts), starts, 0, memory, prefix)
            starts = [start + len(opening) for start in starts]
            then = self.network.read([[self._digits[1]]] * len(texts), starts, 0, memory, prefix)
            columns.append(expected_number(first[:, :9].float(), then[:, 9:].float()))
        return torch.stack(columns, 1).cpu().numpy()


def digit_tokens(encode: Callable[[str], list[int]], piece: Callable[[int], str]) -> list[int]:
    """The tokens of 0 to 9 after a colon. Raises GenerationError if the tokenizer joins one with something.

    Args:
        encode: a text's tokens.
        piece: a token's text.
    """
    tokens = [encode(f": {number}")[-1] for number in range(10)]
    for number, token in enumerate(tokens):
        if piece(token).strip() != str(number):
            raise GenerationError(
                f"The tokenizer writes {number} as part of {piece(token)!r}.", "Digits must be tokens of their own."
            )
    return tokens
