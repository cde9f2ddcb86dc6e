"""Text to tokens and back for the embedded model: its chat form, and which tokens may stand where in an answer."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from models.llm.decoding import begins_sentence, readable

START, END = "<|im_start|>", "<|im_end|>"
MULTIPLE = 256
"""The choices' number is a multiple of this, so that the best of them can be found in two fast passes."""


class Tokens:
    """The tokenizer of a converted model.

    Args:
        folder: the converted model.
        latin_only: forbids tokens other than printable ASCII and Latin letters.
    """

    def __init__(self, folder: Path, latin_only: bool) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.latin_only = latin_only
        special = {n for n, token in self._tokenizer.get_added_tokens_decoder().items() if token.special}
        n = self._tokenizer.get_vocab_size()
        self.pieces = ["" if i in special else self._tokenizer.decode([i]) for i in range(n)]
        newlines = {i for i, piece in enumerate(self.pieces) if piece and not piece.strip("\n")}
        self.ends = frozenset({*newlines, *self._encode(END)})
        self.separator = self.of("\n")
        usable = [i for i, piece in enumerate(self.pieces) if i in self.ends or self._usable(piece)]
        self.n_choices = len(usable)
        self.choices = usable + usable[:1] * (-len(usable) % MULTIPLE)
        """Tokens that may ever be chosen; after `n_choices` of them the first is repeated up to a multiple."""

    def of(self, text: str) -> list[int]:
        """The tokens of a text that may hold no control token."""
        return self._encode(harmless(text))

    def of_system(self, text: str) -> list[int]:
        """The system's turn."""
        return self._encode(f"{START}system\n{harmless(text)}{END}\n")

    def of_turn(self, prompt: str) -> list[int]:
        """The user's turn and the head of the answer."""
        return self._encode(f"{START}user\n{harmless(prompt)}{END}\n{START}assistant\n")

    def beginning(self, after_opening: bool) -> Tensor:
        """Which choices may begin a sentence, (choices,): after an opening, or where there is none."""
        allowed = [i not in self.ends and begins_sentence(self.pieces[i], after_opening) for i in self.choices]
        return torch.tensor(allowed)

    def _usable(self, piece: str) -> bool:
        if not piece or "\n" in piece or "\N{REPLACEMENT CHARACTER}" in piece:
            return False
        return readable(piece) if self.latin_only else True

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)


def best(scores: Tensor) -> Tensor:
    """The place of each row's highest score, (n,): what argmax gives, up to equal scores, at a fifth of its time.

    On the CPU argmax compares one score after the other; maxima over a strided axis go many at a time.
    """
    if scores.device.type != "cpu" or scores.shape[1] % MULTIPLE:
        return scores.argmax(1)
    lanes = scores.view(len(scores), MULTIPLE, -1)
    lane = lanes.amax(1).argmax(1)
    return lanes[torch.arange(len(scores)), :, lane].argmax(1) * lanes.shape[2] + lane


def harmless(text: str) -> str:
    """A text whose words cannot be mistaken for control tokens such as `<|im_end|>`."""
    return re.sub(r"<\|", "< |", text)
