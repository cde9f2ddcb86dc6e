"""A world in which one word of a product's text tells who wants it, for a language model of two blocks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from models.attributes.asked import Subject
from models.attributes.choices import Choices
from models.attributes.expected import ExpectedScores
from models.attributes.listed import Attribute
from models.backbones.histories import Histories
from models.backbones.sequences.encoders import EncoderConfig
from models.backbones.sequences.network import ProductTable, SequenceNetwork, make_encoder
from models.threads import torch_threads
from models.training import seeded

ATTRIBUTES = (Attribute(name="heat", description="how warm"), Attribute(name="noise", description="how loud"))
N, LENGTH = 16, 4


class World(NamedTuple):
    """Products of two kinds in turn, and consumers who take one kind only."""

    texts: list[str]
    numbers: np.ndarray  # (N, m) the untuned model's own expected numbers
    histories: Histories

    @property
    def warm(self) -> np.ndarray:
        return np.arange(N) % 2 == 0

    @property
    def choices(self) -> Choices:
        return Choices.of(self.histories, LENGTH, self.base())

    def base(self) -> SequenceNetwork:
        """A base model that knows nothing."""
        widths = EncoderConfig(embedding_size=8, n_layers=1, length=LENGTH)
        with seeded(0):
            return SequenceNetwork(ProductTable(N, 8, torch.zeros(N, 8)), make_encoder("gru4rec", widths))


def events(seed: int = 0) -> list[tuple[int, int, int]]:
    """(consumer, product, time): everybody takes five products of one kind."""
    rng = np.random.default_rng(seed)
    return [
        (consumer, int(2 * product + consumer % 2), time)
        for consumer in range(24)
        for time, product in enumerate(rng.permutation(N // 2)[:5])
    ]


def histories(rows: list[tuple[int, int, int]]) -> Histories:
    consumer, product, time = (np.array(it) for it in zip(*rows, strict=True))
    return Histories.of(consumer, product, time, 24, N)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    with torch_threads(1):
        yield


@pytest.fixture(scope="session")
def world(tiny_base: Path) -> World:
    texts = [f"{('warm', 'cold')[n % 2]} product {n // 2}" for n in range(N)]
    scores = ExpectedScores(tiny_base).score([Subject(text, text) for text in texts], ATTRIBUTES)
    return World(texts, scores, histories(events()))
